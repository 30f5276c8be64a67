/// @file
/// The architecture that kernels are compiled for by default, and what it offers.
#pragma once

#include <structopt/simd/compat.hpp>

#ifdef STRUCTOPT_DISPATCH
#include <structopt/simd/active_target.hpp>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

namespace detail
{

template <class Arch>
struct usable
{
    using type = Arch;
};

#if XSIMD_VERSION_MAJOR >= 12 &&                                                                   \
    (XSIMD_VERSION_MAJOR < 14 || (XSIMD_VERSION_MAJOR == 14 && XSIMD_VERSION_MINOR < 3))
// Before 14.3 this tag derives from plain avx2 and has no fused multiply-add.
template <>
struct usable<xsimd::avxvnni>
{
    using type = xsimd::fma3<xsimd::avx2>;
};
#endif

} // namespace detail

/// The best architecture that the compiler's flags allow.
using compiled_arch = typename detail::usable<xsimd::default_arch>::type;

#ifdef STRUCTOPT_DISPATCH
/// Stands for the instruction set that is chosen when the program starts (docs/dispatch.md). Kernels
/// with a row in kernel/registry.hpp go through a table; everything else is `compiled_arch`.
struct dispatched : compiled_arch
{
};

/// The architecture of everything that names none. Used only as a default template argument.
using default_arch = dispatched;
#else
using default_arch = compiled_arch;
#endif

/// Whether `Arch` stands for the instruction set that is chosen at run time.
template <class Arch>
inline constexpr bool is_dispatched =
    !std::is_same_v<default_arch, compiled_arch> && std::is_same_v<Arch, default_arch>;

/// Bytes of one register.
template <class Arch>
inline constexpr std::size_t register_bytes = sizeof(typename batch<float, Arch>::register_type);

/// Number of vector registers.
template <class Arch>
inline constexpr index_t register_count =
    register_bytes<Arch> == 64 || std::is_base_of_v<xsimd::neon64, Arch> ? 32 : 16;

/// True where part of a register is read and written as fast as all of it.
template <class Arch>
inline constexpr bool has_masks = register_bytes<Arch> == 64;

/// Name of the architecture, as xsimd spells it; of what is chosen at run time, as `known_targets` does.
template <class Arch = default_arch>
const char* target_name() noexcept
{
#ifdef STRUCTOPT_DISPATCH
    if constexpr (is_dispatched<Arch>)
    {
        return detail::target().name;
    }
#endif
    return Arch::name();
}

} // namespace simd
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
namespace xsimd
{
namespace types
{

XSIMD_DECLARE_SIMD_REGISTER_ALIAS(structopt::simd::dispatched, structopt::simd::compiled_arch);

template <class T>
struct get_bool_simd_register<T, structopt::simd::dispatched>
{
    using compiled = get_bool_simd_register_t<T, structopt::simd::compiled_arch>;
    using type = std::conditional_t<
        std::is_same_v<compiled, simd_register<T, structopt::simd::compiled_arch>>,
        simd_register<T, structopt::simd::dispatched>, compiled>;
};

} // namespace types
} // namespace xsimd
#endif
