/// @file
/// What calibration refuses to take in.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/view.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace calibrate
{
namespace detail
{

/// Throws `argument_error` for the first number that is NaN or infinite.
template <class T>
void check_finite(const char* where, const T* data, index_t n)
{
    for (index_t i = 0; i < n; ++i)
    {
        if (!structopt::detail::is_finite(data[i]))
        {
            structopt::detail::raise<argument_error>(
                where, "finite numbers", "NaN or infinity at position " + std::to_string(i));
        }
    }
}

/// Throws `argument_error` where nothing was added yet.
inline void check_some(const char* where, index_t n)
{
    if (n == 0)
    {
        structopt::detail::raise<argument_error>(where, "at least one sample", "none");
    }
}

} // namespace detail
} // namespace calibrate
STRUCTOPT_END_NAMESPACE
