/// @file
/// What a loss is, and the two ways to call one on tensors.
///
/// A loss is a small aggregate that gives value and gradient in one pass:
///
///     double operator()(view<const T, N> y, Target target, view<T, N> dy) const;
///
/// `y` is the network's output, `target` whatever the loss compares it with (labels, a tensor of
/// the same shape, a struct of one's own), and `dy` receives the gradient with respect to `y`
/// unless it is an empty view. Sums run in double whatever T is.
#pragma once

#include <structopt/core/tensor.hpp>

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// How the terms of a loss become one number.
enum class reduction
{
    mean,      ///< divided by the number of terms: samples for labels, elements otherwise
    sum,       ///< not divided
    batch_mean ///< divided by the number of samples (the first extent)
};

/// A loss on outputs of element T and rank N against `Target`.
template <class L, class Target, class T = float, std::size_t N = 2>
concept loss_function = requires(
    const L& loss, view<const T, N> y, const Target& target, view<T, N> dy)
{
    {
        loss(y, target, dy)
        } -> std::convertible_to<double>;
};

namespace detail
{

/// Refuses outputs and gradients that a loss cannot walk through in one row.
template <class T, std::size_t N>
void check_loss(const char* loss, view<const T, N> y, view<T, N> dy)
{
    const std::string name(loss);
    if (y.empty())
    {
        structopt::detail::raise<shape_error>(
            name + " input", "at least one element", describe(y.shape()));
    }
    if (!y.contiguous())
    {
        structopt::detail::raise<shape_error>(
            name + " input", "a contiguous row-major view", "strides " + describe(y.strides()));
    }
    if (dy.data() != nullptr)
    {
        check_shape((name + " gradient").c_str(), y.shape(), dy.shape());
        if (!dy.contiguous())
        {
            structopt::detail::raise<shape_error>(name + " gradient", "a contiguous row-major view",
                "strides " + describe(dy.strides()));
        }
    }
}

/// The same for a target of the output's shape.
template <class T, std::size_t N>
void check_target(const char* loss, view<const T, N> y, view<const T, N> target)
{
    const std::string name = std::string(loss) + " target";
    check_shape(name.c_str(), y.shape(), target.shape());
    if (!target.contiguous())
    {
        structopt::detail::raise<shape_error>(
            name, "a contiguous row-major view", "strides " + describe(target.strides()));
    }
}

/// One label per row of [batch, classes], each a class.
inline void check_labels(const char* loss, const shape<2>& y, std::span<const std::int32_t> labels)
{
    const std::string name = std::string(loss) + " labels";
    if (static_cast<index_t>(labels.size()) != y[0])
    {
        structopt::detail::raise<shape_error>(
            name, std::to_string(y[0]) + " labels", std::to_string(labels.size()));
    }
    for (std::size_t row = 0; row < labels.size(); ++row)
    {
        if (labels[row] < 0 || labels[row] >= y[1])
        {
            structopt::detail::raise<argument_error>(name,
                "classes from 0 to " + std::to_string(y[1] - 1),
                std::to_string(labels[row]) + " in row " + std::to_string(row));
        }
    }
}

/// The number that a loss over `terms` terms and `samples` samples is multiplied by.
constexpr double loss_scale(reduction kind, index_t terms, index_t samples) noexcept
{
    switch (kind)
    {
    case reduction::mean:
        return 1.0 / static_cast<double>(terms);
    case reduction::batch_mean:
        return 1.0 / static_cast<double>(samples);
    default:
        return 1.0;
    }
}

/// Value and derivative of one term.
template <class T>
struct loss_term
{
    T value;
    T derivative;
};

/// A loss that is a sum over pairs of elements. `term(y, target, i)` gives the pair's share, where
/// i is the position of the element in the tensor.
template <class T, std::size_t N, class Term>
double elementwise_loss(const char* loss, reduction kind, view<const T, N> y,
    view<const T, N> target, view<T, N> dy, const Term& term)
{
    check_loss(loss, y, dy);
    check_target(loss, y, target);
    const double scale = loss_scale(kind, y.size(), y.shape(0));
    const T factor = static_cast<T>(scale);
    const T* const output = y.data();
    const T* const wanted = target.data();
    T* const gradient = dy.data();
    double sum = 0;
    for (index_t i = 0; i < y.size(); ++i)
    {
        const loss_term<T> one = term(output[i], wanted[i], i);
        sum += static_cast<double>(one.value);
        if (gradient != nullptr)
        {
            gradient[i] = factor * one.derivative;
        }
    }
    return sum * scale;
}

template <class T, std::size_t N>
view<const T, N> read_view(const tensor<T, N>& x) noexcept
{
    return as_view(x);
}

template <class T, std::size_t N>
view<const std::remove_const_t<T>, N> read_view(view<T, N> x) noexcept
{
    return x;
}

} // namespace detail

/// Value of a loss and its gradient with respect to the output.
template <class T, std::size_t N>
struct loss_result
{
    double value = 0;
    tensor<T, N> gradient;
};

/// The value of a loss; `y` is a tensor or a view.
template <class L, class Y, class Target>
double loss_value(const L& loss, const Y& y, const Target& target)
{
    const auto output = detail::read_view(y);
    using T = typename decltype(output)::value_type;
    return static_cast<double>(loss(output, target, view<T, decltype(output)::rank>()));
}

/// Value and gradient of a loss; `y` is a tensor or a view.
template <class L, class Y, class Target>
auto value_and_gradient(const L& loss, const Y& y, const Target& target)
{
    const auto output = detail::read_view(y);
    using T = typename decltype(output)::value_type;
    loss_result<T, decltype(output)::rank> result{0.0, make_tensor<T>(output.shape())};
    result.value = static_cast<double>(loss(output, target, as_view(result.gradient)));
    return result;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
