/// @file
/// The share of samples whose largest output is the right class.
#pragma once

#include <structopt/train/metric/concepts.hpp>

#include <cstdint>
#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// Top-1 accuracy, from 0 to 1, of outputs [batch, classes] against labels, or against soft targets
/// (the largest of which counts as the label). The first of equal outputs is the answer; outputs with
/// a NaN are wrong.
struct accuracy
{
    static constexpr std::string_view name = "accuracy";

    index_t right = 0;
    index_t samples = 0;

    void reset() noexcept
    {
        *this = {};
    }

    /// @throws shape_error where the numbers of rows and labels differ.
    template <class T>
    void accumulate(view<const T, 2> y, std::span<const std::int32_t> labels)
    {
        detail::check_rows("train::accuracy", y, labels.size());
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            right += detail::largest_position(y.data() + row * y.shape(1), y.shape(1)) ==
                     labels[static_cast<std::size_t>(row)];
        }
        samples += y.shape(0);
    }

    template <class T>
    void accumulate(view<const T, 2> y, std::type_identity_t<view<const T, 2>> targets)
    {
        check_shape("train::accuracy", y.shape(), targets.shape());
        detail::check_contiguous("train::accuracy", y);
        detail::check_contiguous<T, 2>("train::accuracy", targets);
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            const index_t answer =
                detail::largest_position(y.data() + row * y.shape(1), y.shape(1));
            right += answer >= 0 && answer == detail::largest_position(
                                                  targets.data() + row * y.shape(1), y.shape(1));
        }
        samples += y.shape(0);
    }

    double value() const noexcept
    {
        return samples == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(samples);
    }

    friend bool operator==(const accuracy&, const accuracy&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
