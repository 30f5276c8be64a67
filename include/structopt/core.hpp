/// @file
/// Tensors, views, errors, small floats, the random engine and `parallel_for`. Knows nothing of
/// networks.
#pragma once

#include <structopt/core/allocator.hpp>
#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/parallel.hpp>
#include <structopt/core/random.hpp>
#include <structopt/core/shape.hpp>
#include <structopt/core/small_float.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/core/view.hpp>
