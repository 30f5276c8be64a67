/// @file
/// Initial weights. An initializer is a small struct that fills a weight [outputs, inputs...] from
/// its fans; a user's own satisfies `initializer` in five lines.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/core/tensor.hpp>

#include <cmath>
#include <concepts>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Fills a weight seen as a matrix [outputs, inputs]. `fan_in` and `fan_out` count the kernel's
/// positions too, for convolutions.
template <class I>
concept initializer = requires(
    const I& fill, view<float, 2> weight, index_t fan, random_engine& rng)
{
    fill(weight, fan, fan, rng);
};

namespace detail
{

/// Uniform on [-bound, bound) with the given variance.
template <std::floating_point T>
void fill_uniform(view<T, 2> weight, double variance, random_engine& rng)
{
    const T bound = static_cast<T>(std::sqrt(3 * variance));
    for (T& w : weight.flat())
    {
        w = structopt::uniform<T>(rng, -bound, bound);
    }
}

template <std::floating_point T>
void fill_normal(view<T, 2> weight, double variance, random_engine& rng)
{
    const T deviation = static_cast<T>(std::sqrt(variance));
    for (T& w : weight.flat())
    {
        w = structopt::normal<T>(rng, T(0), deviation);
    }
}

/// A fan as a divisor: never zero.
constexpr double fan(index_t n) noexcept
{
    return static_cast<double>(n > 0 ? n : 1);
}

} // namespace detail

/// Uniform on +-sqrt(6 / fan_in): keeps the variance through ReLU layers (He et al., "Delving Deep
/// into Rectifiers", 2015, equation 10). The default of every layer.
struct he_uniform
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t, random_engine& rng) const
    {
        detail::fill_uniform(weight, 2 / detail::fan(fan_in), rng);
    }
};

/// Normal with variance 2 / fan_in (He et al., 2015, equation 10).
struct he_normal
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t, random_engine& rng) const
    {
        detail::fill_normal(weight, 2 / detail::fan(fan_in), rng);
    }
};

/// Uniform on +-sqrt(6 / (fan_in + fan_out)): keeps the variance in both directions through tanh and
/// linear layers (Glorot and Bengio, "Understanding the Difficulty of Training Deep Feedforward
/// Neural Networks", 2010, equation 16).
struct glorot_uniform
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t fan_out, random_engine& rng) const
    {
        detail::fill_uniform(weight, 2 / detail::fan(fan_in + fan_out), rng);
    }
};

/// Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010, equation 12).
struct glorot_normal
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t fan_out, random_engine& rng) const
    {
        detail::fill_normal(weight, 2 / detail::fan(fan_in + fan_out), rng);
    }
};

/// Uniform on +-sqrt(3 / fan_in) (LeCun et al., "Efficient BackProp", 1998, section 4.6).
struct lecun_uniform
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t, random_engine& rng) const
    {
        detail::fill_uniform(weight, 1 / detail::fan(fan_in), rng);
    }
};

/// Normal with variance 1 / fan_in (LeCun et al., 1998, section 4.6).
struct lecun_normal
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t, random_engine& rng) const
    {
        detail::fill_normal(weight, 1 / detail::fan(fan_in), rng);
    }
};

/// The same number everywhere: 0 unless told.
struct constant
{
    double number = 0;

    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t, index_t, random_engine&) const
    {
        for (T& w : weight.flat())
        {
            w = static_cast<T>(number);
        }
    }
};

/// Orthonormal rows, or columns where there are fewer of those, times a gain: uniform over all such
/// matrices (Saxe et al., "Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear
/// Neural Networks", 2014).
///
/// Gram-Schmidt on normal numbers, twice, in double; O(n^2 m) for n vectors of length m.
struct orthogonal
{
    double gain = 1;

    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t, index_t, random_engine& rng) const
    {
        const bool by_rows = weight.shape(0) <= weight.shape(1);
        const index_t n = weight.shape(by_rows ? 0 : 1);
        const index_t length = weight.shape(by_rows ? 1 : 0);
        buffer<double> vectors(static_cast<std::size_t>(n * length));
        for (index_t i = 0; i < n; ++i)
        {
            double* const v = vectors.data() + i * length;
            double left = 0;
            double drawn = 0;
            do
            {
                for (index_t k = 0; k < length; ++k)
                {
                    v[k] = structopt::normal<double>(rng);
                }
                drawn = dot(v, v, length);
                for (int pass = 0; pass < 2; ++pass)
                {
                    for (index_t j = 0; j < i; ++j)
                    {
                        const double* const other = vectors.data() + j * length;
                        const double along = dot(v, other, length);
                        for (index_t k = 0; k < length; ++k)
                        {
                            v[k] -= along * other[k];
                        }
                    }
                }
                left = dot(v, v, length);
                // Next to nothing left of the draw: it lay among the earlier vectors.
            } while (left <= 1e-20 * drawn);
            const double scale = 1 / std::sqrt(left);
            for (index_t k = 0; k < length; ++k)
            {
                v[k] *= scale;
            }
        }
        for (index_t i = 0; i < n; ++i)
        {
            for (index_t k = 0; k < length; ++k)
            {
                weight(by_rows ? i : k, by_rows ? k : i) =
                    static_cast<T>(gain * vectors[static_cast<std::size_t>(i * length + k)]);
            }
        }
    }

private:
    static double dot(const double* a, const double* b, index_t n) noexcept
    {
        double sum = 0;
        for (index_t k = 0; k < n; ++k)
        {
            sum += a[k] * b[k];
        }
        return sum;
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
