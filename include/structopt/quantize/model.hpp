/// @file
/// Quantized networks: int8 matrices as weight storage, and `quantize::convert(net)`.
#pragma once

#include <structopt/kernel/convolution_s8.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>
#include <structopt/nn/convolve.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/quantize/int8_matrix.hpp>

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// Rows of floats next to each other.
struct float_rows
{
    const float* data;
    index_t stride;
};

/// x [batch, columns] of any strides as rows; a transposed x is copied to scratch.
inline float_rows rows_of(view<const float, 2> x, scratch& space) noexcept
{
    const index_t batch = x.shape(0);
    const index_t columns = x.shape(1);
    if (x.stride(1) == 1 || columns <= 1)
    {
        return {x.data(), x.stride(0)};
    }
    auto* const rows = space.take<float>(batch * columns);
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t c = 0; c < columns; ++c)
        {
            rows[b * columns + c] = x.data()[b * x.stride(0) + c * x.stride(1)];
        }
    }
    return {rows, columns};
}

/// Codes of a batch of activations, quantized row by row (dynamic, symmetric).
struct quantized_rows
{
    const std::int8_t* codes;
    const float* scales;
};

inline std::size_t quantized_rows_bytes(index_t batch, index_t columns) noexcept
{
    return scratch_size<std::int8_t>(batch * columns) + scratch_size<float>(batch) +
           scratch_size<float>(batch * columns);
}

/// Quantizes x [batch, columns] of any strides into scratch.
inline quantized_rows quantize_activations(view<const float, 2> x, scratch& space) noexcept
{
    const index_t batch = x.shape(0);
    const index_t columns = x.shape(1);
    auto* const codes = space.take<std::int8_t>(batch * columns);
    auto* const scales = space.take<float>(batch);
    const float_rows from = detail::rows_of(x, space);
    kernel::quantize_rows<>(batch, columns, from.data, from.stride, codes, columns, scales);
    return {codes, scales};
}

/// Bytes of scratch of `convolve_codes`, without that of its products.
inline std::size_t convolve_codes_bytes(const kernel::window& w) noexcept
{
    return scratch_size<std::uint8_t>(kernel::code_frame(w).bytes()) +
           scratch_size<index_t>(w.rows()) +
           scratch_size<std::int8_t>(w.rows() * detail::patch_positions(w));
}

/// A convolution as products with codes: patches of blocks of output rows, taken from the image that
/// was quantized once. `multiply(group, positions, patches [positions, w.rows()], dequantize, result,
/// scratch)` gives the `out` outputs of a group.
template <class Multiply>
void convolve_codes(index_t images, const kernel::window& w, index_t groups, index_t out,
    const float* x, const float* w_scale, const float* bias, float* y, scratch space,
    const Multiply& multiply) noexcept
{
    const kernel::code_frame f(w);
    const index_t depth = w.rows();
    const index_t pixels = w.channels * w.height * w.width;
    const index_t most = detail::patch_positions(w);
    auto* const codes = space.take<std::uint8_t>(f.bytes());
    auto* const taps = space.take<index_t>(depth);
    auto* const patches = space.take<std::int8_t>(depth * most);
    f.list_taps(taps);
    for (index_t i = 0; i < images; ++i)
    {
        float scale;
        const float* const image = x + i * groups * pixels;
        const float factor =
            kernel::detail::code_scale<simd::default_arch>(groups * pixels, image, scale);
        for (index_t g = 0; g < groups; ++g)
        {
            kernel::quantize_image<>(f, image + g * pixels, factor, 0, codes);
            const kernel::dequantize e{.x_scale = &scale,
                .w_scale = w_scale + g * out,
                .bias = bias == nullptr ? nullptr : bias + g * out,
                .one_x_scale = true};
            float* const to = y + (i * groups + g) * out * w.columns();
            for (index_t first = 0; first < w.columns(); first += most)
            {
                const index_t n = w.columns() - first < most ? w.columns() - first : most;
                for (index_t p = 0; p < n; ++p)
                {
                    const index_t row = (first + p) / f.of.out_w;
                    const std::uint8_t* const from =
                        codes + row * f.pitch + (first + p) % f.of.out_w;
                    for (index_t k = 0; k < depth; ++k)
                    {
                        patches[p * depth + k] = static_cast<std::int8_t>(from[taps[k]]);
                    }
                }
                multiply(g, n, patches, e, kernel::matrix_result<float>{to + first, 1, w.columns()},
                    space.data());
            }
        }
    }
}

} // namespace detail

/// Dense int8 weights, multiplied in integers by activations that are quantized on the way, one
/// scale per sample: a sample's result does not depend on the batch it came in.
template <>
struct storage_traits<quantize::int8_matrix>
{
    using storage = quantize::int8_matrix;
    using value_type = float;

    static constexpr bool quantized = true;

    static constexpr std::string_view name() noexcept
    {
        return "int8";
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
               kernel::gemm_s8_scratch_bytes<>(batch, s.rows(), s.columns());
    }

    static void product(const storage& s, view<const float, 2> x, const float* bias,
        view<float, 2> y, scratch space) noexcept
    {
        const auto from = detail::rows_of(x, space);
        kernel::gemm_s8_dynamic<>(x.shape(0), s.rows(), s.columns(), from.data, from.stride,
            s.panels(), {y.data(), y.stride(0), y.stride(1)},
            {.w_scale = s.scales().data(), .bias = bias}, space.data());
    }

    static constexpr bool takes_groups = true;

