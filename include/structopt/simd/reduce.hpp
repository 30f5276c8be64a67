/// @file
/// The sum over the elements of one register.
#pragma once

#include <structopt/simd/target.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Sum of the elements, always in the same order for one architecture.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE T reduce_add(const batch<T, Arch>& x) noexcept
{
#if XSIMD_VERSION_MAJOR >= 10
    return xsimd::reduce_add(x);
#else
    return xsimd::hadd(x);
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
