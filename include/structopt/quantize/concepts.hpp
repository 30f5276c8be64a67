/// @file
/// What a quantization scheme is: how numbers become codes of a few bits, and come back.
#pragma once

#include <structopt/config.hpp>

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// The codes of a scheme, both ends included.
struct code_range
{
    std::int32_t lowest = 0;
    std::int32_t highest = 0;

    friend bool operator==(const code_range&, const code_range&) = default;
};

/// The numbers that codes are to cover, both ends included; what observers and clipping deliver.
struct value_range
{
    float lowest = 0;
    float highest = 0;

    friend bool operator==(const value_range&, const value_range&) = default;
};

/// Rounds to a neighbouring whole number: a callable float -> float. See `rounding.hpp`.
template <class R>
concept rounding = requires(const R& round, float x)
{
    {
        round(x)
        } -> std::same_as<float>;
};

namespace detail
{

/// The least rounding there is, to ask schemes for their members.
struct any_rounding
{
    float operator()(float x) const noexcept;
};

} // namespace detail

/// How numbers become codes, for one slice of a tensor (see `granularity.hpp`).
///
/// - `bits`: of a stored code, 1 to 8 or 16; `is_signed`: two's complement or not. `name`: one
///   word, for files.
/// - `parameters`: a regular value, what one slice keeps beside its codes (a scale, a table).
/// - `encode(x, parameters, round)`: the code of a finite number. What lies beyond the codes
///   saturates; `round` decides between neighbouring codes.
/// - `decode(code, parameters)`: the number that a code stands for.
///
/// Parameters come from `fit`: see `range_scheme` and `data_scheme`. Members that change what
/// codes mean are named by `std::string options() const`, for files. Optional: `codes`, a
/// `code_range`, where not all codes of that width are used; `decode_by_table`, where `decode` is slow
/// enough for a table of all codes.
template <class S>
concept scheme = std::regular<typename S::parameters> && requires(const S& s, float x,
    std::int32_t code, const typename S::parameters& p, const detail::any_rounding& round)
{
    {
        S::bits
        } -> std::convertible_to<int>;
    {
        S::is_signed
        } -> std::convertible_to<bool>;
    {
        S::name
        } -> std::convertible_to<std::string_view>;
    {
        s.encode(x, p, round)
        } -> std::same_as<std::int32_t>;
    {
        s.decode(code, p)
        } -> std::same_as<float>;
};

/// A scheme whose parameters follow from the range of the numbers. A symmetric one takes the end of
/// larger magnitude.
template <class S>
concept range_scheme = scheme<S> && requires(const S& s, value_range range)
{
    {
        s.fit(range)
        } -> std::same_as<typename S::parameters>;
};

/// A scheme whose parameters follow from all numbers. `importance` holds one number per value, at
/// least 0, or is empty: all count alike. There may be no values at all.
template <class S>
concept data_scheme = scheme<S> &&
    requires(const S& s, std::span<const float> values, std::span<const float> importance)
{
    {
        s.fit(values, importance)
        } -> std::same_as<typename S::parameters>;
};

/// All codes of a scheme.
template <class S>
constexpr code_range codes_of() noexcept
{
    if constexpr (requires { S::codes; })
    {
        return S::codes;
    }
    else
    {
        constexpr std::int32_t levels = std::int32_t{1} << S::bits;
        return S::is_signed ? code_range{-levels / 2, levels / 2 - 1} : code_range{0, levels - 1};
    }
}

namespace detail
{

/// Widths that codes are stored in.
constexpr bool is_width(int bits) noexcept
{
    return (bits >= 1 && bits <= 8) || bits == 16;
}

/// Widths of the uniform schemes: two levels need no step.
constexpr bool is_uniform_width(int bits) noexcept
{
    return bits != 1 && is_width(bits);
}

} // namespace detail
} // namespace quantize
STRUCTOPT_END_NAMESPACE
