/// @file
/// Options of the training loop, and what a callback may ask it to do.
#pragma once

#include <structopt/core/shape.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// What the loop does when the loss of a batch is NaN or infinite. The network has not taken the
/// step then.
enum class nonfinite
{
    raise, ///< throws `nonfinite_error`
    stop,  ///< ends the training as a callback's `control::stop` does
    ignore ///< goes on
};

/// What a hook returns, or void for `go_on`.
enum class control
{
    go_on,
    /// Ends the training: the best network is restored where early stopping is to do that.
    stop,
    /// Leaves the loop as it stands; `train::resume` goes on from there.
    pause
};

/// Options of `train::fit`.
struct options
{
    /// Passes over the training data, those before a resume included.
    index_t epochs = 10;
    /// Samples per step.
    index_t batch = 64;
    /// Whether every epoch takes the samples in a new order.
    bool shuffle = true;
    /// Whether the samples that do not fill a batch are left out of the epoch.
    bool drop_last = false;
    train::nonfinite nonfinite = train::nonfinite::raise;
    /// Samples per batch where validation sets are measured.
    index_t evaluation_batch = 256;

    /// @throws argument_error
    void validate() const
    {
        const auto at_least = [](const char* option, index_t least, index_t value)
        {
            if (value < least)
            {
                structopt::detail::raise<argument_error>(std::string("train::options.") + option,
                    "at least " + std::to_string(least), std::to_string(value));
            }
        };
        at_least("epochs", 0, epochs);
        at_least("batch", 1, batch);
        at_least("evaluation_batch", 1, evaluation_batch);
    }

    friend bool operator==(const options&, const options&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
