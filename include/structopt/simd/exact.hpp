/// @file
/// Floating point that rounds where it is written, so that every instruction set gives equal bits.
#pragma once

#include <structopt/simd/target.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// `x`, as a value that the compiler knows nothing about.
///
/// Compilers may fuse a product and a sum into one rounding (g++ does by default where there is a
/// fused multiply-add), and reorder under -ffast-math. An empty instruction between the two forbids
/// that at no cost. MSVC does not contract unless told to.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> rounded(const batch<T, Arch>& x) noexcept
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    typename batch<T, Arch>::register_type value = x;
    if constexpr (register_bytes<Arch> == 64)
    {
        asm("" : "+v"(value));
    }
    else
    {
        asm("" : "+x"(value));
    }
    return value;
#elif defined(__GNUC__) && defined(__ARM_NEON)
    typename batch<T, Arch>::register_type value = x;
    asm("" : "+w"(value));
    return value;
#else
    return x;
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
