/// @file
/// What goes together: single weights, blocks, vectors, rows, columns, kernels.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/shape.hpp>
#include <structopt/prune/norm.hpp>
#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Cuts a weight into groups that stay or go as one: `groups(extents)` is their number, and
/// `group_of(extents, row, column)` the group of one number, 0 to groups - 1, none of them empty.
///
/// Groups are ranked by the mean of their weights' scores; with a member `norm` of p by
/// (mean |score|^p)^(1/p). A granularity of one's own is one struct with these members.
template <class G>
concept granularity = requires(
    const G& g, const weight_extents& extents, index_t row, index_t column)
{
    {
        g.groups(extents)
        } -> std::same_as<index_t>;
    {
        g.group_of(extents, row, column)
        } -> std::same_as<index_t>;
};

/// Every weight for itself.
struct single
{
    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return extents.size();
    }

    static constexpr index_t group_of(
        const weight_extents& extents, index_t row, index_t column) noexcept
    {
        return row * extents.columns() + column;
    }

    friend bool operator==(const single&, const single&) = default;
};

/// Blocks of R rows and C columns of the matrix, smaller at the last rows and columns: what
/// `sparse::bsr<T, R, C>` keeps.
template <index_t R, index_t C>
    requires(R >= 1 && C >= 1)
struct blocks
{
    /// Of a block's score: the p of (mean |score|^p)^(1/p). 1: the mean, with signs.
    double norm = 1;

    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return ((extents.rows + R - 1) / R) * across(extents);
    }

    static constexpr index_t group_of(
        const weight_extents& extents, index_t row, index_t column) noexcept
    {
        return row / R * across(extents) + column / C;
    }

    friend bool operator==(const blocks&, const blocks&) = default;

private:
    static constexpr index_t across(const weight_extents& extents) noexcept
    {
        return (extents.columns() + C - 1) / C;
    }
};

/// V weights of one column, of V consecutive outputs: `vectors<16>` are what `sparse::bsr<T, 16, 1>`
/// keeps.
template <index_t V>
using vectors = blocks<V, 1>;

/// All weights of one output: neurons, filters.
struct rows
{
    /// Of a row's score: the p of (mean |score|^p)^(1/p). 1: the mean, with signs.
    double norm = 1;

    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return extents.rows;
    }

    static constexpr index_t group_of(const weight_extents&, index_t row, index_t) noexcept
    {
        return row;
    }

    friend bool operator==(const rows&, const rows&) = default;
};

/// The filters of a convolution, which are the rows of its matrix.
using filters = rows;

/// One column of the matrix: an input of a dense layer, one position of one input channel of a
/// convolution, for all outputs.
struct columns
{
    /// Of a column's score: the p of (mean |score|^p)^(1/p). 1: the mean, with signs.
    double norm = 1;

    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return extents.columns();
    }

    static constexpr index_t group_of(const weight_extents&, index_t, index_t column) noexcept
    {
        return column;
    }

    friend bool operator==(const columns&, const columns&) = default;
};

/// All weights of one input (channel); of a convolution in groups the same channel of every group.
struct input_channels
{
    /// Of a channel's score: the p of (mean |score|^p)^(1/p). 1: the mean, with signs.
    double norm = 1;

    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return extents.inputs;
    }

    static constexpr index_t group_of(
        const weight_extents& extents, index_t, index_t column) noexcept
    {
        return column / extents.window;
    }

    friend bool operator==(const input_channels&, const input_channels&) = default;
};

/// The window of one filter over one channel; in a dense layer a single weight.
struct kernels
{
    /// Of a kernel's score: the p of (mean |score|^p)^(1/p). 1: the mean, with signs.
    double norm = 1;

    static constexpr index_t groups(const weight_extents& extents) noexcept
    {
        return extents.rows * extents.inputs;
    }

    static constexpr index_t group_of(
        const weight_extents& extents, index_t row, index_t column) noexcept
    {
        return row * extents.inputs + column / extents.window;
    }

    friend bool operator==(const kernels&, const kernels&) = default;
};

/// N:M: of every M consecutive columns of a row the N highest scores stay, and so many of a shorter
/// last group as it has: what `sparse::nm<T, N, M>` and `sparse::packed_nm<T, N, M>` hold. The pattern
/// fixes the share, so that it takes no allocation.
template <index_t N, index_t M>
    requires(N >= 1 && N < M)
struct nm
{
    friend bool operator==(const nm&, const nm&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The p of a group's score.
template <class G>
double norm_of(const G& granularity)
{
    if constexpr (requires { static_cast<double>(granularity.norm); })
    {
        check_norm("granularity norm", granularity.norm);
        return granularity.norm;
    }
    else
    {
        return 1;
    }
}

/// Calls `f(position, group)` for every number of a weight.
template <class G, class F>
void for_each_member(const G& granularity, const weight_extents& extents, const F& f)
{
    std::size_t position = 0;
    for (index_t r = 0; r < extents.rows; ++r)
    {
        for (index_t c = 0; c < extents.columns(); ++c)
        {
            f(position++, static_cast<std::size_t>(granularity.group_of(extents, r, c)));
        }
    }
}

/// The scores of the groups of one layer.
template <class G>
std::vector<double> group_scores(
    const G& granularity, const weight_extents& extents, std::span<const double> values)
{
    const double p = norm_of(granularity);
    const auto groups = static_cast<std::size_t>(granularity.groups(extents));
    std::vector<double> found(groups);
    std::vector<double> members(groups);
    const bool plain = structopt::detail::is_zero(p - 1);
    if (plain)
    {
        for_each_member(granularity, extents,
            [&](std::size_t i, std::size_t g)
            {
                found[g] += values[i];
                members[g] += 1;
            });
        for (std::size_t g = 0; g < groups; ++g)
        {
            found[g] /= std::max(1.0, members[g]);
        }
        return found;
    }
    // Relative to the largest, so that no power overflows.
    std::vector<double> largest(groups);
    for_each_member(granularity, extents,
        [&](std::size_t i, std::size_t g)
        {
            largest[g] = std::max(largest[g], std::abs(values[i]));
            members[g] += 1;
        });
    if (!structopt::detail::is_finite(p))
    {
        return largest;
    }
    for_each_member(granularity, extents,
        [&](std::size_t i, std::size_t g)
        {
            if (largest[g] > 0)
            {
                found[g] += std::pow(std::abs(values[i]) / largest[g], p);
            }
        });
    for (std::size_t g = 0; g < groups; ++g)
    {
        found[g] = largest[g] * std::pow(found[g] / std::max(1.0, members[g]), 1 / p);
    }
    return found;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
