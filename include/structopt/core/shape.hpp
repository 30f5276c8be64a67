/// @file
/// Extents of tensors: signed, of static rank, row-major.
#pragma once

#include <structopt/core/error.hpp>

#include <array>
#include <cstddef>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE

/// Extents, strides and positions. Signed, so that `in - kernel + 1` may be negative and is caught.
using index_t = std::ptrdiff_t;

/// The extents of a tensor of rank N, outermost first.
template <std::size_t N>
using shape = std::array<index_t, N>;

/// Number of elements; 1 for rank 0.
template <std::size_t N>
constexpr index_t count(const shape<N>& extents) noexcept
{
    index_t n = 1;
    for (std::size_t i = 0; i < N; ++i)
    {
        n *= extents[i];
    }
    return n;
}

/// Strides, in elements, of a contiguous row-major tensor.
template <std::size_t N>
constexpr shape<N> row_major_strides(const shape<N>& extents) noexcept
{
    shape<N> strides{};
    index_t step = 1;
    for (std::size_t i = N; i-- > 0;)
    {
        strides[i] = step;
        step *= extents[i];
    }
    return strides;
}

/// The extents without the first: one sample's shape out of a batch's.
template <std::size_t N>
constexpr shape<N - 1> tail(const shape<N>& extents) noexcept
{
    shape<N - 1> rest{};
    for (std::size_t i = 1; i < N; ++i)
    {
        rest[i - 1] = extents[i];
    }
    return rest;
}

/// The extents with `first` put in front: a batch's shape out of one sample's.
template <std::size_t N>
constexpr shape<N + 1> prepend(index_t first, const shape<N>& extents) noexcept
{
    shape<N + 1> longer{};
    longer[0] = first;
    for (std::size_t i = 0; i < N; ++i)
    {
        longer[i + 1] = extents[i];
    }
    return longer;
}

/// "[64, 3, 32, 32]", for messages; an extent of -1 reads "any".
template <std::size_t N>
std::string describe(const shape<N>& extents)
{
    std::string text = "[";
    for (std::size_t i = 0; i < N; ++i)
    {
        if (i > 0)
        {
            text += ", ";
        }
        text += extents[i] == -1 ? std::string("any") : std::to_string(extents[i]);
    }
    return text + "]";
}

/// Throws `shape_error` unless the two are equal; -1 in `expected` matches any extent.
template <std::size_t N>
void check_shape(const char* where, const shape<N>& expected, const shape<N>& found)
{
    for (std::size_t i = 0; i < N; ++i)
    {
        if (expected[i] != -1 && expected[i] != found[i])
        {
            detail::raise<shape_error>(where, describe(expected), describe(found));
        }
    }
}

STRUCTOPT_END_NAMESPACE
