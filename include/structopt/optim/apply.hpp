/// @file
/// From an optimizer's spans to the vector kernels.
#pragma once

#include <structopt/kernel/optimizer_update.hpp>

#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim::detail
{

/// Runs a rule of kernel/optimizer_update.hpp over values, gradients and slots.
template <class Arch, class Rule, class T>
void apply(const Rule& rule, std::span<T> values, std::span<T> gradients,
    std::span<const std::span<T>> slots, bool zero_gradients) noexcept
{
    T* arrays[Rule::arrays] = {values.data(), gradients.data()};
    STRUCTOPT_ASSERT(static_cast<index_t>(slots.size()) + 2 == Rule::arrays);
    for (index_t a = 2; a < Rule::arrays; ++a)
    {
        arrays[a] = slots[static_cast<std::size_t>(a - 2)].data();
    }
    const auto n = static_cast<index_t>(values.size());
    if (zero_gradients)
    {
        kernel::update<Arch, true>(rule, n, arrays);
    }
    else
    {
        kernel::update<Arch, false>(rule, n, arrays);
    }
}

} // namespace optim::detail
STRUCTOPT_END_NAMESPACE
