/// @file
/// Learning-rate and sparsity schedules: functions of the number of steps done. Need no network.
#pragma once

#include <structopt/schedule/concepts.hpp>
#include <structopt/schedule/constant.hpp>
#include <structopt/schedule/constant_sparsity.hpp>
#include <structopt/schedule/cosine_decay.hpp>
#include <structopt/schedule/cosine_restarts.hpp>
#include <structopt/schedule/cubic_sparsity.hpp>
#include <structopt/schedule/exponential_decay.hpp>
#include <structopt/schedule/exponential_sparsity.hpp>
#include <structopt/schedule/inverse_time_decay.hpp>
#include <structopt/schedule/linear_sparsity.hpp>
#include <structopt/schedule/linear_warmup.hpp>
#include <structopt/schedule/multi_step.hpp>
#include <structopt/schedule/one_cycle.hpp>
#include <structopt/schedule/one_shot_sparsity.hpp>
#include <structopt/schedule/piecewise_constant.hpp>
#include <structopt/schedule/polynomial_decay.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/schedule/step_decay.hpp>
