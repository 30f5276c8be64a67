/// @file
/// Kernels that call through the table of the instruction set chosen at run time. Kernel headers
/// include this at their end where `STRUCTOPT_DISPATCH` is defined, and turn their rows of the registry
/// into specializations for `simd::dispatched`.
#pragma once

#include <structopt/kernel/registry.hpp>
#include <structopt/simd/active_target.hpp>
#include <structopt/simd/target.hpp>

#include <type_traits>

#ifdef STRUCTOPT_DISPATCH

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel::detail
{

/// The kernels of the chosen instruction set.
inline const shared::kernel_table& chosen() noexcept
{
    return *simd::detail::target().kernels;
}

} // namespace kernel::detail
STRUCTOPT_END_NAMESPACE

/// A row as a specialization; see registry.hpp.
#define STRUCTOPT_DISPATCHED_KERNEL(name, result, kernel, parameters, names)                       \
    template <>                                                                                    \
    inline result STRUCTOPT_KERNEL_NAME kernel parameters noexcept                                 \
    {                                                                                              \
        return detail::chosen().name names;                                                        \
    }

/// Scratch for the chosen kernel, and for that of this file where no row has its arguments.
#define STRUCTOPT_DISPATCHED_SIZE(name, kernel, plain, parameters, names)                          \
    template <>                                                                                    \
    inline std::size_t STRUCTOPT_KERNEL_NAME kernel parameters noexcept                            \
    {                                                                                              \
        const std::size_t chosen = detail::chosen().name names;                                    \
        const std::size_t own = STRUCTOPT_KERNEL_NAME plain names;                                 \
        return chosen > own ? chosen : own;                                                        \
    }

#define STRUCTOPT_DISPATCHED_RULE(name, rule_type, T, Zero)                                        \
    template <>                                                                                    \
    inline void update<simd::dispatched, Zero, STRUCTOPT_KERNEL_NAME rule_type, T>(                \
        STRUCTOPT_KERNEL_NAME rule_type rule, index_t n, T* const* arrays) noexcept                \
    {                                                                                              \
        static_assert(std::is_trivially_copyable_v<STRUCTOPT_KERNEL_NAME rule_type>);              \
        detail::chosen().name(&rule, n, arrays);                                                   \
    }

#endif
