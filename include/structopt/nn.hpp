/// @file
/// Networks: layers, containers, losses, weight storage, training passes. `<structopt/nn/plan.hpp>`
/// chooses formats of weights; it brings all sparse formats along and is included by itself.
#pragma once

#include <structopt/nn/activation.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/any_weight.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/branches.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/chain.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/every_weight.hpp>
#include <structopt/nn/extent2.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/fold_batch_norm.hpp>
#include <structopt/nn/global_avg_pool.hpp>
#include <structopt/nn/identity.hpp>
#include <structopt/nn/initializer.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/layer_identity.hpp>
#include <structopt/nn/layer_norm.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/pool.hpp>
#include <structopt/nn/reduction.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/scratch.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/softmax.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/nn/transform.hpp>
