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

/// What the group lasso weighs a group with: the root of its size, or 1.
template <class T>
double group_weight(const parameter_block<T>& w, std::size_t groups, bool by_size) noexcept
{
    return by_size && groups > 0
               ? std::sqrt(static_cast<double>(w.values.size()) / static_cast<double>(groups))
               : 1.0;
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

/// The Euclidean norm of every group.
template <class T>
std::vector<double> group_norms(const parameter_block<T>& w, group axis)
{
    std::vector<double> norms(static_cast<std::size_t>(group_count(w, axis)), 0.0);
    const auto square = [](double v)
    {
        return v * v;
    };
    const index_t row = w.columns * w.block;
    const auto* const values = w.values.data();
    for (index_t r = 0; r < w.rows; ++r)
    {
        if (axis != group::columns)
        {
            norms[static_cast<std::size_t>(r)] = sum_over(
                w.values.subspan(static_cast<std::size_t>(r * row), static_cast<std::size_t>(row)),
                square);
        }
        else if (w.block == 1)
        {
            for (index_t c = 0; c < w.columns; ++c)
            {
                norms[static_cast<std::size_t>(c)] +=
                    square(static_cast<double>(values[r * row + c]));
            }
        }
        else
        {
            for (index_t c = 0; c < w.columns; ++c)
            {
                norms[static_cast<std::size_t>(c)] +=
                    sum_over(w.values.subspan(static_cast<std::size_t>(r * row + c * w.block),
                                 static_cast<std::size_t>(w.block)),
                        square);
            }
        }
    }
    for (double& norm : norms)
    {
        norm = std::sqrt(norm);
    }
    return norms;
}

/// Calls `f(i, factor)` for every element i with the factor of its group.
template <class T, class Factor, class F>
void with_factors(
    const parameter_block<T>& w, group axis, const std::vector<Factor>& factors, const F& f)
{
    const index_t row = w.columns * w.block;
    const Factor* const factor = factors.data();
    for (index_t r = 0; r < w.rows; ++r)
    {
        if (axis != group::columns)
        {
            for (index_t i = r * row; i < (r + 1) * row; ++i)
            {
                f(i, factor[r]);
            }
        }
        else if (w.block == 1)
        {
            for (index_t c = 0; c < w.columns; ++c)
            {
                f(r * row + c, factor[c]);
            }
        }
        else
        {
            for (index_t c = 0; c < w.columns; ++c)
            {
                for (index_t b = 0; b < w.block; ++b)
                {
                    f(r * row + c * w.block + b, factor[c]);
                }
            }
        }
    }
}

/// Multiplies every group by its factor.
template <class T>
void scale_groups(const parameter_block<T>& w, group axis, const std::vector<T>& factors)
{
    T* const values = w.values.data();
    with_factors(w, axis, factors,
        [values](index_t i, T factor)
        {
            values[i] *= factor;
        });
}

} // namespace detail
} // namespace optim
STRUCTOPT_END_NAMESPACE
