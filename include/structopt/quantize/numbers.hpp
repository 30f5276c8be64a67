/// @file
/// What functions of this folder take: views and containers of float of any rank.
#pragma once

#include <structopt/core/tensor.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize::detail
{

/// The number of axes of a view or a container.
template <class X>
inline constexpr std::size_t rank_of = []
{
    if constexpr (structopt::detail::is_view<X>)
    {
        return X::rank;
    }
    else
    {
        return std::tuple_size_v<std::remove_cvref_t<decltype(std::declval<const X&>().shape())>>;
    }
}();

/// As a view of its rank.
template <class X>
view<const float, rank_of<X>> as_numbers(const X& x) noexcept
{
    return view<const float, rank_of<X>>(x);
}

/// A view or a container of float, of static rank.
template <class X>
concept numbers = requires(const X& x)
{
    as_numbers(x);
};

/// The numbers of a view in a row: where they are, or a copy.
template <std::size_t N>
class contiguous
{
public:
    explicit contiguous(const view<const float, N>& x)
        : m_data(x.data())
    {
        if (!x.empty() && !x.contiguous())
        {
            m_copy = structopt::copy(x);
            m_data = m_copy.data();
        }
    }

    contiguous(const contiguous&) = delete;
    contiguous& operator=(const contiguous&) = delete;

    const float* data() const noexcept
    {
        return m_data;
    }

private:
    tensor<float, N> m_copy;
    const float* m_data;
};

} // namespace quantize::detail
STRUCTOPT_END_NAMESPACE
