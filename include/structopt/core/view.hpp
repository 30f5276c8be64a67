/// @file
/// `view<T, N>`: a pointer, extents and strides. What every function of the library takes.
#pragma once

#include <structopt/core/shape.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE

template <class T, std::size_t N>
class view;

namespace detail
{

template <class X>
inline constexpr bool is_view = false;

template <class T, std::size_t N>
inline constexpr bool is_view<view<T, N>> = true;

/// Static rank of a container's shape: std::array and the like.
template <class Shape>
concept static_rank = requires
{
    std::tuple_size<Shape>::value;
};

/// `X::static_layout` of xtensor's containers, compared without including xtensor: 0x01 is row-major.
template <class X>
concept not_column_major = !requires
{
    X::static_layout;
}
|| (static_cast<int>(X::static_layout) == 1);

} // namespace detail

/// A contiguous row-major container of static rank: `tensor`, `xt::xtensor`, `xt::xtensor_fixed`.
///
/// A view is not one: it may have strides. The rank is part of the type; containers of dynamic rank (`xt::xarray`) do not satisfy it.
template <class X, class T, std::size_t N>
concept tensor_like = (!detail::is_view<std::remove_cvref_t<X>>)&&requires(X& x)
{
    {
        x.data()
        } -> std::convertible_to<T*>;
    {x.shape()};
    requires detail::static_rank<std::remove_cvref_t<decltype(x.shape())>>;
    requires std::tuple_size<std::remove_cvref_t<decltype(x.shape())>>::value == N;
    requires std::is_same_v<std::remove_const_t<std::remove_pointer_t<decltype(x.data())>>,
        std::remove_const_t<T>>;
}
&&detail::not_column_major<std::remove_cvref_t<X>>;

/// A rectangular window on memory that somebody else owns.
///
/// `view<const T, N>` is the read-only form; a `view<T, N>`, a `tensor<T, N>` and any `tensor_like`
/// container convert to it. Copying a view copies the window, never the elements.
template <class T, std::size_t N>
class view
{
public:
    using value_type = std::remove_const_t<T>;
    using element_type = T;
    static constexpr std::size_t rank = N;

    /// An empty view: no elements, null data.
    constexpr view() noexcept = default;

    /// Contiguous, row-major.
    constexpr view(T* data, const structopt::shape<N>& extents) noexcept
        : m_data(data)
        , m_shape(extents)
        , m_strides(row_major_strides(extents))
    {
    }

    constexpr view(
        T* data, const structopt::shape<N>& extents, const structopt::shape<N>& strides) noexcept
        : m_data(data)
        , m_shape(extents)
        , m_strides(strides)
    {
    }

    /// From a mutable view.
    template <class U>
        requires(std::is_const_v<T>&& std::same_as<U, std::remove_const_t<T>>)
    constexpr view(const view<U, N>& other) noexcept
        : m_data(other.data())
        , m_shape(other.shape())
        , m_strides(other.strides())
    {
    }

    /// From a container; one that is about to die gives a read-only view for the call at hand.
    template <class X>
        requires(tensor_like<X, T, N> && (std::is_const_v<T> || std::is_lvalue_reference_v<X>))
    constexpr view(X&& x) noexcept
        : m_data(x.data())
    {
        // xtensor's contiguous views (a row of a tensor) say where they begin.
        if constexpr (requires { x.data_offset(); })
        {
            m_data += x.data_offset();
        }
        const auto& extents = x.shape();
        for (std::size_t i = 0; i < N; ++i)
        {
            m_shape[i] = static_cast<index_t>(extents[i]);
        }
        m_strides = row_major_strides(m_shape);
    }

    constexpr T* data() const noexcept
    {
        return m_data;
    }

    constexpr const structopt::shape<N>& shape() const noexcept
    {
        return m_shape;
    }

    constexpr index_t shape(std::size_t axis) const noexcept
    {
        return m_shape[axis];
    }

    constexpr const structopt::shape<N>& strides() const noexcept
    {
        return m_strides;
    }

    constexpr index_t stride(std::size_t axis) const noexcept
    {
        return m_strides[axis];
    }

    /// Number of elements.
    constexpr index_t size() const noexcept
    {
        return m_data == nullptr ? 0 : count(m_shape);
    }

    constexpr bool empty() const noexcept
    {
        return size() == 0;
    }

    /// One element; positions are not checked in release builds.
    template <std::convertible_to<index_t>... Index>
        requires(sizeof...(Index) == N)
    constexpr T& operator()(Index... at) const noexcept
    {
        const index_t position[] = {static_cast<index_t>(at)..., 0};
        index_t offset = 0;
        for (std::size_t i = 0; i < N; ++i)
        {
            STRUCTOPT_ASSERT(position[i] >= 0 && position[i] < m_shape[i]);
            offset += position[i] * m_strides[i];
        }
        return m_data[offset];
    }

    /// The sub-view at position `at` of the first axis.
    constexpr view<T, N - 1> operator[](index_t at) const noexcept requires(N >= 1)
    {
        structopt::shape<N - 1> extents{};
        structopt::shape<N - 1> strides{};
        for (std::size_t i = 1; i < N; ++i)
        {
            extents[i - 1] = m_shape[i];
            strides[i - 1] = m_strides[i];
        }
        return {m_data + at * m_strides[0], extents, strides};
    }

    /// Positions [first, last) of the first axis.
    constexpr view slice(index_t first, index_t last) const noexcept requires(N >= 1)
    {
        view part = *this;
        part.m_data += first * m_strides[0];
        part.m_shape[0] = last - first;
        return part;
    }

    constexpr bool contiguous() const noexcept
    {
        const auto packed = row_major_strides(m_shape);
        for (std::size_t i = 0; i < N; ++i)
        {
            if (m_shape[i] > 1 && m_strides[i] != packed[i])
            {
                return false;
            }
        }
        return true;
    }

    /// All elements in a row. The view must be contiguous.
    constexpr std::span<T> flat() const noexcept
    {
        STRUCTOPT_ASSERT(contiguous());
        return {m_data, static_cast<std::size_t>(size())};
    }

    /// The same elements under other extents of equal count. The view must be contiguous.
    template <std::size_t M>
    constexpr view<T, M> reshaped(const structopt::shape<M>& extents) const noexcept
    {
        STRUCTOPT_ASSERT(contiguous() && (m_data == nullptr || count(extents) == size()));
        return {m_data, extents};
    }

private:
    T* m_data = nullptr;
    structopt::shape<N> m_shape{};
    structopt::shape<N> m_strides{};
};

STRUCTOPT_END_NAMESPACE
