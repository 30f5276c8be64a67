/// @file
/// Calibration: what a network's layers see, gathered batch by batch.
#pragma once

#include <structopt/calibrate/tap.hpp>
