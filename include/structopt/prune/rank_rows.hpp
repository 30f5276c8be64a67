/// @file
/// Scores compared within each row: every unit loses the same share of its weights.
#pragma once

#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Every score replaced by the share of its row that is lower: rank / columns, in [0, 1). Of equal scores
/// the earlier ranks lower.
///
/// A mask made from these takes the same number from every row, or one more from the first rows where
/// it does not divide: what Wanda asks for. Throws `argument_error`, naming layer and position, for
/// a score that is NaN or infinite. O(n log columns).
///
///     prune::make_mask(net, prune::rank_rows(prune::score(net, prune::wanda{}, seen)), {.sparsity = 0.5})
inline scores rank_rows(scores found)
{
    prune::check_scores(found);
    std::vector<std::size_t> order;
    std::vector<double> ranks;
    for (layer_scores& layer : found.layers)
    {
        const auto columns = static_cast<std::size_t>(layer.extents().columns());
        order.resize(columns);
        ranks.resize(columns);
        for (std::size_t first = 0; first < layer.values.size(); first += columns)
        {
            double* const row = layer.values.data() + first;
            std::iota(order.begin(), order.end(), std::size_t{0});
            std::sort(order.begin(), order.end(),
                [&](std::size_t a, std::size_t b)
                {
                    return row[a] < row[b] || (row[a] == row[b] && a < b);
                });
            for (std::size_t rank = 0; rank < columns; ++rank)
            {
                ranks[order[rank]] = static_cast<double>(rank) / static_cast<double>(columns);
            }
            std::copy(ranks.begin(), ranks.end(), row);
        }
    }
    return found;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
