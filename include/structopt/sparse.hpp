/// @file
/// Sparse matrices: formats, conversions and algebra. `<structopt/sparse/model.hpp>` makes them
/// weights of layers.
#pragma once

#include <structopt/sparse/bitmask.hpp>
#include <structopt/sparse/bsr.hpp>
#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/concepts.hpp>
#include <structopt/sparse/convert.hpp>
#include <structopt/sparse/coo.hpp>
#include <structopt/sparse/csc.hpp>
#include <structopt/sparse/csr.hpp>
#include <structopt/sparse/dense_operand.hpp>
#include <structopt/sparse/element.hpp>
#include <structopt/sparse/elementwise.hpp>
#include <structopt/sparse/entries.hpp>
#include <structopt/sparse/extents.hpp>
#include <structopt/sparse/multiply.hpp>
#include <structopt/sparse/multiply_sparse.hpp>
#include <structopt/sparse/nm.hpp>
#include <structopt/sparse/packed_nm.hpp>
#include <structopt/sparse/sampled_product.hpp>
#include <structopt/sparse/sliced.hpp>
#include <structopt/sparse/sums.hpp>
#include <structopt/sparse/tiled.hpp>
#include <structopt/sparse/transpose.hpp>
