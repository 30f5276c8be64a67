/// @file
/// The table of the instruction set that a file is compiled for: all rows of the registry.
///
/// Included by the one file that `structopt_target_kernels` compiles for each of them, never with
/// `STRUCTOPT_DISPATCH`.
#pragma once

#include <structopt/kernel.hpp>
#include <structopt/kernel/registry.hpp>

#include <cstring>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

namespace detail
{

template <class Rule, class T, bool Zero>
void update_by_bytes(const void* rule_bytes, index_t n, T* const* arrays) noexcept
{
    Rule rule;
    std::memcpy(&rule, rule_bytes, sizeof rule);
    update<simd::default_arch, Zero>(rule, n, arrays);
}

} // namespace detail

#define STRUCTOPT_TABLE_KERNEL(name, result, kernel, parameters, names)                            \
    table.name = &STRUCTOPT_KERNEL_NAME kernel;
#define STRUCTOPT_TABLE_SIZE(name, kernel, plain, parameters, names)                               \
    table.name = &STRUCTOPT_KERNEL_NAME kernel;
#define STRUCTOPT_TABLE_RULE(name, rule_type, T, Zero)                                             \
    table.name = &detail::update_by_bytes<STRUCTOPT_KERNEL_NAME rule_type, T, Zero>;

constexpr shared::kernel_table make_table() noexcept
{
    shared::kernel_table table{};
    STRUCTOPT_KERNELS(STRUCTOPT_TABLE_KERNEL, STRUCTOPT_TABLE_SIZE)
    STRUCTOPT_OPTIMIZER_RULES(STRUCTOPT_TABLE_RULE)
    return table;
}

#undef STRUCTOPT_TABLE_KERNEL
#undef STRUCTOPT_TABLE_SIZE
#undef STRUCTOPT_TABLE_RULE

} // namespace kernel
STRUCTOPT_END_NAMESPACE
