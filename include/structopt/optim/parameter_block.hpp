/// @file
/// Parameters with the extents that structured penalties and constraints need.
#pragma once

#include <structopt/optim/concepts.hpp>

#include <cmath>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// One trainable parameter seen as [rows, columns, block]: a dense weight is [out, in, 1], a
/// convolution's [out, in, height * width], a bias [n, 1, 1].
///
/// Formats without a rectangle of numbers (sparse values) are one row: penalties per element work
/// on them, those per group leave them alone (`grouped` is false).
template <class T>
struct parameter_block
{
    std::span<T> values;
    index_t rows = 0;
    index_t columns = 0;
    index_t block = 0;
    nn::role role = nn::role::weight;
    /// Rank of the tensor; 0 for other formats.
    std::size_t rank = 0;

    bool grouped() const noexcept
    {
        return rank >= 2;
    }
};

/// Which weights belong together.
enum class group
{
    rows,    ///< those of one output: a unit of a dense layer, a filter of a convolution
    columns, ///< those of one input: a feature, an input channel
    filters  ///< as rows, but of convolutions alone
};

namespace detail
{

/// All trainable parameters with their extents, in the order of `nn::trainable_parameters`.
template <class T, class Net>
std::vector<parameter_block<T>> parameter_blocks(Net& network)
{
    std::vector<parameter_block<T>> list;
    nn::visit_parameters(network,
        [&](const nn::parameter_name&, auto& parameter, nn::role kind)
        {
            using parameter_type = std::remove_reference_t<decltype(parameter)>;
            if constexpr (nn::trainable_parameter<parameter_type>)
            {
                if (kind == nn::role::statistic)
                {
                    return;
                }
                parameter_block<T> one;
                one.values = nn::trainable_values(parameter);
                one.role = kind;
                one.rows = 1;
                one.columns = static_cast<index_t>(one.values.size());
                one.block = 1;
                if constexpr (requires { tensor_traits<parameter_type>::rank; })
                {
                    const auto extents = shape_of(parameter);
                    one.rank = extents.size();
                    one.rows = extents.size() == 0 ? 1 : extents[0];
                    one.columns = extents.size() < 2 ? 1 : extents[1];
                    const index_t matrix = one.rows * one.columns;
                    one.block = matrix == 0 ? 0 : static_cast<index_t>(one.values.size()) / matrix;
                }
                list.push_back(one);
            }
        });
    return list;
}

/// Whether a parameter is divided into such groups.
template <class T>
bool has_groups(const parameter_block<T>& w, group axis) noexcept
{
    return axis == group::filters ? w.rank > 2 : w.grouped();
}

template <class T>
index_t group_count(const parameter_block<T>& w, group axis) noexcept
{
    return axis == group::columns ? w.columns : w.rows;
}

/// Calls `f(group, first, last)` for runs of elements of one group; together all of `w`.
template <class T, class F>
void for_each_run(const parameter_block<T>& w, group axis, const F& f)
{
    if (axis != group::columns)
    {
        const index_t row = w.columns * w.block;
        for (index_t r = 0; r < w.rows; ++r)
        {
            f(r, r * row, (r + 1) * row);
        }
        return;
    }
    for (index_t r = 0; r < w.rows; ++r)
    {
        for (index_t c = 0; c < w.columns; ++c)
        {
            const index_t first = (r * w.columns + c) * w.block;
            f(c, first, first + w.block);
        }
    }
}

/// The Euclidean norm of every group.
template <class T>
std::vector<double> group_norms(const parameter_block<T>& w, group axis)
{
    std::vector<double> norms(static_cast<std::size_t>(group_count(w, axis)), 0.0);
    const auto* const values = w.values.data();
    for_each_run(w, axis,
        [&](index_t g, index_t first, index_t last)
        {
            double sum = 0;
            for (index_t i = first; i < last; ++i)
            {
                const auto v = static_cast<double>(values[i]);
                sum += v * v;
            }
            norms[static_cast<std::size_t>(g)] += sum;
        });
    for (double& norm : norms)
    {
        norm = std::sqrt(norm);
    }
    return norms;
}

/// Sum of term(v) over the elements, in eight partial sums of a fixed order.
template <class T, class Term>
double sum_over(std::span<T> values, const Term& term) noexcept
{
    constexpr std::size_t lanes = 8;
    double partial[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= values.size(); i += lanes)
    {
        for (std::size_t lane = 0; lane < lanes; ++lane)
        {
            partial[lane] += term(static_cast<double>(values[i + lane]));
        }
    }
    for (; i < values.size(); ++i)
    {
        partial[i % lanes] += term(static_cast<double>(values[i]));
    }
    return ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
           ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}

} // namespace detail
} // namespace optim
STRUCTOPT_END_NAMESPACE
