/// @file
/// Linear algebra: factorizations of dense matrices, clusters of numbers.
#pragma once

#include <structopt/linalg/cholesky.hpp>
#include <structopt/linalg/k_means_1d.hpp>
#include <structopt/linalg/not_positive_definite.hpp>
