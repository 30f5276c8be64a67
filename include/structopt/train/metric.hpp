/// @file
/// Metrics.
#pragma once

#include <structopt/train/metric/accuracy.hpp>
#include <structopt/train/metric/concepts.hpp>
#include <structopt/train/metric/confusion_matrix.hpp>
#include <structopt/train/metric/mean_loss.hpp>
#include <structopt/train/metric/mean_squared_error.hpp>
#include <structopt/train/metric/top_k.hpp>
