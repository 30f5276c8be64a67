/// @file
/// Datasets, metrics and the training loop.
#pragma once

#include <structopt/train/context.hpp>
#include <structopt/train/dataset.hpp>
#include <structopt/train/early_stopping.hpp>
#include <structopt/train/evaluate.hpp>
#include <structopt/train/fit.hpp>
#include <structopt/train/history.hpp>
#include <structopt/train/metric.hpp>
#include <structopt/train/options.hpp>
#include <structopt/train/progress.hpp>
#include <structopt/train/rate.hpp>
#include <structopt/train/run_state.hpp>
#include <structopt/train/validation.hpp>
