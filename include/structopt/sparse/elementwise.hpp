/// @file
/// Entry by entry: sums of matrices, products and quotients with dense ones, any function.
#pragma once

#include <structopt/sparse/concepts.hpp>
#include <structopt/sparse/dense_operand.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

namespace detail
{

template <class S, class X>
void check_same_extents(const char* where, const S& m, const X& x)
{
    check_shape(where, shape<2>{m.rows(), m.columns()}, x.shape());
}

} // namespace detail

/// `f(row, column, value)` in place of every entry: the same format, the same positions (zeros among
/// the results are entries where the format can hold them).
template <matrix S, class F>
    requires std::convertible_to <
        std::invoke_result_t<F&, index_t, index_t, typename S::value_type>,
typename S::value_type > S map_entries(const S& m, F&& f)
{
    using T = typename S::value_type;
    auto list = entries_of(m);
    std::size_t i = 0;
    for (index_t r = 0; r < list.rows; ++r)
    {
        for (; i < list.offsets[static_cast<std::size_t>(r) + 1]; ++i)
        {
            list.values[i] = static_cast<T>(f(r, list.indices[i], list.values[i]));
        }
    }
    return S(list);
}

/// Every entry times the number that a dense matrix of the same extents has in its place. Places
/// without an entry stay zero, whatever the dense matrix holds there.
template <matrix S, dense_operand X>
    requires(rank_of<X> == 2 && std::same_as<element_of<X>, typename S::value_type>)
S multiply_elements(const S& m, const X& dense)
{
    using T = typename S::value_type;
    using wide = detail::wide_accumulator<T>;
    const auto x = detail::view_of(dense);
    detail::check_same_extents("sparse::multiply_elements", m, x);
    return sparse::map_entries(m,
        [&](index_t r, index_t c, T value)
        {
            return detail::narrow<T>(
                wide(detail::widen(value)) * wide(detail::widen(x(r, c))), r, c);
        });
}

/// Every entry divided by the number that a dense matrix of the same extents has in its place.
template <matrix S, dense_operand X>
    requires(rank_of<X> == 2 && std::same_as<element_of<X>, typename S::value_type> &&
             !std::integral<typename S::value_type>)
S divide_elements(const S& m, const X& dense)
{
    using T = typename S::value_type;
    const auto x = detail::view_of(dense);
    detail::check_same_extents("sparse::divide_elements", m, x);
    return sparse::map_entries(m,
        [&](index_t r, index_t c, T value)
        {
            return detail::narrow<T>(detail::widen(value) / detail::widen(x(r, c)), r, c);
        });
}

/// Every entry times `factor`.
template <matrix S>
S scale(const S& m, accumulator<typename S::value_type> factor)
{
    using T = typename S::value_type;
    using wide = detail::wide_accumulator<T>;
    return sparse::map_entries(m,
        [&](index_t r, index_t c, T value)
        {
            return detail::narrow<T>(wide(detail::widen(value)) * wide(factor), r, c);
        });
}

/// alpha A + beta B in the format of A, with an entry where either has one.
///
/// Throws `shape_error` for different extents, `argument_error` where the format cannot hold the sum
/// or an integer does not fit. O(entries + rows).
template <matrix A, matrix B>
    requires std::same_as<typename A::value_type, typename B::value_type> A add(const A& a,
        const B& b, accumulator<typename A::value_type> alpha = 1,
        accumulator<typename A::value_type> beta = 1)
    {
        using T = typename A::value_type;
        using wide = detail::wide_accumulator<T>;
        check_shape(
            "sparse::add", shape<2>{a.rows(), a.columns()}, shape<2>{b.rows(), b.columns()});
        const auto x = entries_of(a);
        const auto y = entries_of(b);
        row_entries<T> sum{x.rows, x.columns};
        for (index_t r = 0; r < x.rows; ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            std::size_t i = x.offsets[row];
            std::size_t j = y.offsets[row];
            while (i < x.offsets[row + 1] || j < y.offsets[row + 1])
            {
                const bool from_x = j == y.offsets[row + 1] ||
                                    (i < x.offsets[row + 1] && x.indices[i] <= y.indices[j]);
                const bool from_y = i == x.offsets[row + 1] ||
                                    (j < y.offsets[row + 1] && y.indices[j] <= x.indices[i]);
                const index_t c = from_x ? x.indices[i] : y.indices[j];
                auto value = wide(0);
                if (from_x)
                {
                    value += wide(alpha) * wide(detail::widen(x.values[i]));
                }
                if (from_y)
                {
                    value += wide(beta) * wide(detail::widen(y.values[j]));
                }
                i += from_x ? 1 : 0;
                j += from_y ? 1 : 0;
                sum.indices.push_back(c);
                sum.values.push_back(detail::narrow<T>(value, r, c));
            }
            sum.offsets.push_back(sum.values.size());
        }
        return A(sum);
    }

/// The dense matrix x + M.
template <dense_operand X, matrix S>
    requires(rank_of<X> == 2 && std::same_as<element_of<X>, typename S::value_type>)
tensor<typename S::value_type, 2> add(const X& x, const S& m)
{
    using T = typename S::value_type;
    using wide = detail::wide_accumulator<T>;
    const auto from = detail::view_of(x);
    detail::check_same_extents("sparse::add", m, from);
    auto sum = structopt::copy(from);
    entries_of(m).visit(
        [&](index_t r, index_t c, T value)
        {
            T& to = sum.data()[r * m.columns() + c];
            to = detail::narrow<T>(wide(detail::widen(to)) + wide(detail::widen(value)), r, c);
        });
    return sum;
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
