/// @file
/// What a training leaves behind: one record per epoch.
#pragma once

#include <structopt/core/shape.hpp>

#include <string>
#include <string_view>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// One measured number, for example "validation.accuracy".
struct measurement
{
    std::string name;
    double value = 0.0;

    friend bool operator==(const measurement&, const measurement&) = default;
};

/// One epoch.
struct epoch_record
{
    /// From 1.
    index_t epoch = 0;
    /// Mean loss of the training batches as they were trained on, weighted by their samples;
    /// penalties excluded.
    double loss = 0.0;
    /// Mean sum of the penalties.
    double penalty = 0.0;
    /// Learning rate of the last step.
    double rate = 0.0;
    /// Steps of the optimizer so far.
    index_t steps = 0;
    /// Time of the epoch, measurements included. Not reproducible.
    double seconds = 0.0;
    /// In the order of the validation sets, then of the metrics.
    std::vector<measurement> measured;

    /// A measurement by name, "loss" and "penalty" included; null if there is none.
    const double* find(std::string_view name) const noexcept
    {
        if (name == "loss")
        {
            return &loss;
        }
        if (name == "penalty")
        {
            return &penalty;
        }
        for (const measurement& one : measured)
        {
            if (one.name == name)
            {
                return &one.value;
            }
        }
        return nullptr;
    }

    /// A measurement by name. @throws argument_error if there is none.
    double at(std::string_view name) const
    {
        const double* const value = find(name);
        if (value == nullptr)
        {
            std::string known = "loss, penalty";
            for (const measurement& one : measured)
            {
                known += ", " + one.name;
            }
            structopt::detail::raise<argument_error>(
                "train::epoch_record", "one of " + known, std::string(name));
        }
        return *value;
    }

    friend bool operator==(const epoch_record&, const epoch_record&) = default;
};

/// All epochs so far, and how the training ended.
struct history
{
    std::vector<epoch_record> epochs;
    /// The epoch whose network was restored, from 1; 0 if the last one stands.
    index_t restored = 0;
    /// Whether it ended before its last epoch: early stopping, a callback, or a loss that is not
    /// finite.
    bool stopped = false;

    bool empty() const noexcept
    {
        return epochs.empty();
    }

    const epoch_record& last() const
    {
        if (epochs.empty())
        {
            structopt::detail::raise<argument_error>(
                "train::history", "at least one finished epoch", "none");
        }
        return epochs.back();
    }

    friend bool operator==(const history&, const history&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
