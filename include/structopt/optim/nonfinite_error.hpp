/// @file
/// The error of a training that has left the numbers: a loss or gradient that is NaN or infinite.
#pragma once

#include <structopt/core/error.hpp>

#include <string>

namespace structopt
{
inline namespace STRUCTOPT_VERSION_NAMESPACE
{

/// A loss, norm or gradient that is NaN or infinite.
class nonfinite_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE nonfinite_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

} // namespace STRUCTOPT_VERSION_NAMESPACE
} // namespace structopt
