/// @file
/// X^T and Y^T of a few registers of samples, for the sparse products: line c of X^T holds feature
/// c of the samples, line r of Y^T their results for row r of W. Samples that do not exist are 0.
#pragma once

#include <structopt/core/allocator.hpp>
#include <structopt/kernel/pack.hpp>
#include <structopt/kernel/spmm_finish.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Most registers of samples at once: four rows of accumulators, a factor and an operand fit in the
/// register file.
template <class Arch>
inline constexpr index_t spmm_line_registers = simd::register_count<Arch> >= 32 ? 4 : 3;

/// Registers of the widest group of samples of a batch; samples are dealt out evenly.
template <class T, class Arch>
constexpr index_t spmm_most_registers(index_t batch) noexcept
{
    const index_t registers = (batch + simd::width<T, Arch> - 1) / simd::width<T, Arch>;
    const index_t parts = (registers + spmm_line_registers<Arch> - 1) / spmm_line_registers<Arch>;
    return parts == 0 ? 0 : (registers + parts - 1) / parts;
}

/// Calls `body(first sample, samples, registers)` over a batch; the registers are an
/// `std::integral_constant`.
template <class T, class Arch, class Body>
void spmm_for_samples(index_t batch, const Body& body) noexcept
{
    index_t count = 0;
    for (index_t b = 0; b < batch; b += count)
    {
        const index_t registers = spmm_most_registers<T, Arch>(batch - b);
        count = registers * simd::width<T, Arch>;
        count = count < batch - b ? count : batch - b;
        if (registers == 1)
        {
            body(b, count, std::integral_constant<index_t, 1>{});
        }
        else if (registers == 2)
        {
            body(b, count, std::integral_constant<index_t, 2>{});
        }
        else if (registers == 3)
        {
            body(b, count, std::integral_constant<index_t, 3>{});
        }
        else if constexpr (spmm_line_registers<Arch> > 3)
        {
            body(b, count, std::integral_constant<index_t, 4>{});
        }
    }
}

/// `scratch`, moved up to the next multiple of the alignment.
template <class T>
T* spmm_aligned(std::byte* scratch) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    return reinterpret_cast<T*>(scratch + (alignment - address % alignment) % alignment);
}

/// Lines of x[count, columns]: line c has `Registers` registers, of which `count` elements are
/// x(l, c), the others 0. `lines` is aligned.
template <class Arch, index_t Registers, class T>
void spmm_fill_lines(index_t count, index_t columns, matrix_operand<T> x, T* lines) noexcept;

/// Writes y(l, row + r) = act(lines[r][l] + bias[row + r]) for l < count, r < rows.
template <class Arch, index_t Registers, class T>
void spmm_store_lines(index_t count, index_t rows, const T* lines, index_t row, spmm_result<T> y,
    const spmm_finish<T>& finish) noexcept;

/// act(x + bias[row]); `bias` may be null.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE simd::batch<T, Arch> spmm_finished(
    simd::batch<T, Arch> x, const T* bias, index_t row, bool cut) noexcept
{
    if (bias != nullptr)
    {
        x = x + simd::broadcast<Arch>(bias[row]);
    }
    return cut ? simd::relu(x) : x;
}

// ---------------------------------------------------------------------------------------------

