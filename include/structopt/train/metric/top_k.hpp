/// @file
/// The share of samples whose right class is among the k largest outputs.
#pragma once

#include <structopt/train/metric/concepts.hpp>

#include <cstdint>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// Top-k accuracy, from 0 to 1: fewer than k outputs are larger than that of the right class, or
/// equal and of a smaller class.
struct top_k
{
    static constexpr std::string_view name = "top_k";

    /// At least 1.
    index_t k = 5;
    index_t right = 0;
    index_t samples = 0;

    void reset() noexcept
    {
        right = 0;
        samples = 0;
    }

    /// @throws argument_error
    void validate() const
    {
        if (k < 1)
        {
            structopt::detail::raise<argument_error>(
                "train::top_k.k", "at least 1", std::to_string(k));
        }
    }

    /// @throws shape_error where the numbers of rows and labels differ, argument_error for k < 1 or
    /// a label that is no class.
    template <class T>
    void accumulate(view<const T, 2> y, std::span<const std::int32_t> labels)
    {
        detail::check_rows("train::top_k", y, labels.size());
        detail::check_classes("train::top_k", y.shape(1), labels);
        validate();
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            const T* const out = y.data() + row * y.shape(1);
            const index_t label = labels[static_cast<std::size_t>(row)];
            index_t before = 0;
            for (index_t c = 0; c < y.shape(1); ++c)
            {
                // Written so that a NaN on either side counts against the answer.
                before +=
                    c != label && !(out[c] < out[label]) && (c < label || !(out[c] == out[label]));
            }
            right += before < k;
        }
        samples += y.shape(0);
    }

    double value() const noexcept
    {
        return samples == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(samples);
    }

    friend bool operator==(const top_k&, const top_k&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
