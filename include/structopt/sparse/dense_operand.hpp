/// @file
/// The dense operands of sparse algebra: tensors and strided views of rank 1 and 2.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/sparse/element.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

namespace detail
{

template <class T, std::size_t N>
view<const std::remove_const_t<T>, N> view_of(view<T, N> x) noexcept
{
    return x;
}

template <class X>
    requires requires(const X& x)
    {
        x.data();
        structopt::shape_of(x);
    }
auto view_of(const X& x) noexcept
{
    using T = std::remove_cvref_t<decltype(*x.data())>;
    constexpr std::size_t n = std::tuple_size_v<decltype(structopt::shape_of(x))>;
    static_assert(tensor_like<const X, const T, n>, "the operand must be row-major");
    return view<const T, n>(x);
}

/// A view with rows and columns exchanged.
template <class T>
view<T, 2> turned(view<T, 2> x) noexcept
{
    return {x.data(), shape<2>{x.shape(1), x.shape(0)}, shape<2>{x.stride(1), x.stride(0)}};
}

/// A vector as a matrix of one column.
template <class T>
view<T, 2> as_column(view<T, 1> x) noexcept
{
    return {x.data(), shape<2>{x.shape(0), 1}, shape<2>{x.stride(0), 1}};
}

} // namespace detail

/// A tensor, an xtensor container or a view of rank 1 or 2 whose elements a sparse matrix may have.
template <class X>
concept dense_operand = requires(const X& x)
{
    detail::view_of(x);
}
&&element<typename decltype(detail::view_of(std::declval<const X&>()))::value_type> &&
    (decltype(detail::view_of(std::declval<const X&>()))::rank == 1 ||
        decltype(detail::view_of(std::declval<const X&>()))::rank == 2);

/// Element type of a dense operand.
template <dense_operand X>
using element_of = typename decltype(detail::view_of(std::declval<const X&>()))::value_type;

/// Rank of a dense operand.
template <dense_operand X>
inline constexpr std::size_t rank_of = decltype(detail::view_of(std::declval<const X&>()))::rank;

} // namespace sparse
STRUCTOPT_END_NAMESPACE
