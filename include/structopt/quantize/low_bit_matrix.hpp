/// @file
/// Matrices of 4-bit, ternary, binary and table codes, one scale per row or per group of columns,
/// packed for `kernel::gemm_low_bit`.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/gemm_low_bit.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

using kernel::low_bit;

/// A matrix as codes of a few bits: w = (value of the code - zero point) * scale, where the value is
/// the code itself, or `table[code]` for `low_bit::table4`.
///
/// `codes` [rows, columns] are in [-8, 7] (`int4`), [-2, 1] (`int2`, ternary ones in [-1, 1]), -1 and 1
/// (`binary`) or [0, 15] (`table4`). `scales` [rows, groups] and `zeros`, which has the same extents or
/// is empty, belong to `group` neighbouring columns; a group of 0 is the whole row.
struct low_bit_codes
{
    low_bit kind = low_bit::int4;
    index_t group = 0;
    tensor<std::int8_t, 2> codes = structopt::zeros<std::int8_t>(shape<2>{0, 0});
    tensor<float, 2> scales = structopt::zeros<float>(shape<2>{0, 0});
    tensor<std::int8_t, 2> zeros = structopt::zeros<std::int8_t>(shape<2>{0, 0});
    std::array<std::int8_t, 16> table{};

    /// The matrix that the codes stand for.
    tensor<float, 2> dequantize() const
    {
        auto w = make_tensor<float>(shape_of(codes));
        const index_t columns = shape_of(codes)[1];
        const index_t groups = shape_of(scales)[1];
        for (index_t i = 0; i < size_of(w); ++i)
        {
            const index_t at = i / columns * groups + (group == 0 ? 0 : i % columns / group);
            const std::int32_t code = codes.data()[i];
            std::int32_t value =
                kind == low_bit::table4 ? table[static_cast<std::size_t>(code)] : code;
            value -= size_of(zeros) == 0 ? 0 : zeros.data()[at];
            w.data()[i] = static_cast<float>(value) * scales.data()[at];
        }
        return w;
    }

    friend bool operator==(const low_bit_codes&, const low_bit_codes&) = default;
};

/// The table whose values are powers of two, of either sign, and 0: 0, 1, 2, 4, ..., 64, then their
/// negatives.
inline constexpr std::array<std::int8_t, 16> power_of_two_table{
    0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64};

namespace detail
{

/// The scale of n weights, before it is rounded to its format.
inline float low_bit_scale(
    low_bit kind, const float* w, index_t n, const std::array<std::int8_t, 16>& table)
{
    float most = 0;
    double sum = 0;
    for (index_t i = 0; i < n; ++i)
    {
        most = std::max(most, std::abs(w[i]));
        sum += std::abs(static_cast<double>(w[i]));
    }
    if (kind == low_bit::int4)
    {
        return most / 7.0f;
    }
    if (kind == low_bit::table4)
    {
        std::int32_t largest = 1;
        for (const std::int32_t value : table)
        {
            largest = std::max(largest, std::abs(value));
        }
        return most / static_cast<float>(largest);
    }
    const double mean = n == 0 ? 0 : sum / static_cast<double>(n);
    if (kind == low_bit::binary)
    {
        return static_cast<float>(mean);
    }
    double beyond = 0;
    index_t count = 0;
    for (index_t i = 0; i < n; ++i)
    {
        const double magnitude = std::abs(static_cast<double>(w[i]));
        beyond += magnitude > 0.7 * mean ? magnitude : 0;
        count += magnitude > 0.7 * mean ? 1 : 0;
    }
    return count == 0 ? 0.0f : static_cast<float>(beyond / static_cast<double>(count));
}

/// The code of a weight; `ratio` is the weight in units of its scale.
inline std::int8_t low_bit_code(
    low_bit kind, float w, float ratio, double threshold, const std::array<std::int8_t, 16>& table)
{
    if (kind == low_bit::int4)
    {
        return static_cast<std::int8_t>(std::clamp(std::nearbyint(ratio), -7.0f, 7.0f));
    }
    if (kind == low_bit::binary)
    {
        return w < 0 ? std::int8_t{-1} : std::int8_t{1};
    }
    if (kind == low_bit::int2)
    {
        const bool kept = std::abs(static_cast<double>(w)) > threshold;
        return static_cast<std::int8_t>(!kept ? 0 : w < 0 ? -1 : 1);
    }
    std::int8_t best = 0;
    for (std::int8_t i = 1; i < 16; ++i)
    {
        const auto distance = [&](std::int8_t at)
        {
            return std::abs(static_cast<float>(table[static_cast<std::size_t>(at)]) - ratio);
        };
        best = distance(i) < distance(best) ? i : best;
    }
    return best;
}

} // namespace detail