template <class Arch, index_t Registers, class T>
void spmm_fill_lines(index_t count, index_t columns, matrix_operand<T> x, T* lines) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    if (x.col_stride == 1)
    {
        for (index_t j = 0; j < Registers; ++j)
        {
            const index_t rest = count - j * lanes;
            for (index_t c = 0; c < columns; c += lanes)
            {
                const index_t left = columns - c < lanes ? columns - c : lanes;
                simd::batch<T, Arch> square[static_cast<std::size_t>(lanes)];
                load_turned<T, Arch>(x.data + j * lanes * x.row_stride + c, x.row_stride,
                    rest < lanes ? rest : lanes, left, square);
                T* const to = lines + c * length + j * lanes;
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < lanes; ++i)
                {
                    if (i < left)
                    {
                        simd::store(to + i * length, square[i]);
                    }
                }
            }
        }
        return;
    }
    for (index_t c = 0; c < columns; ++c)
    {
        const T* const from = x.data + c * x.col_stride;
        T* const to = lines + c * length;
        if (x.row_stride == 1)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                const index_t rest = count - j * lanes;
                simd::store(to + j * lanes, rest >= lanes
                                                ? simd::load<Arch>(from + j * lanes)
                                                : simd::load_tail<Arch>(from + j * lanes, rest));
            }
        }
        else
        {
            for (index_t l = 0; l < length; ++l)
            {
                to[l] = l < count ? from[l * x.row_stride] : T(0);
            }
        }
    }
}

template <class Arch, index_t Registers, class T>
void spmm_store_lines(index_t count, index_t rows, const T* lines, index_t row, spmm_result<T> y,
    const spmm_finish<T>& finish) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    const bool cut = finish.act == activation::relu;
    const auto finished = [&](index_t r, index_t j)
    {
        return spmm_finished<Arch>(
            simd::load<Arch>(lines + r * length + j * lanes), finish.bias, row + r, cut);
    };
    if (y.col_stride == 1 && y.row_stride != 1)
    {
        // A few squares are turned into a buffer and leave it in long runs: rows of y are often a
        // power of two apart, where single registers would fight for the same lines of L1.
        constexpr index_t run = 8 * lanes;
        alignas(64) T buffer[static_cast<std::size_t>(lanes * (run + lanes))];
        for (index_t r = 0; r < rows; r += run)
        {
            const index_t here = rows - r < run ? rows - r : run;
            for (index_t j = 0; j < Registers; ++j)
            {
                for (index_t s = 0; s < here; s += lanes)
                {
                    vector square[static_cast<std::size_t>(lanes)];
                    if (here - s >= lanes)
                    {
                        STRUCTOPT_UNROLL
                        for (index_t i = 0; i < lanes; ++i)
                        {
                            square[i] = finished(r + s + i, j);
                        }
                    }
                    else
                    {
                        for (index_t i = 0; i < lanes; ++i)
                        {
                            square[i] = i < here - s ? finished(r + s + i, j) : vector(T(0));
                        }
                    }
                    simd::transpose<T, Arch>(square);
                    STRUCTOPT_UNROLL
                    for (index_t l = 0; l < lanes; ++l)
                    {
                        simd::store(buffer + l * (run + lanes) + s, square[l]);
                    }
                }
                const index_t rest = count - j * lanes < lanes ? count - j * lanes : lanes;
                for (index_t l = 0; l < rest; ++l)
                {
                    const T* const from = buffer + l * (run + lanes);
                    T* const to = y.data + (j * lanes + l) * y.row_stride + row + r;
                    index_t s = 0;
                    for (; s + lanes <= here; s += lanes)
                    {
                        simd::store(to + s, simd::load<Arch>(from + s));
                    }
                    if (s < here)
                    {
                        simd::store_tail(to + s, simd::load<Arch>(from + s), here - s);
                    }
                }
            }
        }
        return;
    }
    for (index_t r = 0; r < rows; ++r)
    {
        T* const to = y.data + (row + r) * y.col_stride;
        for (index_t j = 0; j < Registers; ++j)
        {
            const index_t rest = count - j * lanes < lanes ? count - j * lanes : lanes;
            const vector z = finished(r, j);
            if (y.row_stride == 1)
            {
                if (rest == lanes)
                {
                    simd::store(to + j * lanes, z);
                }
                else
                {
                    simd::store_tail(to + j * lanes, z, rest);
                }
                continue;
            }
            alignas(64) T buffer[static_cast<std::size_t>(lanes)];
            simd::store(buffer, z);
            for (index_t l = 0; l < rest; ++l)
            {
                to[(j * lanes + l) * y.row_stride] = buffer[l];
            }
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
