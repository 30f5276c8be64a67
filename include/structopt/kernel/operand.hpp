/// @file
/// What a dense product is made of: strided operands and what happens to the result.
#pragma once

#include <structopt/core/shape.hpp>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A matrix that is only read: element (i, j) is at data[i * row_stride + j * col_stride].
///
/// Row-major W[n, k] is {w, k, 1}; its transpose, without moving anything, {w, 1, k}.
template <class T>
struct matrix_operand
{
    const T* data = nullptr;
    index_t row_stride = 0;
    index_t col_stride = 0;
};

/// The function that a product may apply to its result.
enum class activation
{
    none,
    relu
};

/// What is done with a product P: C = act((accumulate ? C : 0) + P + bias + row_bias).
///
/// `bias` has one value per column, `row_bias` one per row; null is none. ReLU keeps a NaN.
template <class T>
struct epilogue
{
    const T* bias = nullptr;
    const T* row_bias = nullptr;
    bool accumulate = false;
    activation act = activation::none;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::activation;
using shared::epilogue;
using shared::matrix_operand;

} // namespace kernel
STRUCTOPT_END_NAMESPACE