/// Quantizes a matrix group by group, without zero points.
///
/// `int4`: s = max|w| / 7, code = round(w / s), half to even, in [-7, 7]. `int2`: ternary weight
/// networks (Li and Liu, 2016): codes of weights of magnitude above t = 0.7 mean|w| are their signs,
/// others 0, s is the mean magnitude of the former. `binary`: signs, s = mean|w|. `table4`: s = max|w| /
/// max|table|, the nearest entry, of equally near ones the first. With `bfloat16_scales` s is rounded
/// to bfloat16 before codes are chosen. A group of zeros has scale 0.
///
/// Throws `argument_error` naming the row of a NaN or an infinity, and for a group that is no multiple
/// of 32.
inline low_bit_codes to_low_bit(view<const float, 2> w, low_bit kind, index_t group = 0,
    bool bfloat16_scales = false, const std::array<std::int8_t, 16>& table = power_of_two_table)
{
    if (group < 0 || group % 32 != 0)
    {
        structopt::detail::raise<argument_error>("quantize::to_low_bit, group",
            "a multiple of 32, or 0 for the whole row", std::to_string(group));
    }
    const index_t rows = w.shape(0);
    const index_t columns = w.shape(1);
    const auto plain = structopt::copy(w);
    low_bit_codes q;
    q.kind = kind;
    q.group = group;
    q.codes = make_tensor<std::int8_t>(w.shape());
    const index_t groups =
        kernel::low_bit_shape{.rows = rows, .columns = columns, .group = group}.groups();
    q.scales = make_tensor<float>(shape<2>{rows, groups});
    if (kind == low_bit::table4)
    {
        q.table = table;
    }
    const index_t size = group == 0 ? columns : group;
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t g = 0; g < groups; ++g)
        {
            const index_t first = g * size;
            const index_t n = std::min(size, columns - first);
            const float* const from = plain.data() + r * columns + first;
            double sum = 0;
            for (index_t i = 0; i < n; ++i)
            {
                if (!structopt::detail::is_finite(from[i]))
                {
                    structopt::detail::raise<argument_error>(
                        "quantize::to_low_bit, row " + std::to_string(r), "finite weights",
                        "NaN or infinity");
                }
                sum += std::abs(static_cast<double>(from[i]));
            }
            float scale = detail::low_bit_scale(kind, from, n, q.table);
            // Below 2^-120 quotients overflow.
            scale = scale < kernel::smallest_row ? 0.0f : scale;
            scale = bfloat16_scales ? static_cast<float>(bfloat16(scale)) : scale;
            q.scales.data()[r * groups + g] = scale;
            const double threshold = 0.7 * sum / static_cast<double>(n);
            for (index_t i = 0; i < n; ++i)
            {
                const float ratio = scale == 0 ? 0.0f : from[i] / scale;
                q.codes.data()[r * columns + first + i] =
                    detail::low_bit_code(kind, from[i], ratio, threshold, q.table);
            }
        }
    }
    return q;
}

/// A matrix [rows, columns] of codes of `Codes`, with a scale for each `Group` columns of a row (0: for
/// the row), packed for `kernel::gemm_low_bit`. Scales are kept as `Scale`, float or bfloat16.
template <low_bit Codes, index_t Group = 0, class Scale = float>
class low_bit_matrix
{
    static_assert(Group >= 0 && Group % 32 == 0, "groups are multiples of 32 columns, or 0");
    static_assert(std::is_same_v<Scale, float> || std::is_same_v<Scale, bfloat16>);

public:
    using value_type = float;

    /// Most columns: sums of a group stay below 2^31.
    static constexpr index_t most_columns = 65'000;

    low_bit_matrix() = default;

    /// Quantizes (see `to_low_bit`) and packs.
    explicit low_bit_matrix(view<const float, 2> w)
        : low_bit_matrix(to_low_bit(w, Codes, Group, std::is_same_v<Scale, bfloat16>))
    {
    }

    /// Packs codes. Throws `format_error` for codes of another kind or group or out of range, for
    /// scales that are not one finite number, not negative, per group (for bfloat16: one that it can
    /// hold), for zero points that are neither none nor one per group, for entries of a table outside
    /// of [-127, 127], and for more than 65,000 columns.
    explicit low_bit_matrix(const low_bit_codes& q)
        : m_shape{.rows = shape_of(q.codes)[0],
              .columns = shape_of(q.codes)[1],
              .codes = Codes,
              .group = Group,
              .bfloat16_scales = std::is_same_v<Scale, bfloat16>,
              .zeros = size_of(q.zeros) != 0}
    {
        check(q);
        m_panels.resize(kernel::low_bit_bytes<>(m_shape));
        kernel::pack_low_bit<>(m_shape, q.codes.data(), q.scales.data(), q.zeros.data(),
            q.table.data(), m_panels.data());
    }

    index_t rows() const noexcept
    {
        return m_shape.rows;
    }

    index_t columns() const noexcept
    {
        return m_shape.columns;
    }

