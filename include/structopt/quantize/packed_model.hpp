/// @file
/// int8 matrices with structured zeros as weights of deployed layers:
/// `dense<quantize::int8_vectors<>>`, `dense<quantize::int8_nm>`.
///
/// Files hold the matrix and not its packing: it is packed again when it is read.
#pragma once

#include <structopt/quantize/int8_nm.hpp>
#include <structopt/quantize/int8_vectors.hpp>
#include <structopt/quantize/model.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// What the formats of this file have in common. `Kernel` has `scratch_bytes(batch, columns)` and
/// `multiply(batch, weight, codes, columns, dequantize, result, scratch)`.
template <class S, class Kernel>
struct int8_traits
{
    using storage = S;
    using value_type = float;

    static constexpr bool quantized = true;

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
        return s.nonzeros();
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
        return detail::quantized_rows_bytes(batch, s.columns()) +
               Kernel::scratch_bytes(batch, s.columns());
    }

    static void product(const storage& s, view<const float, 2> x, const float* bias,
        view<float, 2> y, scratch space) noexcept
    {
        const auto q = detail::quantize_activations(x, space);
        Kernel::multiply(x.shape(0), s, q.codes, s.columns(),
            {.x_scale = q.scales, .w_scale = s.scales().data(), .bias = bias},
            {y.data(), y.stride(0), y.stride(1)}, space.data());
    }

    /// One group.
    static std::size_t convolve_bytes(const storage&, const kernel::window& w, index_t) noexcept
    {
        return detail::convolve_codes_bytes(w) +
               kernel::detail::convolution_most_bytes(w,
                   [&](index_t positions)
                   {
                       return Kernel::scratch_bytes(positions, w.rows());
                   });
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t,
        const float* x, const float* bias, float* y, scratch space) noexcept
    {
        detail::convolve_codes(images, w, 1, s.rows(), x, s.scales().data(), bias, y, space,
            [&](index_t, index_t n, const std::int8_t* patches, const kernel::dequantize& e,
                kernel::matrix_result<float> to, std::byte* bytes)
            {
                Kernel::multiply(n, s, patches, w.rows(), e, to, bytes);
            });
    }

protected:
    static tensor<float, 1> copied(std::span<const float> scales)
    {
        return structopt::copy(
            view<const float, 1>(scales.data(), shape<1>{static_cast<index_t>(scales.size())}));
    }
};

struct vectors_s8_kernel
{
    static std::size_t scratch_bytes(index_t batch, index_t columns) noexcept
    {
        return kernel::spmm_vectors_s8_scratch_bytes<>(batch, columns);
    }

    template <class S>
    static void multiply(index_t batch, const S& s, const std::int8_t* x, index_t x_row,
        const kernel::dequantize& e, kernel::matrix_result<float> y, std::byte* bytes) noexcept
    {
        kernel::spmm_vectors_s8<>(batch, s.operand(), x, x_row, e, y, bytes);
    }
};

struct nm_s8_kernel
{
    static std::size_t scratch_bytes(index_t batch, index_t columns) noexcept
    {
        return kernel::spmm_nm_s8_scratch_bytes<>(batch, columns);
    }

    template <class S>
    static void multiply(index_t batch, const S& s, const std::int8_t* x, index_t x_row,
        const kernel::dequantize& e, kernel::matrix_result<float> y, std::byte* bytes) noexcept
    {
        kernel::spmm_nm_s8<>(batch, s.operand(), x, x_row, e, y, bytes);
    }
};

} // namespace detail

/// int8 vectors 16 x 1; activations as with `int8_matrix`, and the same bits as its product.
/// Convolutions have one group.
template <class Index>
struct storage_traits<quantize::int8_vectors<Index>>
    : detail::int8_traits<quantize::int8_vectors<Index>, detail::vectors_s8_kernel>
{
    using storage = quantize::int8_vectors<Index>;

    static constexpr std::string_view name() noexcept
    {
        return sizeof(Index) == 1   ? "vectors8_int8"
               : sizeof(Index) == 2 ? "vectors16_int8"
                                    : "vectors_int8";
    }

    /// Whether the columns of w can be numbered by `Index`.
    static bool fits(view<const float, 2> w) noexcept
    {
        return storage::fits(w.shape(1));
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const auto plain = s.to_vectors();
        sink.put("offsets", std::span<const std::uint32_t>(plain.offsets()));
        sink.put("indices", std::span<const Index>(plain.indices()));
        sink.put("codes", std::span<const std::int8_t>(plain.values()));
        sink.put("scales", std::span<const float>(s.scales().data(), s.scales().size()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto offsets = source.template get<std::uint32_t>("offsets");
        auto indices = source.template get<Index>("indices");
        auto values = source.template get<std::int8_t>("codes");
        const auto scales = source.template get<float>("scales");
        const typename storage::vectors codes(source.rows(), source.columns(), std::move(offsets),
            std::move(indices), std::move(values));
        return storage(codes, storage_traits::copied({scales.data(), scales.size()}));
    }
};

/// 2:4 in int8; activations as with `int8_matrix`, and the same bits as its product. Convolutions have
/// one group.
template <>
struct storage_traits<quantize::int8_nm>
    : detail::int8_traits<quantize::int8_nm, detail::nm_s8_kernel>
{
    static constexpr std::string_view name() noexcept
    {
        return "nm2x4_int8";
    }

    /// Whether w has at most two non-zeros in every four columns.
    static bool fits(view<const float, 2> w) noexcept
    {
        return storage::fits(w);
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const auto plain = s.to_slots();
        sink.put("positions", std::span<const std::uint8_t>(plain.positions()));
        sink.put("codes", std::span<const std::int8_t>(plain.values()));
        sink.put("scales", std::span<const float>(s.scales().data(), s.scales().size()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto positions = source.template get<std::uint8_t>("positions");
        auto values = source.template get<std::int8_t>("codes");
        const auto scales = source.template get<float>("scales");
        const storage::slots codes(
            source.rows(), source.columns(), std::move(positions), std::move(values));
        return storage(codes, storage_traits::copied({scales.data(), scales.size()}));
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
