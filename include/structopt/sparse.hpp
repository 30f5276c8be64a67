/// @file
/// Sparse matrices. `<structopt/sparse/model.hpp>` makes them weights of layers.
#pragma once

#include <structopt/sparse/csr.hpp>
