/// @file
/// Optimal brain surgeon: one weight after the other, each the one whose loss costs least, with the
/// survivors adjusted every time.
#pragma once

#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/reconstruction.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Where weights of a matrix compete for staying.
enum class competition
{
    per_row, ///< every output loses the same share
    matrix   ///< the cheapest weights of the whole matrix go
};

/// Hassibi and Stork, "Second order derivatives for network pruning: Optimal Brain Surgeon", 1993, on
/// one layer, where the Hessian of the squared change of the outputs is the same H for every row.
///
/// Again and again the weight q with the lowest w_q^2 / [H^-1]_qq goes (the paper's saliency, twice),
/// the others of its row become w - w_q / [H^-1]_qq [H^-1]_q, and H^-1 loses row and column q. Exact
/// for the quadratic form and the order found; for small layers: rows columns^3 / 3 multiply-adds,
/// columns^2 doubles. Weights that are zero already go first.
struct optimal_brain_surgeon
{
    /// Share of the weights that become zero, in [0, 1).
    double sparsity = 0.5;
    prune::competition competition = prune::competition::matrix;
    /// Added to the diagonal of H, as a share of its mean.
    double damping = 1e-4;

    /// Throws `argument_error` for options out of range and numbers that are not finite, `shape_error`
    /// for a `gram` of other extents, `not_positive_definite_error` for one that needs more damping.
    template <std::floating_point T>
    pruned_matrix<T> prune(view<const T, 2> w, view<const double, 2> gram) const;

    template <std::floating_point T>
    pruned_matrix<T> prune(const tensor<T, 2>& w, const tensor<double, 2>& gram) const
    {
        return prune(as_view(w), as_view(gram));
    }

    friend bool operator==(const optimal_brain_surgeon&, const optimal_brain_surgeon&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The order in which the weights of one row go, and what each costs.
struct surgery
{
    std::vector<index_t> order;
    std::vector<double> costs;
};

/// Takes `n` weights out of a row w; P = H^-1 and w are used up.
inline surgery operate(std::vector<double> w, tensor<double, 2>& p, index_t n)
{
    const index_t columns = static_cast<index_t>(w.size());
    std::vector<index_t> left(w.size());
    for (index_t i = 0; i < columns; ++i)
    {
        left[static_cast<std::size_t>(i)] = i;
    }
    surgery result;
    std::vector<double> pivot_row(w.size());
    for (index_t step = 0; step < n; ++step)
    {
        const index_t size = columns - step;
        index_t q = 0;
        double least = 0;
        for (index_t i = 0; i < size; ++i)
        {
            const double value = w[static_cast<std::size_t>(i)];
            const double cost = value * value / p.data()[i * columns + i];
            const bool earlier =
                left[static_cast<std::size_t>(i)] < left[static_cast<std::size_t>(q)];
            if (i == 0 || cost < least || (cost <= least && earlier))
            {
                q = i;
                least = cost;
            }
        }
        result.order.push_back(left[static_cast<std::size_t>(q)]);
        result.costs.push_back(least);
        const double diagonal = p.data()[q * columns + q];
        std::copy_n(p.data() + q * columns, size, pivot_row.begin());
        const double taken = w[static_cast<std::size_t>(q)] / diagonal;
        for (index_t i = 0; i < size; ++i)
        {
            double* const row = p.data() + i * columns;
            const double share = row[q] / diagonal;
            for (index_t j = 0; j < size; ++j)
            {
                row[j] -= share * pivot_row[static_cast<std::size_t>(j)];
            }
            w[static_cast<std::size_t>(i)] -= taken * pivot_row[static_cast<std::size_t>(i)];
        }
        // The last one takes the empty place.
        const index_t last = size - 1;
        std::copy_n(p.data() + last * columns, size, p.data() + q * columns);
        for (index_t i = 0; i < size; ++i)
        {
            p.data()[i * columns + q] = p.data()[i * columns + last];
        }
        w[static_cast<std::size_t>(q)] = w[static_cast<std::size_t>(last)];
        left[static_cast<std::size_t>(q)] = left[static_cast<std::size_t>(last)];
    }
    return result;
}

/// How many weights each row loses if the cheapest next one goes, again and again.
inline std::vector<std::size_t> cheapest_counts(const std::vector<surgery>& rows, std::size_t total)
{
    std::vector<std::size_t> counts(rows.size(), 0);
    using entry = std::pair<double, std::size_t>;
    std::priority_queue<entry, std::vector<entry>, std::greater<>> next;
    for (std::size_t r = 0; r < rows.size(); ++r)
    {
        if (!rows[r].costs.empty())
        {
            next.emplace(rows[r].costs[0], r);
        }
    }
    for (; total > 0 && !next.empty(); --total)
    {
        const std::size_t r = next.top().second;
        next.pop();
        if (++counts[r] < rows[r].costs.size())
        {
            next.emplace(rows[r].costs[counts[r]], r);
        }
    }
    return counts;
}

} // namespace detail

template <std::floating_point T>
pruned_matrix<T> optimal_brain_surgeon::prune(view<const T, 2> w, view<const double, 2> gram) const
{
    detail::check_share("optimal_brain_surgeon sparsity", sparsity);
    const tensor<double, 2> h = detail::hessian("optimal_brain_surgeon", w, gram, damping);
    const tensor<double, 2> inverse = linalg::inverse(linalg::cholesky(h));
    const index_t rows = w.shape(0);
    const index_t n = w.shape(1);
    const bool by_row = competition == prune::competition::per_row;
    const std::size_t of_row = detail::share_of(sparsity, static_cast<std::size_t>(n));
    std::vector<detail::surgery> surgeries;
    std::vector<double> row(static_cast<std::size_t>(n));
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t c = 0; c < n; ++c)
        {
            row[static_cast<std::size_t>(c)] = static_cast<double>(w(r, c));
        }
        tensor<double, 2> p = inverse;
        surgeries.push_back(detail::operate(row, p, by_row ? static_cast<index_t>(of_row) : n));
    }
    std::vector<std::size_t> counts(static_cast<std::size_t>(rows), of_row);
    if (!by_row)
    {
        counts = detail::cheapest_counts(
            surgeries, detail::share_of(sparsity, static_cast<std::size_t>(rows * n)));
    }
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(rows * n), 1);
    for (std::size_t r = 0; r < surgeries.size(); ++r)
    {
        for (std::size_t i = 0; i < counts[r]; ++i)
        {
            keep[r * static_cast<std::size_t>(n) +
                 static_cast<std::size_t>(surgeries[r].order[i])] = 0;
        }
    }
    // The updates one after the other end at the minimum for the zeros chosen: taken from there, with
    // no rounding gathered on the way.
    return detail::finish(w, h, inverse, std::move(keep));
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