    /// Elements of the matrix, without padding.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_shape.rows * m_shape.columns);
    }

    /// Bytes of codes, scales, zero points and table, without padding.
    std::size_t bytes() const noexcept
    {
        const auto scales = static_cast<std::size_t>(m_shape.rows * m_shape.groups());
        return (size() * static_cast<std::size_t>(m_shape.bits()) + 7) / 8 +
               scales * (sizeof(Scale) + (m_shape.zeros ? 1 : 0)) +
               (Codes == low_bit::table4 ? 16 : 0);
    }

    /// What the kernel takes.
    const kernel::low_bit_shape& extents() const noexcept
    {
        return m_shape;
    }

    const std::byte* panels() const noexcept
    {
        return m_panels.data();
    }

    /// The canonical codes again.
    low_bit_codes codes() const
    {
        low_bit_codes q;
        q.kind = Codes;
        q.group = Group;
        q.codes = make_tensor<std::int8_t>(shape<2>{m_shape.rows, m_shape.columns});
        q.scales = make_tensor<float>(shape<2>{m_shape.rows, m_shape.groups()});
        if (m_shape.zeros)
        {
            q.zeros = make_tensor<std::int8_t>(shape_of(q.scales));
        }
        if (!m_panels.empty())
        {
            kernel::unpack_low_bit<>(m_shape, m_panels.data(), q.codes.data(), q.scales.data(),
                q.zeros.data(), q.table.data());
        }
        return q;
    }

private:
    static void check_code(std::int32_t code, index_t at)
    {
        const bool right = Codes == low_bit::binary ? code == 1 || code == -1
                           : Codes == low_bit::int4 ? code >= -8 && code <= 7
                           : Codes == low_bit::int2 ? code >= -2 && code <= 1
                                                    : code >= 0 && code <= 15;
        if (!right)
        {
            structopt::detail::raise<format_error>("low-bit codes, position " + std::to_string(at),
                Codes == low_bit::binary ? "-1 or 1"
                : Codes == low_bit::int4 ? "a code in [-8, 7]"
                : Codes == low_bit::int2 ? "a code in [-2, 1]"
                                         : "a code in [0, 15]",
                std::to_string(code));
        }
    }

    void check(const low_bit_codes& q) const
    {
        using structopt::detail::raise;
        if (q.kind != Codes || q.group != Group)
        {
            raise<format_error>("low-bit matrix",
                "codes of kind " + std::to_string(static_cast<int>(Codes)) + " in groups of " +
                    std::to_string(Group),
                "kind " + std::to_string(static_cast<int>(q.kind)) + " in groups of " +
                    std::to_string(q.group));
        }
        if (m_shape.columns > most_columns)
        {
            raise<format_error>("low-bit matrix",
                "at most " + std::to_string(most_columns) + " columns",
                std::to_string(m_shape.columns));
        }
        const shape<2> scales{m_shape.rows, m_shape.groups()};
        if (shape_of(q.scales) != scales)
        {
            raise<format_error>("low-bit scales", describe(scales), describe(shape_of(q.scales)));
        }
        if (size_of(q.zeros) != 0 && shape_of(q.zeros) != scales)
        {
            raise<format_error>(
                "low-bit zero points", describe(scales), describe(shape_of(q.zeros)));
        }
        for (index_t i = 0; i < size_of(q.codes); ++i)
        {
            check_code(q.codes.data()[i], i);
        }
        for (index_t i = 0; i < size_of(q.scales); ++i)
        {
            const float scale = q.scales.data()[i];
            const bool held = structopt::detail::is_finite(scale) && scale >= 0 &&
                              static_cast<float>(Scale(scale)) == scale;
            if (!held)
            {
                raise<format_error>("low-bit scale, position " + std::to_string(i),
                    m_shape.bfloat16_scales ? "a finite bfloat16, not negative"
                                            : "a finite number, not negative",
                    std::to_string(scale));
            }
        }
        for (std::size_t i = 0; i < 16 && Codes == low_bit::table4; ++i)
        {
            if (q.table[i] == -128)
            {
                raise<format_error>("table of 4-bit codes, entry " + std::to_string(i),
                    "a value in [-127, 127]", "-128");
            }
        }
    }

    kernel::low_bit_shape m_shape{
        .codes = Codes, .group = Group, .bfloat16_scales = std::is_same_v<Scale, bfloat16>};
    buffer<std::byte> m_panels;
};

/// 4 bits, a scale for each `Group` columns of a row (0: for the row).
template <index_t Group = 32, class Scale = float>
using int4_matrix = low_bit_matrix<low_bit::int4, Group, Scale>;

/// -1, 0 and 1 in 2 bits, a scale for each `Group` columns of a row (0: for the row).
template <index_t Group = 0, class Scale = float>
using ternary_matrix = low_bit_matrix<low_bit::int2, Group, Scale>;

/// Signs, a scale for each `Group` columns of a row (0: for the row).
template <index_t Group = 0, class Scale = float>
using binary_matrix = low_bit_matrix<low_bit::binary, Group, Scale>;

/// 4-bit places in a table of 16 values that the matrix has for itself (`power_of_two_table` where
/// none is given), a scale for each `Group` columns of a row (0: for the row).
template <index_t Group = 0, class Scale = float>
using table4_matrix = low_bit_matrix<low_bit::table4, Group, Scale>;

} // namespace quantize
STRUCTOPT_END_NAMESPACE
