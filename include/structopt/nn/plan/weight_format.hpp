/// @file
/// The formats that a plan chooses from.
#pragma once

#include <structopt/core/shape.hpp>

#include <array>
#include <cstddef>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// A format of exact weights. Of equally good ones the first is chosen.
enum class weight_format
{
    dense,   ///< the canonical matrix
    packed,  ///< `packed_matrix`: the fastest dense one
    sliced,  ///< `sparse::sliced`
    tiled,   ///< `sparse::tiled`
    csr16,   ///< `sparse::csr` with 16-bit indices
    bitmask, ///< `sparse::bitmask`
    vectors, ///< `sparse::bsr` of 16 x 1
    nm2x4,   ///< `sparse::packed_nm` 2:4
    nm1x4,   ///< `sparse::packed_nm` 1:4
    nm4x8    ///< `sparse::packed_nm` 4:8
};

inline constexpr std::array every_weight_format{weight_format::dense, weight_format::packed,
    weight_format::sliced, weight_format::tiled, weight_format::csr16, weight_format::bitmask,
    weight_format::vectors, weight_format::nm2x4, weight_format::nm1x4, weight_format::nm4x8};

inline constexpr std::size_t weight_format_count = every_weight_format.size();

/// As the storage of that format is called: "bsr16x1".
constexpr std::string_view name_of(weight_format format) noexcept
{
    constexpr std::array<std::string_view, weight_format_count> names{"dense", "packed", "sliced",
        "tiled", "csr16", "bitmask", "bsr16x1", "nm2x4", "nm1x4", "nm4x8"};
    return names[static_cast<std::size_t>(format)];
}

/// Whether all elements are there, zeros included.
constexpr bool is_dense(weight_format format) noexcept
{
    return format == weight_format::dense || format == weight_format::packed;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
