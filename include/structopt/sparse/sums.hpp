/// @file
/// Sums over rows and columns.
#pragma once

#include <structopt/sparse/concepts.hpp>

#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// The sum of each row, in the order of `visit`: float for bfloat16, int32 for int8.
template <matrix S>
tensor<accumulator<typename S::value_type>, 1> row_sums(const S& m)
{
    auto sums = structopt::zeros<accumulator<typename S::value_type>>(shape<1>{m.rows()});
    m.visit(
        [&](index_t r, index_t, typename S::value_type value)
        {
            sums.data()[r] += detail::widen(value);
        });
    return sums;
}

/// The sum of each column, in the order of `visit`: float for bfloat16, int32 for int8.
template <matrix S>
tensor<accumulator<typename S::value_type>, 1> column_sums(const S& m)
{
    auto sums = structopt::zeros<accumulator<typename S::value_type>>(shape<1>{m.columns()});
    m.visit(
        [&](index_t, index_t c, typename S::value_type value)
        {
            sums.data()[c] += detail::widen(value);
        });
    return sums;
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
