/// @file
/// What a criterion may know besides the weights: gradients, activations, movement in training.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/view.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Kinds of evidence, joined by `|`.
enum class evidence : unsigned
{
    none = 0,
    gradient = 1, ///< mean over the samples of the loss's gradient
    squared_gradient =
        2,        ///< mean over the samples of each sample's squared gradient: Fisher's diagonal
    movement = 4, ///< minus the sum over training steps of weight times gradient
    inputs = 8,   ///< how large the inputs of a layer are, column by column
    outputs = 16, ///< statistics of the units' activations
    scale = 32    ///< batch norm's factor that a unit passes
};

constexpr evidence operator|(evidence a, evidence b) noexcept
{
    return static_cast<evidence>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

constexpr evidence operator&(evidence a, evidence b) noexcept
{
    return static_cast<evidence>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}

/// Whether all of `needed` is in `have`.
constexpr bool includes(evidence have, evidence needed) noexcept
{
    return (have & needed) == needed;
}

/// "gradient, inputs", for messages.
inline std::string evidence_names(evidence which)
{
    constexpr std::string_view names[] = {
        "gradient", "squared_gradient", "movement", "inputs", "outputs", "scale"};
    std::string text;
    for (unsigned bit = 0; bit < 6; ++bit)
    {
        if ((static_cast<unsigned>(which) >> bit & 1u) != 0)
        {
            text += text.empty() ? "" : ", ";
            text += names[bit];
        }
    }
    return text.empty() ? std::string("none") : text;
}

/// Statistics of what the units of a layer put out, one number per row of its weight, over all samples
/// and positions. Taken behind the activation function that follows the layer in its `sequential`, if
/// there is one (batch norm, dropout and pooling may lie between), else behind its batch norm, else at
/// the layer itself.
struct unit_statistics
{
    std::span<const double> mean;
    std::span<const double> mean_absolute;
    std::span<const double> variance;   ///< divided by the number of values
    std::span<const double> zero_share; ///< share of values that are exactly zero
};

/// The evidence on one weight, a matrix [rows, columns]: what the criterion did not ask for is empty.
template <class T>
struct layer_evidence
{
    /// "0.weight", for messages.
    std::string_view name = {};
    view<const T, 2> weight = {};
    view<const T, 2> gradient = {};
    view<const T, 2> squared_gradient = {};
    view<const T, 2> movement = {};
    /// Root of the mean square of every column's input, over samples and (of a convolution) positions;
    /// [groups, columns], where the rows of a group see the same inputs.
    std::span<const double> input_norm = {};
    unit_statistics outputs = {};
    /// Batch norm's weight, one number per row; empty where no batch norm follows.
    std::span<const T> scale = {};
    index_t groups = 1;

    /// The `input_norm` of a row's columns.
    std::span<const double> inputs_of(index_t row) const noexcept
    {
        const index_t columns = weight.shape(1);
        const index_t group = row / (weight.shape(0) / groups);
        return input_norm.subspan(
            static_cast<std::size_t>(group * columns), static_cast<std::size_t>(columns));
    }
};

/// Says which evidence it needs: `static constexpr evidence needs`.
template <class C>
concept needs_evidence = requires
{
    {
        C::needs
        } -> std::convertible_to<evidence>;
};

/// Scores every weight of a matrix from the evidence on it, row by row; the lowest go first.
///
/// Scores are double whatever the weights are: products of small gradients underflow in float.
///
///     struct largest_gradient
///     {
///         static constexpr prune::evidence needs = prune::evidence::gradient;
///         template <class T>
///         void score(const prune::layer_evidence<T>& on, std::span<double> scores) const
///         {
///             for (std::size_t i = 0; i < scores.size(); ++i)
///                 scores[i] = std::abs(static_cast<double>(on.gradient.flat()[i]));
///         }
///     };
///
/// A member `finish(std::span<prune::layer_scores>) const`, if there is one, sees the scores of all
/// layers at the end and may change them (a division by their sum).
template <class C>
concept informed_weight_criterion = needs_evidence<C> &&
    requires(const C& c, const layer_evidence<float>& on, std::span<double> scores)
{
    c.score(on, scores);
};

/// Scores every row of a matrix, a unit, from the evidence on it.
template <class C>
concept informed_unit_criterion = needs_evidence<C> &&
    requires(const C& c, const layer_evidence<float>& on, std::span<double> scores)
{
    c.score_units(on, scores);
};

/// A criterion that needs more than weights. One that scores weights scores units too: by the mean of
/// their rows, unless it says otherwise.
template <class C>
concept informed_criterion = informed_weight_criterion<C> || informed_unit_criterion<C>;

/// Evidence for several criteria at once: stands where `observe` takes a criterion.
///
///     observe(net, data, loss, prune::need<prune::evidence::gradient | prune::evidence::inputs>{}, ...)
template <evidence Which>
struct need
{
    static constexpr evidence needs = Which;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
