/// @file
/// Checks of products with sparse matrices, whatever their format: all strides, nothing aligned,
/// nothing read or written that is not an operand.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/core/view.hpp>
#include <structopt/kernel/spmm_finish.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace support
{

using structopt::index_t;

/// A dense matrix with zeros: row 0 is empty and row 1 is full, where there are such rows. Every
/// non-zero is at least 2^-6 away from 0.
template <class T>
struct sparse_problem
{
    index_t rows;
    index_t columns;
    std::vector<T> values;
    std::vector<T> bias;

    sparse_problem(index_t m, index_t n, double density, structopt::random_engine& rng)
        : rows(m)
        , columns(n)
    {
        for (index_t r = 0; r < rows; ++r)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                const bool there = r == 1 || (r != 0 && structopt::uniform<double>(rng) < density);
                values.push_back(there ? value(rng) : T(0));
            }
            bias.push_back(structopt::normal<T>(rng));
        }
    }

    static T value(structopt::random_engine& rng)
    {
        const T x = structopt::normal<T>(rng);
        return x < 0 ? x - T(0.015625) : x + T(0.015625);
    }

    structopt::view<const T, 2> dense() const
    {
        return {values.data(), structopt::shape<2>{rows, columns}};
    }
};

struct strides
{
    index_t row;
    index_t column;
};

/// Batch-major, feature-major, batch-major with longer rows, and neither stride 1.
inline std::vector<strides> stride_forms(index_t batch, index_t features)
{
    return {{features, 1}, {1, batch}, {features + 3, 1}, {2 * features + 1, 2}};
}

inline std::size_t stride_extent(const strides& s, index_t batch, index_t features)
{
    return batch == 0 || features == 0
               ? 0
               : static_cast<std::size_t>((batch - 1) * s.row + (features - 1) * s.column + 1);
}

/// Runs `product(batch, matrix_operand x, spmm_result y, spmm_finish, scratch)` over all strides
/// and compares with sums in double. The bound is that of any order of summation; a zero fails it.
/// `scratch_bytes` bytes are offered, at an odd address.
template <class T, class Product>
void check_spmm(const sparse_problem<T>& w, index_t batch, std::size_t scratch_bytes,
    structopt::random_engine& rng, const Product& product)
{
    namespace k = structopt::kernel;
    constexpr T guard = T(-12345);
    std::vector<T> samples(static_cast<std::size_t>(batch * w.columns));
    for (T& value : samples)
    {
        value = structopt::normal<T>(rng);
    }
    std::vector<double> expected;
    std::vector<double> size;
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t r = 0; r < w.rows; ++r)
        {
            double sum = 0;
            double magnitude = 0;
            for (index_t c = 0; c < w.columns; ++c)
            {
                const double term =
                    static_cast<double>(w.values[static_cast<std::size_t>(r * w.columns + c)]) *
                    static_cast<double>(samples[static_cast<std::size_t>(b * w.columns + c)]);
                sum += term;
                magnitude += std::abs(term);
            }
            expected.push_back(sum);
            size.push_back(magnitude);
        }
    }
    const auto epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    int form = 0;
    for (const strides& in : stride_forms(batch, w.columns))
    {
        for (const strides& out : stride_forms(batch, w.rows))
        {
            const bool with_bias = form % 2 == 0;
            const bool relu = form % 3 == 0;
            ++form;
            std::vector<T> x(
                stride_extent(in, batch, w.columns) + 1, std::numeric_limits<T>::quiet_NaN());
            for (index_t b = 0; b < batch; ++b)
            {
                for (index_t c = 0; c < w.columns; ++c)
                {
                    x[static_cast<std::size_t>(1 + b * in.row + c * in.column)] =
                        samples[static_cast<std::size_t>(b * w.columns + c)];
                }
            }
            std::vector<T> y(stride_extent(out, batch, w.rows) + 2, guard);
            std::vector<std::byte> scratch(scratch_bytes + 1 + 8, std::byte{0xff});
            const k::spmm_finish<T> finish{with_bias ? w.bias.data() : nullptr,
                relu ? k::activation::relu : k::activation::none};
            product(batch, k::matrix_operand<T>{x.data() + 1, in.row, in.column},
                k::spmm_result<T>{y.data() + 1, out.row, out.column}, finish, scratch.data() + 1);
            std::vector<bool> written(y.size(), false);
            bool right = true;
            for (index_t b = 0; b < batch; ++b)
            {
                for (index_t r = 0; r < w.rows; ++r)
                {
                    const auto at = static_cast<std::size_t>(1 + b * out.row + r * out.column);
                    const auto i = static_cast<std::size_t>(b * w.rows + r);
                    const double start =
                        with_bias ? static_cast<double>(w.bias[static_cast<std::size_t>(r)]) : 0.0;
                    double value = expected[i] + start;
                    value = relu && value < 0 ? 0 : value;
                    right = right && !written[at] &&
                            std::abs(static_cast<double>(y[at]) - value) <=
                                epsilon * (4 + static_cast<double>(w.columns)) *
                                    (size[i] + std::abs(start));
                    written[at] = true;
                }
            }
            for (std::size_t i = 0; i < y.size(); ++i)
            {
                right = right && (written[i] || y[i] == guard);
            }
            for (std::size_t i = scratch_bytes + 1; i < scratch.size(); ++i)
            {
                right = right && scratch[i] == std::byte{0xff};
            }
            CHECK_MESSAGE(right, batch, "x", w.columns, "x", w.rows, " in ", in.row, ",", in.column,
                " out ", out.row, ",", out.column, " bias ", with_bias, " relu ", relu);
        }
    }
}

} // namespace support
