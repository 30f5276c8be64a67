/// @file
/// Pruning: criteria, masks, removal of units.
#pragma once

#include <structopt/prune/concepts.hpp>
#include <structopt/prune/gradual.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/prune/units.hpp>
