/// @file
/// The dense product with the transpose of a row-major matrix, without packing that matrix.
///
/// C = A B^T is computed as C^T = B A^T: B's rows are read in place, one element at a time, and the
/// small A is what gets packed. Tiles of C^T are turned on their way to C. Saves a pass over B that
/// costs as much as some twelve rows of A; each element of C is the same chain over k as elsewhere.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/pack.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Rows of B per block: a whole number of tiles and of registers.
template <class T, class Arch>
inline constexpr index_t turned_block =
    gemm_shape<T, Arch>::turned_rows == 7 ? 7 * 16 : gemm_shape<T, Arch>::turned_rows * 8;

/// Rows of A per pass.
template <class T, class Arch>
inline constexpr index_t turned_pass =
    gemm_shape<T, Arch>::turned_panels* gemm_shape<T, Arch>::panel;

/// Turns sums[rows, from_row] into C[columns, rows] and finishes it.
template <class T, class Arch>
void turn(index_t rows, index_t columns, const T* sums, index_t from_row, T* c, index_t c_row,
    const epilogue<T>& e) noexcept;

/// C[m, n] = act(A[m, k] B[n, k]^T + bias). `chunk` is a number of blocks; scratch has
/// `turned_elements` elements.
template <class T, class Arch>
void gemm_turned(index_t m, index_t n, index_t k, const T* a, index_t a_row, const T* b,
    index_t b_row, T* c, index_t c_row, const epilogue<T>& e, index_t chunk, T* scratch) noexcept;

/// Elements of scratch of `gemm_turned`.
template <class T, class Arch>
constexpr index_t turned_elements(index_t n, index_t k, index_t chunk) noexcept
{
    const index_t blocks = (n + turned_block<T, Arch> - 1) / turned_block<T, Arch>;
    const index_t chunks = (blocks + chunk - 1) / chunk;
    return turned_pass<T, Arch> * (k + chunks * turned_block<T, Arch>);
}

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
void turn(index_t rows, index_t columns, const T* sums, index_t from_row, T* c, index_t c_row,
    const epilogue<T>& e) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    for (index_t j = 0; j < rows; j += lanes)
    {
        const index_t left = rows - j < lanes ? rows - j : lanes;
        const vector bias =
            e.bias == nullptr ? vector(T(0)) : simd::load_tail<Arch>(e.bias + j, left);
        for (index_t i = 0; i < columns; i += lanes)
        {
            vector square[static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (index_t l = 0; l < lanes; ++l)
            {
                square[l] = simd::load<Arch>(sums + (j + l) * from_row + i);
            }
            simd::transpose<T, Arch>(square);
            STRUCTOPT_UNROLL
            for (index_t l = 0; l < lanes; ++l)
            {
                if (i + l >= columns)
                {
                    continue;
                }
                vector value = square[l];
                if (e.bias != nullptr)
                {
                    value = value + bias;
                }
                if (e.row_bias != nullptr)
                {
                    value = value + vector(e.row_bias[i + l]);
                }
                if (e.act == activation::relu)
                {
                    value = simd::relu(value);
                }
                T* const to = c + (i + l) * c_row + j;
                if (left == lanes)
                {
                    simd::store(to, value);
                }
                else
                {
                    simd::store_tail(to, value, left);
                }
            }
        }
    }
}

template <class T, class Arch>
void gemm_turned(index_t m, index_t n, index_t k, const T* a, index_t a_row, const T* b,
    index_t b_row, T* c, index_t c_row, const epilogue<T>& e, index_t chunk, T* scratch) noexcept
{
    using shape = gemm_shape<T, Arch>;
    constexpr index_t block = turned_block<T, Arch>;
    constexpr index_t pass = turned_pass<T, Arch>;
    const index_t blocks = (n + block - 1) / block;
    T* const slots = scratch + pass * k;
    for (index_t row = 0; row < m; row += pass)
    {
        const index_t columns = m - row < pass ? m - row : pass;
        const index_t panels = (columns + shape::panel - 1) / shape::panel;
        const bool wide = panels == shape::turned_panels && panels > 1;
        for (index_t p = 0; p < panels; ++p)
        {
            const index_t first = p * shape::panel;
            pack_panel<T, Arch>(columns - first < shape::panel ? columns - first : shape::panel, k,
                {a + (row + first) * a_row, 1, a_row}, scratch + first * k);
        }
        parallel_for(blocks, chunk,
            [&](index_t begin, index_t end)
            {
                T* const slot = slots + begin / chunk * block * pass;
                for (index_t i = begin; i < end; ++i)
                {
                    const index_t line = i * block;
                    const index_t lines = n - line < block ? n - line : block;
                    for (index_t from = 0; from == 0 || from < k; from += shape::depth)
                    {
                        tile_arguments<T> t{};
                        t.depth = k - from < shape::depth ? k - from : shape::depth;
                        t.a_row = b_row;
                        t.a_step = 1;
                        t.b_step = shape::panel;
                        t.b_panel = shape::panel * k;
                        t.c_row = pass;
                        t.resume = from > 0;
                        for (index_t l = 0; l < lines;)
                        {
                            const bool whole = wide && lines - l >= shape::turned_rows;
                            const index_t left =
                                lines - l < shape::direct_rows ? lines - l : shape::direct_rows;
                            const index_t high = whole ? shape::turned_rows : left;
                            t.a = b + (line + l) * b_row + from;
                            for (index_t p = 0; p < panels; p += whole ? panels : 1)
                            {
                                t.columns = shape::panel * (whole ? panels : 1);
                                t.b = scratch + p * shape::panel * k + from * shape::panel;
                                t.c = slot + l * pass + p * shape::panel;
                                if (whole)
                                {
                                    gemm_tile<T, Arch, T, shape::turned_rows,
                                        2 * shape::turned_panels, tile_order::strided>(t);
                                }
                                else
                                {
                                    direct_tile<T, Arch>(high, false)(t);
                                }
                            }
                            l += high;
                        }
                    }
                    epilogue<T> rest = e;
                    rest.bias = e.bias == nullptr ? nullptr : e.bias + line;
                    rest.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row;
                    turn<T, Arch>(lines, columns, slot, pass, c + row * c_row + line, c_row, rest);
                }
            });
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
