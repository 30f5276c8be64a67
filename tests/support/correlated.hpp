/// @file
/// Inputs that hang together, as those of a layer do, and straightforward second-order references.
#pragma once

#include "support/random_tensor.hpp"

#include <structopt/core.hpp>

#include <cmath>
#include <vector>

namespace support
{

/// Rows of features that are mixtures of a few sources, plus some noise of their own.
template <class T>
structopt::tensor<T, 2> correlated_rows(
    structopt::index_t rows, structopt::index_t columns, structopt::random_engine& rng)
{
    using namespace structopt;
    const index_t sources = columns / 3 + 1;
    const auto mix = random_tensor<double>(shape<2>{sources, columns}, rng);
    auto x = make_tensor<T>(shape<2>{rows, columns});
    for (index_t r = 0; r < rows; ++r)
    {
        const auto z = random_tensor<double>(shape<1>{sources}, rng);
        for (index_t c = 0; c < columns; ++c)
        {
            double sum = 0.3 * normal<double>(rng, 0.0, 1.0);
            for (index_t s = 0; s < sources; ++s)
            {
                sum += z(s) * mix(s, c);
            }
            x(r, c) = static_cast<T>(sum);
        }
    }
    return x;
}

/// Mean of x^T x, in double.
template <class T>
structopt::tensor<double, 2> mean_product(const structopt::tensor<T, 2>& x)
{
    using namespace structopt;
    const index_t rows = shape_of(x)[0];
    const index_t n = shape_of(x)[1];
    auto g = zeros<double>(shape<2>{n, n});
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t i = 0; i < n; ++i)
        {
            for (index_t j = 0; j < n; ++j)
            {
                g(i, j) += static_cast<double>(x(r, i)) * static_cast<double>(x(r, j)) /
                           static_cast<double>(rows);
            }
        }
    }
    return g;
}

/// Solves a square system by Gauss's elimination with pivots.
inline std::vector<double> solve_system(std::vector<std::vector<double>> a, std::vector<double> b)
{
    const std::size_t n = b.size();
    for (std::size_t k = 0; k < n; ++k)
    {
        std::size_t best = k;
        for (std::size_t i = k; i < n; ++i)
        {
            best = std::abs(a[i][k]) > std::abs(a[best][k]) ? i : best;
        }
        std::swap(a[k], a[best]);
        std::swap(b[k], b[best]);
        for (std::size_t i = 0; i < n; ++i)
        {
            const double share = i == k ? 0.0 : a[i][k] / a[k][k];
            for (std::size_t j = k; share != 0 && j < n; ++j)
            {
                a[i][j] -= share * a[k][j];
            }
            b[i] -= share * b[k];
        }
    }
    for (std::size_t k = 0; k < n; ++k)
    {
        b[k] /= a[k][k];
    }
    return b;
}

/// The row that is zero where `keep` is 0 and closest to w in the norm of H: by the normal equations
/// H_KK v_K = (H w)_K.
template <class T, class Keep>
std::vector<double> best_row(const T* w, const structopt::tensor<double, 2>& h, const Keep* keep)
{
    const std::size_t n = h.shape()[0];
    std::vector<std::size_t> kept;
    for (std::size_t c = 0; c < n; ++c)
    {
        if (keep[c] != 0)
        {
            kept.push_back(c);
        }
    }
    std::vector<std::vector<double>> a(kept.size(), std::vector<double>(kept.size()));
    std::vector<double> b(kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i)
    {
        for (std::size_t j = 0; j < kept.size(); ++j)
        {
            a[i][j] = h(kept[i], kept[j]);
        }
        for (std::size_t c = 0; c < n; ++c)
        {
            b[i] += h(kept[i], c) * static_cast<double>(w[c]);
        }
    }
    const auto solution = solve_system(a, b);
    std::vector<double> row(n, 0.0);
    for (std::size_t i = 0; i < kept.size(); ++i)
    {
        row[kept[i]] = solution[i];
    }
    return row;
}

/// (v - w) H (v - w)^T of one row.
template <class T, class U>
double row_change(const T* w, const U* v, const structopt::tensor<double, 2>& h)
{
    const std::size_t n = h.shape()[0];
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
    {
        for (std::size_t j = 0; j < n; ++j)
        {
            sum += (static_cast<double>(v[i]) - static_cast<double>(w[i])) * h(i, j) *
                   (static_cast<double>(v[j]) - static_cast<double>(w[j]));
        }
    }
    return sum;
}

} // namespace support
