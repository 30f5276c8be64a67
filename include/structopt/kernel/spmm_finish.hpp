/// @file
/// Where a sparse product goes, and what happens to it on the way.
#pragma once

#include <structopt/kernel/operand.hpp>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A matrix that is written: element (i, j) is at data[i * row_stride + j * col_stride].
template <class T>
struct spmm_result
{
    T* data = nullptr;
    index_t row_stride = 0;
    index_t col_stride = 0;
};

/// y = act(product + bias): one number per row of W, or null. ReLU keeps a NaN.
template <class T>
struct spmm_finish
{
    const T* bias = nullptr;
    activation act = activation::none;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::spmm_finish;
using shared::spmm_result;

} // namespace kernel
STRUCTOPT_END_NAMESPACE
