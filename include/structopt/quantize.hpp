/// @file
/// Quantized tensors and matrices. `<structopt/quantize/model.hpp>` lifts them over networks.
#pragma once

#include <structopt/quantize/additive_powers.hpp>
#include <structopt/quantize/affine.hpp>
#include <structopt/quantize/binary.hpp>
#include <structopt/quantize/bit_pack.hpp>
#include <structopt/quantize/clipping.hpp>
#include <structopt/quantize/codebook.hpp>
#include <structopt/quantize/concepts.hpp>
#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/error.hpp>
#include <structopt/quantize/fixed_point.hpp>
#include <structopt/quantize/granularity.hpp>
#include <structopt/quantize/int8_matrix.hpp>
#include <structopt/quantize/int8_nm.hpp>
#include <structopt/quantize/int8_vectors.hpp>
#include <structopt/quantize/logarithmic.hpp>
#include <structopt/quantize/low_bit_matrix.hpp>
#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/power_of_two.hpp>
#include <structopt/quantize/quantized_tensor.hpp>
#include <structopt/quantize/rounding.hpp>
#include <structopt/quantize/stored_as.hpp>
#include <structopt/quantize/symmetric.hpp>
#include <structopt/quantize/symmetric_int8.hpp>
#include <structopt/quantize/ternary.hpp>
