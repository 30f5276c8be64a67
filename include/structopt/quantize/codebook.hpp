/// @file
/// Codebook quantization: a table of values per slice, found by k-means.
#pragma once

#include <structopt/linalg/k_means_1d.hpp>
#include <structopt/quantize/levels.hpp>
#include <structopt/quantize/numbers.hpp>
#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/quantized_tensor.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes are positions in a table of `Entries` values per slice, ascending: the centers of k-means
/// over the slice's values, weighted by importance (`linalg::k_means_1d`).
///
/// Han, Mao and Dally, "Deep compression", 2016, who found linear starts best for accuracy: few but
/// large weights matter. A number has the code of its nearest value, of two equally near ones the
/// lower; other roundings get the fraction of the way between two. A slice with at most `Entries`
/// different values is exact.
template <int Entries>
struct codebook
{
    using start_type = linalg::k_means_start;
    start_type start = start_type::linear;
    std::uint64_t seed = 1; ///< of the draws of a random start, anew for each slice
    int iterations = 300;   ///< at most, at least 1

    static constexpr int entries = Entries >= 2 && Entries <= 256 ? Entries : 2;
    static constexpr int bits = std::bit_width(static_cast<unsigned>(entries - 1));
    static constexpr bool is_signed = false;
    static constexpr std::string_view name = "codebook";
    static constexpr code_range codes{0, entries - 1};
    using parameters = value_table<static_cast<std::size_t>(entries)>;

    /// Throws `argument_error` for less than one iteration.
    parameters fit(std::span<const float> values, std::span<const float> importance) const
    {
        if (iterations < 1)
        {
            structopt::detail::raise<argument_error>(
                "quantize::codebook iterations", "at least 1", std::to_string(iterations));
        }
        parameters p;
        random_engine rng(seed);
        linalg::k_means_1d(values, importance, p.values, start, rng, iterations);
        return p;
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        return detail::level_of(p.values.data(), entries, x, round);
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        return p.values[static_cast<std::size_t>(code)];
    }

    /// For files.
    std::string options() const
    {
        return "entries=" + std::to_string(entries);
    }

    friend bool operator==(const codebook&, const codebook&) = default;

    static_assert(Entries >= 2 && Entries <= 256, "quantize::codebook<Entries>: 2 to 256 entries");
};

/// One step of training the tables: value -= rate * sum of the gradients of its elements.
///
/// `gradient` is that of the dequantized tensor. Codes stay with their values; where a step puts two
/// values of a table in another order, both are renumbered. Throws `shape_error` for other extents,
/// `argument_error` for a value that is not finite afterwards.
template <int Entries, class G, std::size_t N>
quantized_tensor<codebook<Entries>, G, N> train_values(
    const quantized_tensor<codebook<Entries>, G, N>& q,
    const std::type_identity_t<view<const float, N>>& gradient, float rate)
{
    using scheme = codebook<Entries>;
    constexpr auto entries = static_cast<std::size_t>(scheme::entries);
    check_shape("quantize::train_values gradient", q.shape(), gradient.shape());
    const detail::contiguous numbers(gradient);
    const auto codes = q.codes();
    const slicing& slices = q.slices();
    std::vector<typename scheme::parameters> tables(q.parameters().begin(), q.parameters().end());
    buffer<code_word<scheme::bits>> words(static_cast<std::size_t>(q.size()));
    for (index_t s = 0; s < slices.slices; ++s)
    {
        std::array<double, entries> sums{};
        const auto each = [&](const auto& visit)
        {
            for (index_t r = 0; r < slices.runs; ++r)
            {
                for (index_t i = slices.first(s, r); i < slices.first(s, r) + slices.length(s); ++i)
                {
                    visit(i, static_cast<std::size_t>(codes.data()[i]));
                }
            }
        };
        each(
            [&](index_t i, std::size_t code)
            {
                sums[code] += static_cast<double>(numbers.data()[i]);
            });
        auto& values = tables[static_cast<std::size_t>(s)].values;
        std::array<std::pair<float, std::size_t>, entries> moved;
        for (std::size_t e = 0; e < entries; ++e)
        {
            const auto value = static_cast<float>(
                static_cast<double>(values[e]) - static_cast<double>(rate) * sums[e]);
            if (!structopt::detail::is_finite(value))
            {
                structopt::detail::raise<argument_error>(
                    "quantize::train_values, slice " + std::to_string(s), "finite values",
                    "NaN or infinity");
            }
            moved[e] = {value, e};
        }
        std::sort(moved.begin(), moved.end());
        std::array<std::uint8_t, entries> renumbered{};
        for (std::size_t e = 0; e < entries; ++e)
        {
            values[e] = moved[e].first;
            renumbered[moved[e].second] = static_cast<std::uint8_t>(e);
        }
        each(
            [&](index_t i, std::size_t code)
            {
                words[static_cast<std::size_t>(i)] = renumbered[code];
            });
    }
    return {q.shape(), std::move(tables), std::span<const code_word<scheme::bits>>(words),
        q.scheme(), q.granularity()};
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
