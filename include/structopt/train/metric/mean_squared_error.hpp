/// @file
/// The mean squared error as a metric.
#pragma once

#include <structopt/train/metric/concepts.hpp>

#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The mean of (y - target)^2 over all elements, for outputs of any rank.
struct mean_squared_error
{
    static constexpr std::string_view name = "mse";

    double sum = 0.0;
    index_t elements = 0;

    void reset() noexcept
    {
        *this = {};
    }

    /// @throws shape_error where the extents differ.
    template <class T, std::size_t N>
    void accumulate(view<const T, N> y, std::type_identity_t<view<const T, N>> target)
    {
        check_shape("train::mean_squared_error", y.shape(), target.shape());
        detail::check_contiguous("train::mean_squared_error", y);
        detail::check_contiguous<T, N>("train::mean_squared_error", target);
        for (index_t i = 0; i < y.size(); ++i)
        {
            const double d =
                static_cast<double>(y.data()[i]) - static_cast<double>(target.data()[i]);
            sum += d * d;
        }
        elements += y.size();
    }

    double value() const noexcept
    {
        return elements == 0 ? 0.0 : sum / static_cast<double>(elements);
    }

    friend bool operator==(const mean_squared_error&, const mean_squared_error&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
