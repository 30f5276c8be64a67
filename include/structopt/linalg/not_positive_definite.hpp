/// @file
/// The error of a matrix that should be positive definite and is not.
#pragma once

#include <structopt/core/error.hpp>

#include <string>

namespace structopt
{
inline namespace STRUCTOPT_VERSION_NAMESPACE
{

/// A matrix that is not positive definite; the message names the first pivot that is not positive.
class not_positive_definite_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE not_positive_definite_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

} // namespace STRUCTOPT_VERSION_NAMESPACE
} // namespace structopt
