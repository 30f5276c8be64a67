/// @file
/// `quantize::encode`: a tensor and policies in, a quantized tensor out.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/quantize/clipping.hpp>
#include <structopt/quantize/numbers.hpp>
#include <structopt/quantize/quantized_tensor.hpp>
#include <structopt/quantize/rounding.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

namespace detail
{

/// Whether the policies go together; says which does not.
template <class S, class C, class R>
constexpr bool check_policies() noexcept
{
    constexpr bool is_scheme = check_scheme<S>() && scheme<S>;
    if constexpr (is_scheme)
    {
        constexpr bool by_range = range_scheme<S>;
        constexpr bool by_data = data_scheme<S>;
        constexpr bool clips = !std::is_same_v<C, no_clipping>;
        constexpr bool nothing = std::is_empty_v<typename S::parameters>;
        static_assert(by_range || by_data,
            "quantize: a scheme has fit(value_range) or fit(values, importance)");
        static_assert(!clips || !by_data, "quantize: clipping is for schemes fitted to a range, "
                                          "and this one is fitted to the values");
        static_assert(!clips || by_data || !nothing, "quantize: clipping is for schemes fitted to "
                                                     "a range, and this one has no parameters");
        if constexpr (clips && by_range && !by_data)
        {
            constexpr bool gives_range = clipping_for<C, S>;
            static_assert(gives_range,
                "quantize: clipping has value_range range(values, importance, scheme)");
        }
    }
    constexpr bool rounds = rounding<R>;
    static_assert(rounds, "quantize: rounding is a callable float -> float");
    return true;
}

/// Throws `argument_error` naming the position of the first NaN or infinity.
template <std::size_t N>
void check_finite(const char* where, const float* values, const shape<N>& extents)
{
    constexpr std::uint32_t infinity = 0x7f800000u;
    const index_t n = count(extents);
    std::uint32_t largest = 0;
    for (index_t i = 0; i < n; ++i)
    {
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    if (largest < infinity)
    {
        return;
    }
    index_t at = 0;
    while (structopt::detail::is_finite(values[at]))
    {
        ++at;
    }
    structopt::detail::raise<argument_error>(
        std::string(where) + ", position " + position_text(at, extents), "a finite number",
        structopt::detail::is_nan(values[at]) ? "NaN" : "infinity");
}

/// The elements of a slice in a row: where they are, or copied to `room`.
inline std::span<const float> slice_values(
    const slicing& slices, index_t s, const float* values, buffer<float>& room)
{
    const index_t n = slices.length(s);
    if (slices.runs == 1)
    {
        return {values + slices.first(s, 0), static_cast<std::size_t>(n)};
    }
    room.resize(static_cast<std::size_t>(n * slices.runs));
    for (index_t r = 0; r < slices.runs; ++r)
    {
        std::copy_n(values + slices.first(s, r), n, room.data() + r * n);
    }
    return room;
}

/// Parameters of one slice.
template <class S, class C>
typename S::parameters fit_slice(
    const S& s, const C& clipping, std::span<const float> values, std::span<const float> importance)
{
    if constexpr (data_scheme<S>)
    {
        return s.fit(values, importance);
    }
    else if constexpr (std::is_empty_v<typename S::parameters>)
    {
        return s.fit(value_range{});
    }
    else
    {
        return s.fit(clipping.range(values, importance, s));
    }
}

template <class S, class G, std::size_t N, class R>
quantized_tensor<S, G, N> encode_values(const float* values, const shape<N>& extents, const S& s,
    const G& g, std::vector<typename S::parameters> parameters, const R& round)
{
    const slicing slices = g.slices(extents);
    buffer<code_word<S::bits>> codes(static_cast<std::size_t>(count(extents)));
    for (index_t i = 0; i < slices.slices; ++i)
    {
        const auto& p = parameters[static_cast<std::size_t>(i)];
        const index_t n = slices.length(i);
        for (index_t r = 0; r < slices.runs; ++r)
        {
            const index_t first = slices.first(i, r);
            encode_run(s, p, round, values + first, n, codes.data() + first);
        }
    }
    return {extents, std::move(parameters), std::span<const code_word<S::bits>>(codes), s, g};
}

} // namespace detail

/// Quantizes a tensor: a container or view of float, of any strides.
///
/// `importance`, empty or of the tensor's extents, weighs the errors of schemes and clipping that
/// look at all values. Throws `argument_error` naming the position of a NaN or an infinity (and of an
/// importance that is negative), and for a group size that does not divide; nothing is computed
/// then. O(n) for schemes fitted to a range.
template <detail::numbers X, class S, class G = per_tensor, class C = no_clipping,
    class R = nearest_even>
quantized_tensor<S, G, detail::rank_of<X>> encode(const X& x, const S& scheme,
    const G& granularity = {}, const C& clipping = {}, const R& round = {},
    const std::type_identity_t<view<const float, detail::rank_of<X>>>& importance = {})
{
    static_assert(detail::check_policies<S, C, R>());
    const auto input = detail::as_numbers(x);
    const slicing slices = granularity.slices(input.shape());
    const detail::contiguous values(input);
    const detail::contiguous weights(importance);
    detail::check_finite("quantize::encode", values.data(), input.shape());
    if (!importance.empty())
    {
        check_shape("quantize::encode importance", input.shape(), importance.shape());
        detail::check_finite("quantize::encode importance", weights.data(), input.shape());
        for (index_t i = 0; i < importance.size(); ++i)
        {
            if (weights.data()[i] < 0)
            {
                structopt::detail::raise<argument_error>(
                    "quantize::encode importance, position " +
                        detail::position_text(i, input.shape()),
                    "at least 0", std::to_string(weights.data()[i]));
            }
        }
    }
    std::vector<typename S::parameters> parameters;
    parameters.reserve(static_cast<std::size_t>(slices.slices));
    buffer<float> values_room;
    buffer<float> weights_room;
    for (index_t i = 0; i < slices.slices; ++i)
    {
        const auto part = detail::slice_values(slices, i, values.data(), values_room);
        const auto importances =
            importance.empty() ? std::span<const float>()
                               : detail::slice_values(slices, i, weights.data(), weights_room);
        parameters.push_back(detail::fit_slice(scheme, clipping, part, importances));
    }
    return detail::encode_values(
        values.data(), input.shape(), scheme, granularity, std::move(parameters), round);
}

/// Quantizes with parameters that are there already, one per slice: what an observer found, or those
/// of another tensor. Values beyond their range saturate.
///
/// Throws `argument_error` for a NaN or an infinity and for another number of parameters.
template <detail::numbers X, class S, class G = per_tensor, class R = nearest_even>
quantized_tensor<S, G, detail::rank_of<X>> encode_with(const X& x,
    std::vector<typename S::parameters> parameters, const S& scheme, const G& granularity = {},
    const R& round = {})
{
    static_assert(detail::check_policies<S, no_clipping, R>());
    const auto input = detail::as_numbers(x);
    const slicing slices = granularity.slices(input.shape());
    if (parameters.size() != static_cast<std::size_t>(slices.slices))
    {
        structopt::detail::raise<argument_error>("quantize::encode_with parameters",
            std::to_string(slices.slices) + ", one per slice", std::to_string(parameters.size()));
    }
    const detail::contiguous values(input);
    detail::check_finite("quantize::encode_with", values.data(), input.shape());
    return detail::encode_values(
        values.data(), input.shape(), scheme, granularity, std::move(parameters), round);
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
