/// @file
/// The scores of one layer as allocations and selection read them: a view that copies nothing.
#pragma once

#include <structopt/prune/order.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A list of scores that lie elsewhere: floats or doubles, or the sizes |w| of such numbers.
///
/// Sizes are read off the weights whenever they are asked for, so that pruning by magnitude stores no
/// scores. What the list views must live as long as the list.
class score_list
{
public:
    score_list() = default;

    /// Of a span, a vector, ... of floats or doubles, which are the scores.
    template <class Scores>
        requires(std::convertible_to<const Scores&, std::span<const float>> ||
                 std::convertible_to<const Scores&, std::span<const double>>)
    score_list(const Scores& scores)
    noexcept
    {
        using T = std::conditional_t<std::convertible_to<const Scores&, std::span<const float>>,
            float, double>;
        const std::span<const T> values(scores);
        m_data = values.data();
        m_size = values.size();
        m_kind = std::same_as<T, float> ? kind::floats : kind::doubles;
    }

    /// The scores |w|.
    template <std::floating_point T>
    static score_list sizes_of(std::span<const T> weights) noexcept
    {
        score_list list(weights);
        list.m_kind = std::same_as<T, float> ? kind::float_sizes : kind::double_sizes;
        return list;
    }

    std::size_t size() const noexcept
    {
        return m_size;
    }

    bool empty() const noexcept
    {
        return m_size == 0;
    }

    /// Whether the scores are floats.
    bool is_float() const noexcept
    {
        return m_kind == kind::floats || m_kind == kind::float_sizes;
    }

    double operator[](std::size_t i) const noexcept
    {
        switch (m_kind)
        {
        case kind::floats:
            return static_cast<double>(static_cast<const float*>(m_data)[i]);
        case kind::float_sizes:
            return std::abs(static_cast<double>(static_cast<const float*>(m_data)[i]));
        case kind::doubles:
            return static_cast<const double*>(m_data)[i];
        default:
            return std::abs(static_cast<const double*>(m_data)[i]);
        }
    }

    /// Calls `f(data, order)`: the numbers as they lie, and the function that makes of one of them the
    /// order of its score. 32-bit orders are of floats alone: `is_float()`.
    template <std::unsigned_integral Order, class F>
    decltype(auto) visit(const F& f) const
    {
        if constexpr (sizeof(Order) == 8)
        {
            switch (m_kind)
            {
            case kind::doubles:
                return f(
                    static_cast<const double*>(m_data), detail::order_function<Order, false>{});
            case kind::double_sizes:
                return f(static_cast<const double*>(m_data), detail::order_function<Order, true>{});
            default:
                break;
            }
        }
        return m_kind == kind::float_sizes
                   ? f(static_cast<const float*>(m_data), detail::order_function<Order, true>{})
                   : f(static_cast<const float*>(m_data), detail::order_function<Order, false>{});
    }

    /// How many scores have each value of the upper 16 bits of their order, where somebody has counted
    /// them already (see `detail::count_orders`); else null.
    const std::size_t* counted() const noexcept
    {
        return m_counted;
    }

    void set_counted(const std::size_t* bins) noexcept
    {
        m_counted = bins;
    }

private:
    enum class kind
    {
        floats,
        float_sizes,
        doubles,
        double_sizes
    };

    const void* m_data = nullptr;
    std::size_t m_size = 0;
    kind m_kind = kind::doubles;
    const std::size_t* m_counted = nullptr;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
