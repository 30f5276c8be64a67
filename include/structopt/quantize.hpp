/// @file
/// Quantized matrices. `<structopt/quantize/model.hpp>` lifts them over networks.
#pragma once

#include <structopt/quantize/int8_matrix.hpp>
#include <structopt/quantize/int8_nm.hpp>
#include <structopt/quantize/int8_vectors.hpp>
#include <structopt/quantize/symmetric_int8.hpp>
