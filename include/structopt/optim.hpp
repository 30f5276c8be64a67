/// @file
/// Optimizers, gradient clipping, regularizers and constraints on parameters.
#pragma once

#include <structopt/optim/adadelta.hpp>
#include <structopt/optim/adagrad.hpp>
#include <structopt/optim/adam.hpp>
#include <structopt/optim/adamw.hpp>
#include <structopt/optim/amsgrad.hpp>
#include <structopt/optim/clip.hpp>
#include <structopt/optim/concepts.hpp>
#include <structopt/optim/constraint.hpp>
#include <structopt/optim/elastic_net.hpp>
#include <structopt/optim/group_lasso.hpp>
#include <structopt/optim/max_norm.hpp>
#include <structopt/optim/momentum.hpp>
#include <structopt/optim/nadam.hpp>
#include <structopt/optim/nesterov.hpp>
#include <structopt/optim/proximal.hpp>
#include <structopt/optim/regularizer.hpp>
#include <structopt/optim/rmsprop.hpp>
#include <structopt/optim/sgd.hpp>
#include <structopt/optim/step.hpp>
