/// @file
/// Tensors of random numbers.
#pragma once

#include <structopt/core.hpp>

namespace support
{

/// Normal numbers with the given standard deviation.
template <class T, std::size_t N>
structopt::tensor<T, N> random_tensor(
    const structopt::shape<N>& extents, structopt::random_engine& rng, T scale = T(1))
{
    auto x = structopt::make_tensor<T>(extents);
    for (T& value : structopt::as_view(x).flat())
    {
        value = structopt::normal<T>(rng, T(0), scale);
    }
    return x;
}

/// Largest difference of two tensors' elements, as double; infinity where one is not a number.
template <class X, class Y>
double largest_difference(const X& x, const Y& y)
{
    double largest = x.size() == y.size() ? 0.0 : 1e300;
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
    {
        const double d = static_cast<double>(x.data()[i]) - static_cast<double>(y.data()[i]);
        largest = d < 0 ? (-d > largest ? -d : largest) : (d <= largest ? largest : d);
        if (!(d == d))
        {
            return 1e300;
        }
    }
    return largest;
}

} // namespace support
