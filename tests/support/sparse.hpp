/// @file
/// Matrices with zeros, and what a sparse result is compared with.
#pragma once

#include <structopt/core.hpp>

#include <concepts>
#include <cstdint>

namespace support
{

/// A number of the element type that is not zero.
template <class T>
T random_element(structopt::random_engine& rng)
{
    if constexpr (std::integral<T>)
    {
        const auto value = static_cast<T>(structopt::uniform_index(rng, 254) - 127);
        return value == 0 ? T(1) : value;
    }
    else
    {
        const float value = structopt::normal<float>(rng);
        return static_cast<T>(value == 0.0f ? 1.0f : value);
    }
}

/// A dense matrix of which about `density` of the elements are not zero.
template <class T>
structopt::tensor<T, 2> random_sparse(
    const structopt::shape<2>& extents, double density, structopt::random_engine& rng)
{
    auto w = structopt::zeros<T>(extents);
    for (structopt::index_t i = 0; i < structopt::size_of(w); ++i)
    {
        if (structopt::uniform<double>(rng) < density)
        {
            w.data()[i] = random_element<T>(rng);
        }
    }
    return w;
}

/// Equal extents and elements.
template <class T, std::size_t N>
bool same(const structopt::tensor<T, N>& a, const structopt::tensor<T, N>& b)
{
    if (structopt::shape_of(a) != structopt::shape_of(b))
    {
        return false;
    }
    for (structopt::index_t i = 0; i < structopt::size_of(a); ++i)
    {
        if (!(a.data()[i] == b.data()[i]))
        {
            return false;
        }
    }
    return true;
}

} // namespace support
