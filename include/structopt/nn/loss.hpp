/// @file
/// Losses: value and gradient in one pass.
#pragma once

#include <structopt/nn/loss/bce_with_logits.hpp>
#include <structopt/nn/loss/concepts.hpp>
#include <structopt/nn/loss/cross_entropy.hpp>
#include <structopt/nn/loss/huber.hpp>
#include <structopt/nn/loss/kl_divergence.hpp>
#include <structopt/nn/loss/mae.hpp>
#include <structopt/nn/loss/mse.hpp>
#include <structopt/nn/loss/nll.hpp>
