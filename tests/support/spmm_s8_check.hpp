/// @file
/// Checks of integer products with sparse matrices of any format: equal bits with the plain sum and
/// with the dense product, nothing aligned, nothing written that is not the result.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/quantize/symmetric_int8.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace support
{

using structopt::index_t;

inline std::int8_t random_code(structopt::random_engine& rng)
{
    return static_cast<std::int8_t>(structopt::uniform_index(rng, 255) - 127);
}

/// Codes [rows, columns], all zero, with scales and a bias.
struct s8_problem
{
    structopt::quantize::int8_codes w;
    std::vector<float> bias;

    s8_problem(index_t rows, index_t columns)
        : w{structopt::zeros<std::int8_t>(structopt::shape<2>{rows, columns}),
              structopt::zeros<float>(structopt::shape<1>{rows})}
    {
        for (index_t r = 0; r < rows; ++r)
        {
            w.scales.data()[r] = 0.003f / static_cast<float>(r % 5 + 1);
            bias.push_back(0.37f * static_cast<float>(r % 9 - 4));
        }
    }

    index_t rows() const
    {
        return structopt::shape_of(w.codes)[0];
    }

    index_t columns() const
    {
        return structopt::shape_of(w.codes)[1];
    }

    std::int8_t& at(index_t r, index_t c)
    {
        return w.codes.data()[r * columns() + c];
    }
};

/// Codes of a batch [n, columns], each -128 to 127 or all of them `extreme`.
struct s8_batch
{
    index_t n;
    std::vector<std::int8_t> x;
    std::vector<float> scale;

    s8_batch(index_t batch, index_t columns, structopt::random_engine& rng, int extreme = 0)
        : n(batch)
    {
        for (index_t i = 0; i < batch * columns; ++i)
        {
            x.push_back(static_cast<std::int8_t>(
                extreme != 0 ? extreme
                             : static_cast<int>(structopt::uniform_index(rng, 256)) - 128));
        }
        for (index_t b = 0; b < batch; ++b)
        {
            scale.push_back(0.001f * static_cast<float>(b % 7 + 1));
        }
    }
};

/// Runs `product(x, x_row, dequantize, result, scratch)` for several strides of the result, with and
/// without bias, ReLU and one scale for all samples. `scratch_bytes` bytes are offered, at an odd
/// address.
template <class Product>
void check_spmm_s8(
    const s8_problem& p, const s8_batch& samples, std::size_t scratch_bytes, const Product& product)
{
    namespace k = structopt::kernel;
    constexpr float guard = -12345.0f;
    const index_t batch = samples.n;
    const index_t rows = p.rows();
    const index_t columns = p.columns();
    const index_t x_row = columns + 5;
    std::vector<std::int8_t> x(static_cast<std::size_t>(batch * x_row + 1), std::int8_t{111});
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t c = 0; c < columns; ++c)
        {
            x[static_cast<std::size_t>(1 + b * x_row + c)] =
                samples.x[static_cast<std::size_t>(b * columns + c)];
        }
    }
    std::vector<std::int64_t> sums;
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t r = 0; r < rows; ++r)
        {
            std::int64_t sum = 0;
            for (index_t c = 0; c < columns; ++c)
            {
                sum += std::int64_t{p.w.codes.data()[r * columns + c]} *
                       samples.x[static_cast<std::size_t>(b * columns + c)];
            }
            sums.push_back(sum);
        }
    }
    std::vector<std::byte> packed(k::packed_bytes_s8<>(rows, columns));
    k::pack_s8<>(rows, columns, p.w.codes.data(), columns, packed.data());
    std::vector<std::byte> dense_scratch(k::gemm_s8_scratch_bytes<>(batch, rows, columns));

    const k::matrix_result<float> forms[] = {{nullptr, rows, 1}, {nullptr, 1, batch},
        {nullptr, rows + 2, 1}, {nullptr, 2 * rows + 1, 2}};
    for (int form = 0; form < 4; ++form)
    {
        auto out = forms[form];
        const bool with_bias = form % 2 == 0;
        const bool one_scale = form == 1;
        const k::activation act = form == 2 ? k::activation::relu : k::activation::none;
        const k::dequantize e{.x_scale = samples.scale.data(),
            .w_scale = p.w.scales.data(),
            .bias = with_bias ? p.bias.data() : nullptr,
            .act = act,
            .one_x_scale = one_scale};
        const std::size_t size = batch == 0 || rows == 0
                                     ? 0
                                     : static_cast<std::size_t>((batch - 1) * out.row_stride +
                                                                (rows - 1) * out.col_stride + 1);
        std::vector<float> y(size + 2, guard);
        std::vector<float> z(size + 2, guard);
        std::vector<std::byte> scratch(scratch_bytes + 9, std::byte{0x5a});
        out.data = y.data() + 1;
        product(x.data() + 1, x_row, e, out, scratch.data() + 1);
        out.data = z.data() + 1;
        k::gemm_s8<>(batch, rows, columns, {x.data() + 1, x_row, 1}, packed.data(), out, e,
            dense_scratch.data());
        bool right = std::memcmp(y.data(), z.data(), y.size() * sizeof(float)) == 0;
        for (index_t b = 0; b < batch; ++b)
        {
            for (index_t r = 0; r < rows; ++r)
            {
                const auto row = static_cast<std::size_t>(r);
                volatile float scale = samples.scale[one_scale ? 0 : static_cast<std::size_t>(b)] *
                                       p.w.scales.data()[r];
                volatile float value =
                    static_cast<float>(sums[static_cast<std::size_t>(b * rows + r)]);
                value = value * scale;
                if (with_bias)
                {
                    value = value + p.bias[row];
                }
                const float expected = act == k::activation::relu && value < 0.0f ? 0.0f : value;
                const auto at =
                    static_cast<std::size_t>(1 + b * out.row_stride + r * out.col_stride);
                right = right && y[at] == expected;
                y[at] = guard;
            }
        }
        for (const float value : y)
        {
            right = right && value == guard;
        }
        for (std::size_t i = scratch_bytes + 1; i < scratch.size(); ++i)
        {
            right = right && scratch[i] == std::byte{0x5a};
        }
        CHECK_MESSAGE(right, batch, "x", columns, "x", rows, " form ", form);
    }
}

} // namespace support
