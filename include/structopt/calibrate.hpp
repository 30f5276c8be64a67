/// @file
/// Calibration: what a network's layers see, gathered batch by batch.
#pragma once

#include <structopt/calibrate/gram.hpp>
#include <structopt/calibrate/layer_rows.hpp>
#include <structopt/calibrate/moments.hpp>
#include <structopt/calibrate/tap.hpp>
