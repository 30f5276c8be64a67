/// @file
/// Linear algebra: factorizations of dense matrices.
#pragma once

#include <structopt/linalg/cholesky.hpp>
#include <structopt/linalg/not_positive_definite.hpp>
