/// @file
/// Networks whose activations stay int8 codes between layers.
#pragma once

#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/integer/border.hpp>
#include <structopt/quantize/integer/build.hpp>
#include <structopt/quantize/integer/calibration.hpp>
#include <structopt/quantize/integer/conv2d.hpp>
#include <structopt/quantize/integer/dense.hpp>
#include <structopt/quantize/integer/float_island.hpp>
#include <structopt/quantize/integer/form.hpp>
#include <structopt/quantize/integer/int8_rescale.hpp>
#include <structopt/quantize/integer/lookup.hpp>
#include <structopt/quantize/integer/network.hpp>
#include <structopt/quantize/integer/pool.hpp>
#include <structopt/quantize/integer/rescale.hpp>
#include <structopt/quantize/integer/residual.hpp>
#include <structopt/quantize/integer/weighted.hpp>
#include <structopt/quantize/observer/least_error.hpp>
#include <structopt/quantize/observer/mean_deviation.hpp>
#include <structopt/quantize/observer/min_max.hpp>
#include <structopt/quantize/observer/moving_average.hpp>
#include <structopt/quantize/observer/percentile.hpp>
