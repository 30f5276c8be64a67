/// @file
/// A dense product at the positions of a sparse matrix alone (SDDMM).
#pragma once

#include <structopt/kernel/sddmm_csr.hpp>
#include <structopt/sparse/csr.hpp>
#include <structopt/sparse/dense_operand.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// The elements of A B^T at the stored positions of `pattern` [rows, columns], for A [rows, k] and
/// B [columns, k]; the pattern's own values do not matter. With A = dy^T and B = x^T this is the
/// gradient of a sparse weight.
///
/// Bit-equal for every number of threads. Throws `shape_error` for other extents. O(entries * k).
template <std::floating_point T, class Index, dense_operand A, dense_operand B>
    requires(rank_of<A> == 2 && rank_of<B> == 2 && std::same_as<element_of<A>, T> &&
             std::same_as<element_of<B>, T>)
csr<T, Index> sampled_product(const csr<T, Index>& pattern, const A& a, const B& b)
{
    const auto left = detail::view_of(a);
    const auto right = detail::view_of(b);
    check_shape(
        "sparse::sampled_product, left operand", shape<2>{pattern.rows(), -1}, left.shape());
    const index_t k = left.shape(1);
    check_shape(
        "sparse::sampled_product, right operand", shape<2>{pattern.columns(), k}, right.shape());
    csr<T, Index> result = pattern;
    const auto values = result.values();
    std::fill(values.begin(), values.end(), T(0));
    buffer<std::byte> scratch(
        kernel::sddmm_csr_scratch_bytes<T>(k, pattern.rows(), pattern.columns()));
    kernel::sddmm_csr<>(k, pattern.rows(), pattern.columns(), values.data(),
        pattern.indices().data(), pattern.offsets().data(), left.data(), left.stride(1),
        left.stride(0), right.data(), right.stride(1), right.stride(0), scratch.data());
    return result;
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
