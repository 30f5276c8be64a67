/// @file
/// Kernels: dense products and im2col on raw pointers.
#pragma once

#include <structopt/kernel/gemm.hpp>
#include <structopt/kernel/operand.hpp>
#include <structopt/kernel/pack.hpp>
