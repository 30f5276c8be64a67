/// @file
/// Layer-wise optimal brain surgeon: all weights of a layer ranked by what each alone would cost, and
/// the survivors adjusted for all that went.
#pragma once

#include <structopt/prune/optimal_brain_surgeon.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Dong, Chen and Pan, "Learning to Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon",
/// 2017.
///
/// Weights are ranked once, by w_q^2 / [H^-1]_qq (the paper's sensitivity, twice); the lowest go,
/// and each row of survivors becomes the minimum for its zeros (`reconstruct`), where the paper adds up
/// the updates of single weights. Weights that are zero already go first. Exactly round(sparsity * n)
/// weights go.
///
/// Cost: columns^3 / 2 multiply-adds for the inverse, then for each row min(kept, removed)^3 / 6 multiply-adds: at high
/// sparsity next to nothing.
struct layerwise_obs
{
    /// Share of the weights that become zero, in [0, 1).
    double sparsity = 0.5;
    prune::competition competition = prune::competition::matrix;
    /// Added to the diagonal of H, as a share of its mean.
    double damping = 0.01;

    /// Throws `argument_error` for options out of range and numbers that are not finite, `shape_error`
    /// for a `gram` of other extents, `not_positive_definite_error` for one that needs more damping.
    template <std::floating_point T>
    pruned_matrix<T> prune(view<const T, 2> w, view<const double, 2> gram) const
    {
        detail::check_share("layerwise_obs sparsity", sparsity);
        const tensor<double, 2> h = detail::hessian("layerwise_obs", w, gram, damping);
        const tensor<double, 2> inverse = linalg::inverse(linalg::cholesky(h));
        const std::size_t rows = static_cast<std::size_t>(w.shape(0));
        const std::size_t n = static_cast<std::size_t>(w.shape(1));
        std::vector<double> costs;
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            for (index_t c = 0; c < w.shape(1); ++c)
            {
                const double value = static_cast<double>(w(r, c));
                costs.push_back(value * value / inverse(c, c));
            }
        }
        std::vector<std::uint8_t> keep(rows * n, 1);
        const bool by_row = competition == prune::competition::per_row;
        const std::size_t length = by_row ? n : rows * n;
        for (std::size_t first = 0; length > 0 && first < costs.size(); first += length)
        {
            for (const std::size_t i :
                detail::lowest(std::span<const double>(costs).subspan(first, length),
                    detail::share_of(sparsity, length)))
            {
                keep[first + i] = 0;
            }
        }
        return detail::finish(w, h, inverse, std::move(keep));
    }

    template <std::floating_point T>
    pruned_matrix<T> prune(const tensor<T, 2>& w, const tensor<double, 2>& gram) const
    {
        return prune(as_view(w), as_view(gram));
    }

    friend bool operator==(const layerwise_obs&, const layerwise_obs&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
