/// @file
/// Weights of a few bits in layers: `quantize::convert<quantize::int4_matrix<32>>(net)`.
///
/// Files hold codes packed bit by bit, element i of the matrix at bits [i * bits, (i + 1) * bits), the
/// lowest bit of a byte first, raised so that none is negative; scales as float; zero points and the
/// table where there are any.
#pragma once

#include <structopt/quantize/low_bit_matrix.hpp>
#include <structopt/quantize/model.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// "int4", "int4_g32", "int4_g32_bf16".
struct low_bit_name
{
    char text[24] = {};
    std::size_t length = 0;

    constexpr low_bit_name(quantize::low_bit codes, index_t group, bool half)
    {
        using quantize::low_bit;
        add(codes == low_bit::int4     ? "int4"
            : codes == low_bit::int2   ? "ternary"
            : codes == low_bit::binary ? "binary"
                                       : "table4");
        if (group > 0)
        {
            add("_g");
            char digits[8] = {};
            std::size_t count = 0;
            for (index_t left = group; left > 0; left /= 10)
            {
                digits[count++] = static_cast<char>('0' + left % 10);
            }
            while (count > 0)
            {
                text[length++] = digits[--count];
            }
        }
        if (half)
        {
            add("_bf16");
        }
    }

    constexpr void add(const char* more)
    {
        for (; *more != 0; ++more)
        {
            text[length++] = *more;
        }
    }
};

template <quantize::low_bit Codes, index_t Group, class Scale>
inline constexpr low_bit_name low_bit_name_of{Codes, Group, std::is_same_v<Scale, bfloat16>};

} // namespace detail

/// Activations are quantized on the way, one scale per sample (per image of a convolution, which has
/// one group), and multiplied as `kernel::gemm_low_bit` says.
template <quantize::low_bit Codes, index_t Group, class Scale>
struct storage_traits<quantize::low_bit_matrix<Codes, Group, Scale>>
{
    using storage = quantize::low_bit_matrix<Codes, Group, Scale>;
    using value_type = float;

    static constexpr bool quantized = true;

    static constexpr std::string_view name() noexcept
    {
        constexpr const auto& name = detail::low_bit_name_of<Codes, Group, Scale>;
        return {name.text, name.length};
    }

    static index_t rows(const storage& s) noexcept
    {
        return s.rows();
    }

    static index_t columns(const storage& s) noexcept
    {
        return s.columns();
    }

    static index_t nonzeros(const storage& s) noexcept
    {
        return s.rows() * s.columns();
    }

    static std::size_t bytes(const storage& s) noexcept
    {
        return s.bytes();
    }

    static storage pack(view<const float, 2> w)
    {
        return storage(w);
    }

    static tensor<float, 2> unpack(const storage& s)
    {
        return s.codes().dequantize();
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return scratch_size<float>(batch * s.columns()) +
               kernel::gemm_low_bit_scratch_bytes<>(batch, s.extents());
    }

    static void product(const storage& s, view<const float, 2> x, const float* bias,
        view<float, 2> y, scratch space) noexcept
    {
        const auto from = detail::rows_of(x, space);
        kernel::gemm_low_bit_dynamic<>(x.shape(0), s.extents(), from.data, from.stride, s.panels(),
            {y.data(), y.stride(0), y.stride(1)}, {.bias = bias}, space.data());
    }

    /// One group.
    static std::size_t convolve_bytes(const storage& s, const kernel::window& w, index_t) noexcept
    {
        return detail::convolve_codes_bytes(w) +
               kernel::detail::convolution_most_bytes(w,
                   [&](index_t positions)
                   {
                       return kernel::gemm_low_bit_scratch_bytes<>(positions, s.extents());
                   });
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t,
        const float* x, const float* bias, float* y, scratch space) noexcept
    {
        detail::convolve_codes(images, w, 1, s.rows(), x, nullptr, bias, y, space,
            [&](index_t, index_t n, const std::int8_t* patches, const kernel::dequantize& e,
                kernel::matrix_result<float> to, std::byte* bytes)
            {
                kernel::gemm_low_bit<>(n, s.extents(), patches, w.rows(), s.panels(), to, e, bytes);
            });
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const auto q = s.codes();
        const std::size_t bits = width(s);
        buffer<std::uint8_t> packed((q.codes.size() * bits + 7) / 8, std::uint8_t{0});
        for (std::size_t i = 0; i < q.codes.size(); ++i)
        {
            const std::int32_t code = q.codes.data()[i];
            const auto field = static_cast<std::uint32_t>(
                Codes == quantize::low_bit::binary ? (code + 1) / 2 : code + raise);
            auto& byte = packed[i * bits / 8];
            byte = static_cast<std::uint8_t>(byte | field << (i * bits % 8));
        }
        sink.put("codes", std::span<const std::uint8_t>(packed));
        sink.put("scales", std::span<const float>(q.scales.data(), q.scales.size()));
        sink.put("zeros", std::span<const std::int8_t>(q.zeros.data(), q.zeros.size()));
        sink.put("table", std::span<const std::int8_t>(
                              q.table.data(), Codes == quantize::low_bit::table4 ? 16 : 0));
    }

    template <class Source>
    static storage load(Source& source)
    {
        const auto packed = source.template get<std::uint8_t>("codes");
        const auto scales = source.template get<float>("scales");
        const auto zeros = source.template get<std::int8_t>("zeros");
        const auto table = source.template get<std::int8_t>("table");
        const shape<2> extents{source.rows(), source.columns()};
        const kernel::low_bit_shape expected{
            .rows = extents[0], .columns = extents[1], .codes = Codes, .group = Group};
        const shape<2> groups{extents[0], expected.groups()};
        const auto size = static_cast<std::size_t>(count(extents));
        const auto bits = static_cast<std::size_t>(expected.bits());
        check_count("codes", (size * bits + 7) / 8, packed.size());
        check_count("scales", static_cast<std::size_t>(count(groups)), scales.size());
        if (!zeros.empty())
        {
            check_count("zero points", scales.size(), zeros.size());
        }
        check_count(
            "entries of the table", Codes == quantize::low_bit::table4 ? 16 : 0, table.size());
        quantize::low_bit_codes q;
        q.kind = Codes;
        q.group = Group;
        q.codes = make_tensor<std::int8_t>(extents);
        for (std::size_t i = 0; i < size; ++i)
        {
            const std::int32_t field = packed[i * bits / 8] >> (i * bits % 8) & ((1 << bits) - 1);
            q.codes.data()[i] = static_cast<std::int8_t>(
                Codes == quantize::low_bit::binary ? 2 * field - 1 : field - raise);
        }
        q.scales = structopt::copy(view<const float, 2>(scales.data(), groups));
        if (!zeros.empty())
        {
            q.zeros = structopt::copy(view<const std::int8_t, 2>(zeros.data(), groups));
        }
        for (std::size_t i = 0; i < table.size(); ++i)
        {
            q.table[i] = table[i];
        }
        return storage(q);
    }

private:
    static constexpr std::int32_t raise = Codes == quantize::low_bit::int4   ? 8
                                          : Codes == quantize::low_bit::int2 ? 2
                                                                             : 0;

    static std::size_t width(const storage& s) noexcept
    {
        return static_cast<std::size_t>(s.extents().bits());
    }

    static void check_count(const char* what, std::size_t expected, std::size_t found)
    {
        if (expected != found)
        {
            structopt::detail::raise<format_error>(std::string("low-bit matrix, ") + what,
                std::to_string(expected), std::to_string(found));
        }
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
