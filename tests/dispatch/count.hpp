// A table that counts the calls of every row of the registry.
#pragma once

#include <structopt/kernel.hpp>
#include <structopt/kernel/dispatch.hpp>

#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

#define NUMBER_OF(name, ...) row_##name,
enum counted_row : int
{
    STRUCTOPT_KERNELS(NUMBER_OF, NUMBER_OF) STRUCTOPT_OPTIMIZER_RULES(NUMBER_OF) row_count
};
#undef NUMBER_OF

#define NAME_OF(name, ...) #name,
inline const char* const row_names[] = {
    STRUCTOPT_KERNELS(NAME_OF, NAME_OF) STRUCTOPT_OPTIMIZER_RULES(NAME_OF)};
#undef NAME_OF

inline int row_calls[row_count] = {};

/// What is called after counting.
inline const shared::kernel_table* counted_kernels = nullptr;

namespace counted
{

#define COUNTED_KERNEL(name, result, kernel, parameters, names)                                    \
    inline result name parameters noexcept                                                         \
    {                                                                                              \
        ++row_calls[row_##name];                                                                   \
        return counted_kernels->name names;                                                        \
    }
#define COUNTED_SIZE(name, kernel, plain, parameters, names)                                       \
    COUNTED_KERNEL(name, std::size_t, kernel, parameters, names)
#define COUNTED_RULE(name, rule_type, T, Zero)                                                     \
    COUNTED_KERNEL(                                                                                \
        name, void, (update), (const void* rule, index_t n, T* const* arrays), (rule, n, arrays))

STRUCTOPT_KERNELS(COUNTED_KERNEL, COUNTED_SIZE)
STRUCTOPT_OPTIMIZER_RULES(COUNTED_RULE)

#undef COUNTED_KERNEL
#undef COUNTED_SIZE
#undef COUNTED_RULE

} // namespace counted

/// From here on `name` runs by way of the counters, until the next `simd::use_target`.
inline void count_calls(std::string_view name)
{
    static shared::kernel_table table;
    static shared::kernel_target target{"counted", &table};
#define SET(name, ...) table.name = &counted::name;
    STRUCTOPT_KERNELS(SET, SET)
    STRUCTOPT_OPTIMIZER_RULES(SET)
#undef SET
    counted_kernels = simd::detail::find_target(name)->kernels;
    shared::chosen_target = &target;
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE
