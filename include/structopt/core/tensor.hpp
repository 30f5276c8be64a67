/// @file
/// `tensor<T, N>`: an owning, 64-byte aligned, row-major xtensor container of static rank.
#pragma once

#include <structopt/core/allocator.hpp>
#include <structopt/core/view.hpp>
#include <structopt/core/xtensor.hpp>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE

/// A tensor that owns its elements. Everything xtensor offers works on it; the library itself
/// loops over pointers.
template <class T, std::size_t N>
using tensor =
    xt::xtensor_container<xt::uvector<T, aligned_allocator<T>>, N, xt::layout_type::row_major>;

/// A growable aligned buffer.
template <class T>
using buffer = std::vector<T, aligned_allocator<T>>;

/// Element type and rank of a container, for deduction: `tensor_traits<X>::rank`.
template <class X>
struct tensor_traits;

template <class T, std::size_t N>
struct tensor_traits<tensor<T, N>>
{
    using value_type = T;
    static constexpr std::size_t rank = N;
};

/// The extents of a container as signed numbers.
template <class X>
    requires requires(const X& x)
    {
        requires detail::static_rank<std::remove_cvref_t<decltype(x.shape())>>;
    }
constexpr auto shape_of(const X& x) noexcept
{
    constexpr std::size_t n = std::tuple_size<std::remove_cvref_t<decltype(x.shape())>>::value;
    shape<n> extents{};
    for (std::size_t i = 0; i < n; ++i)
    {
        extents[i] = static_cast<index_t>(x.shape()[i]);
    }
    return extents;
}

/// A read-only view of a container, with element type and rank deduced.
template <class T, std::size_t N>
constexpr view<const T, N> as_view(const tensor<T, N>& x) noexcept
{
    return view<const T, N>(x);
}

/// A writable view of a container, with element type and rank deduced.
template <class T, std::size_t N>
constexpr view<T, N> as_view(tensor<T, N>& x) noexcept
{
    return view<T, N>(x);
}

/// Number of elements, signed.
template <class T, std::size_t N>
index_t size_of(const tensor<T, N>& x) noexcept
{
    return static_cast<index_t>(x.size());
}

/// Gives `x` the extents; elements are kept only if nothing changes, and memory is allocated only
/// when their count does. Throws `shape_error` for a negative extent and for a count whose bytes
/// no pointer can span.
template <class T, std::size_t N>
void resize(tensor<T, N>& x, const shape<N>& extents)
{
    typename tensor<T, N>::shape_type sizes;
    constexpr index_t most = std::numeric_limits<index_t>::max() / static_cast<index_t>(sizeof(T));
    index_t n = 1;
    bool fits = true;
    for (std::size_t i = 0; i < N; ++i)
    {
        const index_t extent = extents[i];
        fits = fits && extent >= 0 && (extent == 0 || n <= most / extent);
        n = fits ? (extent == 0 ? 1 : extent) * n : 1;
        sizes[i] = static_cast<std::size_t>(extent);
    }
    if (!fits)
    {
        detail::raise<shape_error>(
            "tensor", "extents of at least 0 whose product fits in memory", describe(extents));
    }
    x.resize(sizes);
}

/// A tensor whose elements are not initialised.
template <class T, std::size_t N>
tensor<T, N> make_tensor(const shape<N>& extents)
{
    tensor<T, N> x;
    resize(x, extents);
    return x;
}

/// A tensor filled with `value`.
template <class T, std::size_t N>
tensor<T, N> full(const shape<N>& extents, T value)
{
    auto x = make_tensor<T>(extents);
    std::fill_n(x.data(), x.size(), value);
    return x;
}

/// A tensor of zeros.
template <class T, std::size_t N>
tensor<T, N> zeros(const shape<N>& extents)
{
    return full<T>(extents, T{});
}

/// A contiguous copy of what a view shows.
template <class T, std::size_t N>
tensor<std::remove_const_t<T>, N> copy(const view<T, N>& from)
{
    auto to = make_tensor<std::remove_const_t<T>>(from.shape());
    if (from.empty())
    {
        return to;
    }
    if (from.contiguous())
    {
        std::copy_n(from.data(), from.size(), to.data());
        return to;
    }
    shape<N> at{};
    for (index_t i = 0; i < from.size(); ++i)
    {
        index_t offset = 0;
        for (std::size_t d = 0; d < N; ++d)
        {
            offset += at[d] * from.stride(d);
        }
        to.data()[i] = from.data()[offset];
        for (std::size_t d = N; d-- > 0 && ++at[d] == from.shape(d);)
        {
            at[d] = 0;
        }
    }
    return to;
}

STRUCTOPT_END_NAMESPACE
