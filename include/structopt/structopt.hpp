/// @file
/// Everything. Programs that care for compile time include what they use.
#pragma once

#include <structopt/calibrate.hpp>
#include <structopt/compress.hpp>
#include <structopt/core.hpp>
#include <structopt/io.hpp>
#include <structopt/io/checkpoint.hpp>
#include <structopt/io/mask.hpp>
#include <structopt/io/plan_table.hpp>
#include <structopt/io/quantized.hpp>
#include <structopt/io/state.hpp>
#include <structopt/linalg.hpp>
#include <structopt/nn.hpp>
#include <structopt/nn/plan.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/quantize.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/quantize/packed_model.hpp>
#include <structopt/schedule.hpp>
#include <structopt/sparse.hpp>
#include <structopt/sparse/model.hpp>
#include <structopt/train.hpp>
#include <structopt/version.hpp>
