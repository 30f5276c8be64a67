/// @file
/// What `residual` and `concat` share: two layers on the same input.
#pragma once

#include <structopt/nn/sequential.hpp>

#include <cstddef>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Named in the first line of a compile error: two branches that take or give different ranks.
template <class First, class Second>
struct ranks_differ_of_branches;

namespace detail
{

/// The rank that two branches have in common; 0 where neither declares one.
constexpr std::size_t common_rank(std::size_t first, std::size_t second) noexcept
{
    return first != 0 ? first : second;
}

constexpr bool ranks_differ(std::size_t first, std::size_t second) noexcept
{
    return first != 0 && second != 0 && first != second;
}

/// An incomplete type if the ranks differ: `sizeof` is the check, and one line of error.
template <class First, class Second>
using checked_branches =
    std::conditional_t<ranks_differ(declared_input_rank<First>(), declared_input_rank<Second>()) ||
                           ranks_differ(
                               declared_output_rank<First>(), declared_output_rank<Second>()),
        ranks_differ_of_branches<First, Second>, std::true_type>;

/// What training keeps of two branches: of each its own cache, its output and the gradient of it,
/// and the gradient of the input through the second.
template <class First, class Second, class T, std::size_t N>
struct branches_cache
{
    static constexpr std::size_t rank = nn::output_rank<First, N>;

    typename layer_traits<First>::template cache<T, N> first;
    typename layer_traits<Second>::template cache<T, N> second;
    tensor<T, rank> first_y;
    tensor<T, rank> second_y;
    tensor<T, rank> first_dy;
    tensor<T, rank> second_dy;
    tensor<T, N> dx;

    void seed(random_engine& rng)
    {
        layer_traits<First>::seed(first, rng);
        layer_traits<Second>::seed(second, rng);
    }
};

} // namespace detail
} // namespace nn
STRUCTOPT_END_NAMESPACE
