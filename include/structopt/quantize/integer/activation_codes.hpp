/// @file
/// Scales and zero points of activations, as layers keep them in files.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/quantize/parameters.hpp>

#include <cstdint>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{
namespace detail
{

/// Throws unless codes of this scale and zero point can be.
template <class Error>
void check_activation_code(const char* where, float scale, float zero)
{
    using structopt::detail::is_finite;
    if (!is_finite(scale) || !(scale > 0) || !is_finite(zero) || zero < -128 || zero > 127)
    {
        structopt::detail::raise<Error>(where,
            "a finite scale above 0 and a zero point in [-128, 127]",
            std::to_string(scale) + " and " + std::to_string(zero));
    }
}

/// The codes of a layer that has no weights, as one tensor of a file: scale and zero point of each.
template <class... Codes>
tensor<float, 1> list_codes(const Codes&... codes)
{
    auto list = make_tensor<float>(shape<1>{2 * sizeof...(codes)});
    float* to = list.data();
    ((*to++ = codes.scale, *to++ = static_cast<float>(codes.zero)), ...);
    return list;
}

inline scale_and_zero listed_code(const tensor<float, 1>& list, index_t i) noexcept
{
    return {list.data()[2 * i], static_cast<std::int32_t>(list.data()[2 * i + 1])};
}

/// Throws `format_error` unless the list from a file has `count` codes that are usable.
inline void check_codes(const char* layer, const tensor<float, 1>& list, index_t count)
{
    if (size_of(list) != 2 * count)
    {
        structopt::detail::raise<format_error>(std::string(layer) + " codes",
            std::to_string(count) + " pairs of a scale and a zero point",
            std::to_string(size_of(list)) + " numbers");
    }
    for (index_t i = 0; i < count; ++i)
    {
        detail::check_activation_code<format_error>(
            layer, list.data()[2 * i], list.data()[2 * i + 1]);
    }
}

} // namespace detail
} // namespace quantize
STRUCTOPT_END_NAMESPACE
