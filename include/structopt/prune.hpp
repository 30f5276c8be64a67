/// @file
/// Pruning: criteria, masks, removal of units.
#pragma once

#include <structopt/prune/activation_variance.hpp>
#include <structopt/prune/average_zeros.hpp>
#include <structopt/prune/batch_norm_scale.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/connection_sensitivity.hpp>
#include <structopt/prune/evidence.hpp>
#include <structopt/prune/gradient_times_weight.hpp>
#include <structopt/prune/gradual.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/mean_activation.hpp>
#include <structopt/prune/movement.hpp>
#include <structopt/prune/observations.hpp>
#include <structopt/prune/observe.hpp>
#include <structopt/prune/optimal_brain_damage.hpp>
#include <structopt/prune/rank_rows.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/prune/taylor.hpp>
#include <structopt/prune/units.hpp>
#include <structopt/prune/wanda.hpp>