    static std::size_t convolve_bytes(
        const storage& s, const kernel::window& w, index_t groups) noexcept
    {
        return kernel::convolution_s8_bytes<>(w, groups, s.rows() / groups);
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t groups,
        const float* x, const float* bias, float* y, scratch space) noexcept
    {
        kernel::convolution_s8<>(images, w, groups, s.rows() / groups, x, s.panels(),
            s.scales().data(), bias, y, space.data());
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const auto q = s.codes();
        sink.put("codes", std::span<const std::int8_t>(q.codes.data(), q.codes.size()));
        sink.put("scales", std::span<const float>(q.scales.data(), q.scales.size()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        const auto codes = source.template get<std::int8_t>("codes");
        const auto scales = source.template get<float>("scales");
        const shape<2> extents{source.rows(), source.columns()};
        if (static_cast<index_t>(codes.size()) != count(extents))
        {
            structopt::detail::raise<format_error>("int8 codes",
                std::to_string(count(extents)) + " for " + describe(extents),
                std::to_string(codes.size()));
        }
        return storage(
            quantize::int8_codes{structopt::copy(view<const std::int8_t, 2>(codes.data(), extents)),
                structopt::copy(view<const float, 1>(
                    scales.data(), shape<1>{static_cast<index_t>(scales.size())}))});
    }
};

/// Sparse int8 weights; activations as with `int8_matrix`, and the same bits as its product.
template <class Index>
struct storage_traits<quantize::sparse_int8<Index>>
{
    using storage = quantize::sparse_int8<Index>;
    using value_type = float;

    static constexpr bool quantized = true;

    static constexpr std::string_view name() noexcept
    {
        return sizeof(Index) == 1 ? "csr8_int8" : sizeof(Index) == 2 ? "csr16_int8" : "csr_int8";
    }

    static index_t rows(const storage& s) noexcept
    {
        return s.codes().rows();
    }

    static index_t columns(const storage& s) noexcept
    {
        return s.codes().columns();
    }

    static index_t nonzeros(const storage& s) noexcept
    {
        return s.codes().nonzeros();
    }

    static std::size_t bytes(const storage& s) noexcept
    {
        return s.bytes();
    }

    /// Whether the columns of w can be numbered by `Index`.
    static bool fits(view<const float, 2> w) noexcept
    {
        return sparse::csr<std::int8_t, Index>::fits(w.shape(1));
    }

    static storage pack(view<const float, 2> w)
    {
        return storage(w);
    }

    static tensor<float, 2> unpack(const storage& s)
    {
        return quantize::int8_codes{s.codes().to_dense(), s.scales()}.dequantize();
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return detail::quantized_rows_bytes(batch, columns(s)) +
               kernel::spmm_csr_s8_scratch_bytes<>(batch, columns(s));
    }

    static void product(const storage& s, view<const float, 2> x, const float* bias,
        view<float, 2> y, scratch space) noexcept
    {
        const auto q = detail::quantize_activations(x, space);
        kernel::spmm_csr_s8(x.shape(0), rows(s), columns(s), s.codes().values().data(),
            s.codes().indices().data(), s.codes().offsets().data(), q.codes, columns(s),
            {.x_scale = q.scales, .w_scale = s.scales().data(), .bias = bias},
            {y.data(), y.stride(0), y.stride(1)}, space.data());
    }

    static constexpr bool takes_groups = true;

    static std::size_t convolve_bytes(const storage&, const kernel::window& w, index_t) noexcept
    {
        return detail::convolve_codes_bytes(w) +
               kernel::spmm_csr_s8_scratch_bytes<>(detail::patch_positions(w), w.rows());
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t groups,
        const float* x, const float* bias, float* y, scratch space) noexcept
    {
        const index_t out = rows(s) / groups;
        detail::convolve_codes(images, w, groups, out, x, s.scales().data(), bias, y, space,
            [&](index_t g, index_t n, const std::int8_t* patches, const kernel::dequantize& e,
                kernel::matrix_result<float> to, std::byte* bytes)
            {
                kernel::spmm_csr_s8(n, out, w.rows(), s.codes().values().data(),
                    s.codes().indices().data(), s.codes().offsets().data() + g * out, patches,
                    w.rows(), e, to, bytes);
            });
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        sink.put("offsets", std::span<const std::uint32_t>(s.codes().offsets()));
        sink.put("indices", std::span<const Index>(s.codes().indices()));
        sink.put("codes", std::span<const std::int8_t>(s.codes().values()));
        sink.put("scales", std::span<const float>(s.scales().data(), s.scales().size()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto offsets = source.template get<std::uint32_t>("offsets");
        auto indices = source.template get<Index>("indices");
        auto values = source.template get<std::int8_t>("codes");
        const auto scales = source.template get<float>("scales");
        sparse::csr<std::int8_t, Index> codes(source.rows(), source.columns(), std::move(offsets),
            std::move(indices), std::move(values));
        return storage(std::move(codes), structopt::copy(view<const float, 1>(scales.data(),
                                             shape<1>{static_cast<index_t>(scales.size())})));
    }
};

} // namespace nn

namespace quantize
{

/// The network with every weight in int8, one scale per output, multiplied in integers; biases and
/// activations between layers stay float. Throws `argument_error` for a weight that is not finite.
///
/// `quantize::convert<quantize::sparse_int8<std::uint8_t>>(net)` leaves out what was pruned.
template <class Format = int8_matrix, class Network>
auto convert(const Network& network)
{
    return nn::convert<Format>(network);
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
