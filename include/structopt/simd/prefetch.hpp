/// @file
/// Asking for memory that will be read very soon.
#pragma once

#include <structopt/simd/compat.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Asks for the cache line at `address` into the nearest cache; never faults.
STRUCTOPT_ALWAYS_INLINE void prefetch_near(const void* address) noexcept
{
#if defined(__GNUC__)
    __builtin_prefetch(address, 0, 3);
#else
    static_cast<void>(address);
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
