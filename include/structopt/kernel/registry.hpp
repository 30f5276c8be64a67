/// @file
/// The registry: every kernel that a program may choose at run time, one row each.
///
/// `STRUCTOPT_KERNELS(ROW, SIZE)` and `STRUCTOPT_OPTIMIZER_RULES(RULE)` write all rows; the lists of
/// single headers write theirs. Of the rows are made the table of function pointers, the table of an
/// instruction set (the file that `structopt_target_kernels` compiles), the kernels that call through
/// the table, and the tests, which fail for a row that nothing runs.
///
///   ROW(name, result, (kernel<arguments>), (parameters), (names of the parameters))
///   SIZE(name, (kernel<arguments>), (the same, without run-time dispatch), (parameters), (names))
///
/// `simd::default_arch` in a row is the instruction set that is compiled for, or `simd::dispatched`. A
/// SIZE is scratch that a kernel without a row needs too, for template arguments that no row has: the
/// larger of both is given. Rows of one family (packing, its sizes, its products) belong together:
/// what one target packs, only the same target reads.
///
/// Parameters are numbers, pointers and the plain types of `shared`, which are the same in every file
/// of a program.
#pragma once

#include <structopt/core/shape.hpp>
#include <structopt/core/small_float.hpp>

#include <cstddef>
#include <cstdint>

// pack.hpp, gemm.hpp, low_rank.hpp: T is the type, t its mark in names.
#define STRUCTOPT_KERNELS_PACK_OF(ROW, T, t)                                                       \
    ROW(packed_size_##t, index_t, (packed_size<T, simd::default_arch>), (index_t n, index_t k),    \
        (n, k))                                                                                    \
    ROW(pack_b_##t, void, (pack_b<T, simd::default_arch>),                                         \
        (index_t n, index_t k, const T* w, index_t row_stride, T* packed),                         \
        (n, k, w, row_stride, packed))                                                             \
    ROW(unpack_b_##t, void, (unpack_b<T, simd::default_arch>),                                     \
        (index_t n, index_t k, const T* packed, T* w, index_t row_stride),                         \
        (n, k, packed, w, row_stride))

#define STRUCTOPT_KERNELS_PACK(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_PACK_OF(ROW, float, f32)                                                     \
    STRUCTOPT_KERNELS_PACK_OF(ROW, double, f64)                                                    \
    ROW(pack_b_bf16, void, (pack_b<float, simd::default_arch>),                                    \
        (index_t n, index_t k, const float* w, index_t row_stride, bfloat16* packed),              \
        (n, k, w, row_stride, packed))                                                             \
    ROW(unpack_b_bf16, void, (unpack_b<float, simd::default_arch>),                                \
        (index_t n, index_t k, const bfloat16* packed, float* w, index_t row_stride),              \
        (n, k, packed, w, row_stride))

#define STRUCTOPT_KERNELS_GEMM_OF(ROW, T, t)                                                       \
    ROW(gemm_scratch_bytes_##t, std::size_t, (gemm_scratch_bytes<T, simd::default_arch>),          \
        (index_t m, index_t n, index_t k), (m, n, k))                                              \
    ROW(gemm_##t, void, (gemm<T, simd::default_arch>),                                             \
        (index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T * c,         \
            index_t c_row_stride, const epilogue<T>& e, std::byte* scratch),                       \
        (m, n, k, a, b, c, c_row_stride, e, scratch))                                              \
    ROW(gemm_packed_scratch_bytes_##t, std::size_t,                                                \
        (gemm_packed_scratch_bytes<T, simd::default_arch>), (index_t m, index_t n, index_t k),     \
        (m, n, k))                                                                                 \
    ROW(gemm_packed_##t, void, (gemm_packed<T, simd::default_arch, T>),                            \
        (index_t m, index_t n, index_t k, matrix_operand<T> a, const T* packed, T* c,              \
            index_t c_row_stride, const epilogue<T>& e, std::byte* scratch),                       \
        (m, n, k, a, packed, c, c_row_stride, e, scratch))

#define STRUCTOPT_KERNELS_GEMM(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_GEMM_OF(ROW, float, f32)                                                     \
    STRUCTOPT_KERNELS_GEMM_OF(ROW, double, f64)                                                    \
    ROW(gemm_packed_bf16, void, (gemm_packed<float, simd::default_arch, bfloat16>),                \
        (index_t m, index_t n, index_t k, matrix_operand<float> a, const bfloat16* packed,         \
            float* c, index_t c_row_stride, const epilogue<float>& e, std::byte* scratch),         \
        (m, n, k, a, packed, c, c_row_stride, e, scratch))

#define STRUCTOPT_KERNELS_LOW_RANK_OF(ROW, T, W, t)                                                \
    ROW(low_rank_packed_##t, void, (low_rank_packed<T, simd::default_arch, W>),                    \
        (index_t m, index_t n, index_t k, index_t rank, matrix_operand<T> a, const W* v,           \
            const W* u, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch),     \
        (m, n, k, rank, a, v, u, c, c_row_stride, e, scratch))

#define STRUCTOPT_KERNELS_LOW_RANK(ROW, SIZE)                                                      \
    ROW(low_rank_scratch_bytes_f32, std::size_t,                                                   \
        (low_rank_scratch_bytes<float, simd::default_arch>),                                       \
        (index_t m, index_t n, index_t k, index_t rank), (m, n, k, rank))                          \
    ROW(low_rank_scratch_bytes_f64, std::size_t,                                                   \
        (low_rank_scratch_bytes<double, simd::default_arch>),                                      \
        (index_t m, index_t n, index_t k, index_t rank), (m, n, k, rank))                          \
    STRUCTOPT_KERNELS_LOW_RANK_OF(ROW, float, float, f32)                                          \
    STRUCTOPT_KERNELS_LOW_RANK_OF(ROW, double, double, f64)                                        \
    STRUCTOPT_KERNELS_LOW_RANK_OF(ROW, float, bfloat16, bf16)

// quantize_rows.hpp, pack_s8.hpp, gemm_s8.hpp, image_s8.hpp, convolution_s8.hpp
#define STRUCTOPT_KERNELS_QUANTIZE_ROWS(ROW, SIZE)                                                 \
    ROW(code_scale, float, (detail::code_scale<simd::default_arch>),                               \
        (index_t n, const float* from, float& scale), (n, from, scale))                            \
    ROW(quantize_rows, void, (quantize_rows<simd::default_arch>),                                  \
        (index_t rows, index_t columns, const float* x, index_t x_stride, std::int8_t* codes,      \
            index_t codes_stride, float* scales),                                                  \
        (rows, columns, x, x_stride, codes, codes_stride, scales))

#define STRUCTOPT_KERNELS_PACK_S8(ROW, SIZE)                                                       \
    ROW(packed_bytes_s8, std::size_t, (packed_bytes_s8<simd::default_arch>),                       \
        (index_t n, index_t k), (n, k))                                                            \
    ROW(pack_s8, void, (pack_s8<simd::default_arch>),                                              \
        (index_t n, index_t k, const std::int8_t* w, index_t row_stride, std::byte* packed),       \
        (n, k, w, row_stride, packed))                                                             \
    ROW(unpack_s8, void, (unpack_s8<simd::default_arch>),                                          \
        (index_t n, index_t k, const std::byte* packed, std::int8_t* w, index_t row_stride),       \
        (n, k, packed, w, row_stride))

#define STRUCTOPT_KERNELS_GEMM_S8(ROW, SIZE)                                                       \
    ROW(gemm_s8_scratch_bytes, std::size_t,                                                        \
        (gemm_s8_scratch_bytes<simd::default_arch, simd::best_dot<simd::default_arch>>),           \
        (index_t m, index_t n, index_t k), (m, n, k))                                              \
    ROW(gemm_s8_s32, void, (gemm_s8_s32<simd::default_arch, simd::best_dot<simd::default_arch>>),  \
        (index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,                 \
            matrix_result<std::int32_t> y, std::byte* scratch, const integer_start& start),        \
        (m, n, k, x, packed, y, scratch, start))                                                   \
    ROW(gemm_s8_f32, void, (gemm_s8<simd::default_arch, simd::best_dot<simd::default_arch>>),      \
        (index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,                 \
            matrix_result<float> y, const dequantize& e, std::byte* scratch),                      \
        (m, n, k, x, packed, y, e, scratch))                                                       \
    ROW(gemm_s8_codes, void, (gemm_s8<simd::default_arch, simd::best_dot<simd::default_arch>>),    \
        (index_t m, index_t n, index_t k, code_operand x, const std::byte* packed, code_result y,  \
            const requantize& e, std::byte* scratch),                                              \
        (m, n, k, x, packed, y, e, scratch))                                                       \
    ROW(gemm_s8_dynamic, void,                                                                     \
        (gemm_s8_dynamic<simd::default_arch, simd::best_dot<simd::default_arch>>),                 \
        (index_t m, index_t n, index_t k, const float* x, index_t x_row, const std::byte* packed,  \
            matrix_result<float> y, const dequantize& e, std::byte* scratch),                      \
        (m, n, k, x, x_row, packed, y, e, scratch))

#define STRUCTOPT_KERNELS_IMAGE_S8(ROW, SIZE)                                                      \
    ROW(quantize_image, void, (quantize_image<simd::default_arch>),                                \
        (const code_frame& f, const float* image, float factor, std::int32_t offset,               \
            std::uint8_t* codes),                                                                  \
        (f, image, factor, offset, codes))

#define STRUCTOPT_KERNELS_CONVOLUTION_S8(ROW, SIZE)                                                \
    ROW(convolution_s8_bytes, std::size_t, (convolution_s8_bytes<simd::default_arch>),             \
        (const window& g, index_t groups, index_t out), (g, groups, out))                          \
    ROW(convolution_s8, void,                                                                      \
        (convolution_s8<simd::default_arch, simd::best_dot<simd::default_arch>>),                  \
        (index_t images, const window& g, index_t groups, index_t out, const float* x,             \
            const std::byte* packed, const float* w_scale, const float* bias, float* y,            \
            std::byte* scratch),                                                                   \
        (images, g, groups, out, x, packed, w_scale, bias, y, scratch))                            \
    ROW(convolution_s8_codes, void,                                                                \
        (convolution_s8<simd::default_arch, simd::best_dot<simd::default_arch>>),                  \
        (index_t images, const window& g, index_t groups, index_t out, const std::int8_t* x,       \
            const std::byte* packed, const requantize& e, std::int8_t* y, std::byte* scratch),     \
        (images, g, groups, out, x, packed, e, y, scratch))

// pack_low_bit.hpp, gemm_low_bit.hpp
#define STRUCTOPT_KERNELS_PACK_LOW_BIT(ROW, SIZE)                                                  \
    ROW(low_bit_bytes, std::size_t, (low_bit_bytes<simd::default_arch>), (const low_bit_shape& w), \
        (w))                                                                                       \
    ROW(pack_low_bit, void, (pack_low_bit<simd::default_arch>),                                    \
        (const low_bit_shape& w, const std::int8_t* codes, const float* scales,                    \
            const std::int8_t* zeros, const std::int8_t* table, std::byte* packed),                \
        (w, codes, scales, zeros, table, packed))                                                  \
    ROW(unpack_low_bit, void, (unpack_low_bit<simd::default_arch>),                                \
        (const low_bit_shape& w, const std::byte* packed, std::int8_t* codes, float* scales,       \
            std::int8_t* zeros, std::int8_t* table),                                               \
        (w, packed, codes, scales, zeros, table))

#define STRUCTOPT_KERNELS_GEMM_LOW_BIT(ROW, SIZE)                                                  \
    ROW(gemm_low_bit_scratch_bytes, std::size_t,                                                   \
        (gemm_low_bit_scratch_bytes<simd::default_arch, simd::best_dot<simd::default_arch>>),      \
        (index_t m, const low_bit_shape& w), (m, w))                                               \
    ROW(gemm_low_bit, void,                                                                        \
        (gemm_low_bit<simd::default_arch, simd::best_dot<simd::default_arch>>),                    \
        (index_t m, const low_bit_shape& w, const std::int8_t* x, index_t x_row,                   \
            const std::byte* packed, matrix_result<float> y, const dequantize& e,                  \
            std::byte* scratch),                                                                   \
        (m, w, x, x_row, packed, y, e, scratch))                                                   \
    ROW(gemm_low_bit_dynamic, void,                                                                \
        (gemm_low_bit_dynamic<simd::default_arch, simd::best_dot<simd::default_arch>>),            \
        (index_t m, const low_bit_shape& w, const float* x, index_t x_row,                         \
            const std::byte* packed, matrix_result<float> y, const dequantize& e,                  \
            std::byte* scratch),                                                                   \
        (m, w, x, x_row, packed, y, e, scratch))
// Compressed sparse rows: I is the type of indices, i its mark in names.
#define STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, T, t, I, i)                                             \
    ROW(spmm_csr_##t##_##i, void, (spmm_csr<simd::default_arch, T, I, std::uint32_t>),             \
        (index_t batch, index_t rows, index_t columns, const T* values, const I* indices,          \
            const std::uint32_t* offsets, const T* x, index_t x_row, index_t x_column,             \
            const T* bias, T* y, index_t y_row, index_t y_column, std::byte* scratch),             \
        (batch, rows, columns, values, indices, offsets, x, x_row, x_column, bias, y, y_row,       \
            y_column, scratch))

#define STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, T, t, I, i)                                       \
    ROW(csr_transposed_##t##_##i, void, (csr_transposed<simd::default_arch, T, I, std::uint32_t>), \
        (index_t batch, index_t rows, index_t columns, const T* values, const I* indices,          \
            const std::uint32_t* offsets, const T* dy, index_t dy_row, index_t dy_column, T* dx,   \
            index_t dx_row, index_t dx_column, std::byte* scratch),                                \
        (batch, rows, columns, values, indices, offsets, dy, dy_row, dy_column, dx, dx_row,        \
            dx_column, scratch))

#define STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, T, t, I, i)                                            \
    ROW(sddmm_csr_##t##_##i, void, (sddmm_csr<simd::default_arch, T, I, std::uint32_t>),           \
        (index_t batch, index_t rows, index_t columns, T * g, const I* indices,                    \
            const std::uint32_t* offsets, const T* dy, index_t dy_row, index_t dy_column,          \
            const T* x, index_t x_row, index_t x_column, std::byte* scratch),                      \
        (batch, rows, columns, g, indices, offsets, dy, dy_row, dy_column, x, x_row, x_column,     \
            scratch))

#define STRUCTOPT_KERNELS_SPMM_CSR(ROW, SIZE)                                                      \
    SIZE(spmm_csr_scratch_bytes_f32, (spmm_csr_scratch_bytes<float, simd::default_arch>),          \
        (spmm_csr_scratch_bytes<float, simd::compiled_arch>), (index_t batch, index_t columns),    \
        (batch, columns))                                                                          \
    SIZE(spmm_csr_scratch_bytes_f64, (spmm_csr_scratch_bytes<double, simd::default_arch>),         \
        (spmm_csr_scratch_bytes<double, simd::compiled_arch>), (index_t batch, index_t columns),   \
        (batch, columns))                                                                          \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, float, f32, std::uint8_t, u8)                               \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, float, f32, std::uint16_t, u16)                             \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, float, f32, std::uint32_t, u32)                             \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, double, f64, std::uint8_t, u8)                              \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, double, f64, std::uint16_t, u16)                            \
    STRUCTOPT_KERNELS_SPMM_CSR_OF(ROW, double, f64, std::uint32_t, u32)

#define STRUCTOPT_KERNELS_CSR_TRANSPOSED(ROW, SIZE)                                                \
    SIZE(csr_transposed_scratch_bytes_f32,                                                         \
        (csr_transposed_scratch_bytes<float, simd::default_arch>),                                 \
        (csr_transposed_scratch_bytes<float, simd::compiled_arch>),                                \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    SIZE(csr_transposed_scratch_bytes_f64,                                                         \
        (csr_transposed_scratch_bytes<double, simd::default_arch>),                                \
        (csr_transposed_scratch_bytes<double, simd::compiled_arch>),                               \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, float, f32, std::uint8_t, u8)                         \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, float, f32, std::uint16_t, u16)                       \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, float, f32, std::uint32_t, u32)                       \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, double, f64, std::uint8_t, u8)                        \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, double, f64, std::uint16_t, u16)                      \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED_OF(ROW, double, f64, std::uint32_t, u32)

#define STRUCTOPT_KERNELS_SDDMM_CSR(ROW, SIZE)                                                     \
    SIZE(sddmm_csr_scratch_bytes_f32, (sddmm_csr_scratch_bytes<float, simd::default_arch>),        \
        (sddmm_csr_scratch_bytes<float, simd::compiled_arch>),                                     \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    SIZE(sddmm_csr_scratch_bytes_f64, (sddmm_csr_scratch_bytes<double, simd::default_arch>),       \
        (sddmm_csr_scratch_bytes<double, simd::compiled_arch>),                                    \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, float, f32, std::uint8_t, u8)                              \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, float, f32, std::uint16_t, u16)                            \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, float, f32, std::uint32_t, u32)                            \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, double, f64, std::uint8_t, u8)                             \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, double, f64, std::uint16_t, u16)                           \
    STRUCTOPT_KERNELS_SDDMM_CSR_OF(ROW, double, f64, std::uint32_t, u32)

#define STRUCTOPT_KERNELS_SPMM_CSR_S8_OF(ROW, I, i)                                                \
    ROW(spmm_csr_s8_##i, void, (spmm_csr_s8<simd::default_arch, I, std::uint32_t>),                \
        (index_t batch, index_t rows, index_t columns, const std::int8_t* values,                  \
            const I* indices, const std::uint32_t* offsets, const std::int8_t* x, index_t x_row,   \
            const dequantize& e, matrix_result<float> y, std::byte* scratch),                      \
        (batch, rows, columns, values, indices, offsets, x, x_row, e, y, scratch))

#define STRUCTOPT_KERNELS_SPMM_CSR_S8(ROW, SIZE)                                                   \
    SIZE(spmm_csr_s8_scratch_bytes, (spmm_csr_s8_scratch_bytes<simd::default_arch>),               \
        (spmm_csr_s8_scratch_bytes<simd::compiled_arch>), (index_t batch, index_t columns),        \
        (batch, columns))                                                                          \
    STRUCTOPT_KERNELS_SPMM_CSR_S8_OF(ROW, std::uint8_t, u8)                                        \
    STRUCTOPT_KERNELS_SPMM_CSR_S8_OF(ROW, std::uint16_t, u16)                                      \
    STRUCTOPT_KERNELS_SPMM_CSR_S8_OF(ROW, std::uint32_t, u32)

#define STRUCTOPT_KERNELS_SPMM_VECTORS_S8_OF(ROW, I, i)                                            \
    ROW(spmm_vectors_s8_##i, void,                                                                 \
        (spmm_vectors_s8<simd::default_arch, simd::best_dot<simd::default_arch>, I>),              \
        (index_t batch, const vectors_s8_operand<I>& w, const std::int8_t* x, index_t x_row,       \
            const dequantize& e, matrix_result<float> y, std::byte* scratch),                      \
        (batch, w, x, x_row, e, y, scratch))

#define STRUCTOPT_KERNELS_SPMM_VECTORS_S8(ROW, SIZE)                                               \
    SIZE(spmm_vectors_s8_scratch_bytes, (spmm_vectors_s8_scratch_bytes<simd::default_arch>),       \
        (spmm_vectors_s8_scratch_bytes<simd::compiled_arch>), (index_t batch, index_t columns),    \
        (batch, columns))                                                                          \
    STRUCTOPT_KERNELS_SPMM_VECTORS_S8_OF(ROW, std::uint8_t, u8)                                    \
    STRUCTOPT_KERNELS_SPMM_VECTORS_S8_OF(ROW, std::uint16_t, u16)                                  \
    STRUCTOPT_KERNELS_SPMM_VECTORS_S8_OF(ROW, std::uint32_t, u32)

#define STRUCTOPT_KERNELS_SPMM_NM_S8(ROW, SIZE)                                                    \
    ROW(spmm_nm_s8_scratch_bytes, std::size_t,                                                     \
        (spmm_nm_s8_scratch_bytes<simd::default_arch, simd::best_dot<simd::default_arch>>),        \
        (index_t batch, index_t columns), (batch, columns))                                        \
    ROW(spmm_nm_s8, void, (spmm_nm_s8<simd::default_arch, simd::best_dot<simd::default_arch>>),    \
        (index_t batch, const nm_s8_operand& w, const std::int8_t* x, index_t x_row,               \
            const dequantize& e, matrix_result<float> y, std::byte* scratch),                      \
        (batch, w, x, x_row, e, y, scratch))

// Other sparse formats.
#define STRUCTOPT_KERNELS_SPMM_TILED_OF(ROW, T, t)                                                 \
    ROW(spmm_tiled_scratch_bytes_##t, std::size_t,                                                 \
        (spmm_tiled_scratch_bytes<T, simd::default_arch>),                                         \
        (index_t batch, const tiled_operand<T>& w), (batch, w))                                    \
    ROW(spmm_tiled_##t, void, (spmm_tiled<simd::default_arch, T>),                                 \
        (index_t batch, const tiled_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,          \
            const spmm_finish<T>& finish, std::byte* scratch),                                     \
        (batch, w, x, y, finish, scratch))

#define STRUCTOPT_KERNELS_SPMM_TILED(ROW, SIZE)                                                    \
    STRUCTOPT_KERNELS_SPMM_TILED_OF(ROW, float, f32)                                               \
    STRUCTOPT_KERNELS_SPMM_TILED_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_SPMM_SLICED_OF(ROW, T, t)                                                \
    ROW(sliced_unit_##t, index_t, (sliced_unit<T, simd::default_arch>), (), ())                    \
    ROW(spmm_sliced_##t, void, (spmm_sliced<simd::default_arch, T>),                               \
        (index_t batch, const sliced_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,         \
            const spmm_finish<T>& finish, std::byte* scratch),                                     \
        (batch, w, x, y, finish, scratch))

#define STRUCTOPT_KERNELS_SPMM_SLICED(ROW, SIZE)                                                   \
    STRUCTOPT_KERNELS_SPMM_SLICED_OF(ROW, float, f32)                                              \
    STRUCTOPT_KERNELS_SPMM_SLICED_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_SPMM_BITMASK_OF(ROW, T, t)                                               \
    ROW(spmm_bitmask_scratch_bytes_##t, std::size_t,                                               \
        (spmm_bitmask_scratch_bytes<T, simd::default_arch>),                                       \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    ROW(spmm_bitmask_##t, void, (spmm_bitmask<simd::default_arch, T>),                             \
        (index_t batch, const bitmask_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,        \
            const spmm_finish<T>& finish, std::byte* scratch),                                     \
        (batch, w, x, y, finish, scratch))

#define STRUCTOPT_KERNELS_SPMM_BITMASK(ROW, SIZE)                                                  \
    STRUCTOPT_KERNELS_SPMM_BITMASK_OF(ROW, float, f32)                                             \
    STRUCTOPT_KERNELS_SPMM_BITMASK_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, T, t, N, M)                                              \
    ROW(spmm_nm_scratch_bytes_##t##_##N##x##M, std::size_t,                                        \
        (spmm_nm_scratch_bytes<N, M, T, simd::default_arch>),                                      \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    ROW(spmm_nm_##t##_##N##x##M, void, (spmm_nm<N, M, simd::default_arch, T>),                     \
        (index_t batch, const nm_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,             \
            const spmm_finish<T>& finish, std::byte* scratch),                                     \
        (batch, w, x, y, finish, scratch))

#define STRUCTOPT_KERNELS_SPMM_NM(ROW, SIZE)                                                       \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, float, f32, 1, 4)                                            \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, float, f32, 2, 4)                                            \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, float, f32, 4, 8)                                            \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, double, f64, 1, 4)                                           \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, double, f64, 2, 4)                                           \
    STRUCTOPT_KERNELS_SPMM_NM_OF(ROW, double, f64, 4, 8)

#define STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, T, t, R, C)                                       \
    SIZE(spmm_bsr_scratch_bytes_##t##_##R##x##C,                                                   \
        (spmm_bsr_scratch_bytes<R, C, T, simd::default_arch>),                                     \
        (spmm_bsr_scratch_bytes<R, C, T, simd::compiled_arch>),                                    \
        (index_t batch, index_t rows, index_t columns), (batch, rows, columns))                    \
    ROW(spmm_bsr_##t##_##R##x##C##_u16, void,                                                      \
        (spmm_bsr<R, C, simd::default_arch, T, std::uint16_t>),                                    \
        (index_t batch, const bsr_operand<T, std::uint16_t>& w, matrix_operand<T> x,               \
            spmm_result<T> y, const spmm_finish<T>& finish, std::byte* scratch),                   \
        (batch, w, x, y, finish, scratch))                                                         \
    ROW(spmm_bsr_##t##_##R##x##C##_u32, void,                                                      \
        (spmm_bsr<R, C, simd::default_arch, T, std::uint32_t>),                                    \
        (index_t batch, const bsr_operand<T, std::uint32_t>& w, matrix_operand<T> x,               \
            spmm_result<T> y, const spmm_finish<T>& finish, std::byte* scratch),                   \
        (batch, w, x, y, finish, scratch))

#define STRUCTOPT_KERNELS_SPMM_BSR(ROW, SIZE)                                                      \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, float, f32, 16, 1)                                    \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, float, f32, 8, 1)                                     \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, float, f32, 4, 1)                                     \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, float, f32, 4, 4)                                     \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, float, f32, 8, 8)                                     \
    STRUCTOPT_KERNELS_SPMM_BSR_OF(ROW, SIZE, double, f64, 16, 1)

// convolution.hpp, depthwise.hpp, im2col.hpp, patches.hpp, pool.hpp
#define STRUCTOPT_KERNELS_IM2COL_OF(ROW, T, t)                                                     \
    ROW(im2col_##t, void, (im2col<T, simd::default_arch>),                                         \
        (const window& w, const T* image, T* columns), (w, image, columns))                        \
    ROW(col2im_##t, void, (col2im<T, simd::default_arch>),                                         \
        (const window& w, const T* columns, T* image), (w, columns, image))

#define STRUCTOPT_KERNELS_IM2COL(ROW, SIZE)                                                        \
    STRUCTOPT_KERNELS_IM2COL_OF(ROW, float, f32)                                                   \
    STRUCTOPT_KERNELS_IM2COL_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_PATCHES_OF(ROW, T, t)                                                    \
    ROW(frame_##t, void, (frame<T, simd::default_arch>),                                           \
        (const window& g, const T* image, T* framed), (g, image, framed))                          \
    ROW(gather_patches_##t, void, (gather_patches<T, simd::default_arch>),                         \
        (const window& g, const T* framed, index_t first, index_t rows, T* patches),               \
        (g, framed, first, rows, patches))

#define STRUCTOPT_KERNELS_PATCHES(ROW, SIZE)                                                       \
    STRUCTOPT_KERNELS_PATCHES_OF(ROW, float, f32)                                                  \
    STRUCTOPT_KERNELS_PATCHES_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_CONVOLUTION_OF(ROW, T, t)                                                \
    ROW(convolution_forward_bytes_##t, std::size_t,                                                \
        (convolution_forward_bytes<T, simd::default_arch>), (const window& g, index_t out),        \
        (g, out))                                                                                  \
    ROW(convolution_forward_##t, void, (convolution_forward<T, simd::default_arch>),               \
        (const window& g, index_t out, const T* image, const T* w, const T* bias, T* y,            \
            std::byte* scratch),                                                                   \
        (g, out, image, w, bias, y, scratch))                                                      \
    ROW(convolution_backward_bytes_##t, std::size_t,                                               \
        (convolution_backward_bytes<T, simd::default_arch>), (const window& g, index_t out),       \
        (g, out))                                                                                  \
    ROW(convolution_backward_##t, void, (convolution_backward<T, simd::default_arch>),             \
        (const window& g, index_t out, const T* image, const T* w, const T* dy, T* dw, T* dimage,  \
            std::byte* scratch),                                                                   \
        (g, out, image, w, dy, dw, dimage, scratch))

#define STRUCTOPT_KERNELS_CONVOLUTION(ROW, SIZE)                                                   \
    STRUCTOPT_KERNELS_CONVOLUTION_OF(ROW, float, f32)                                              \
    STRUCTOPT_KERNELS_CONVOLUTION_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_CONVOLUTION_PACKED_OF(ROW, T, t)                                         \
    ROW(worth_turning_##t, bool, (worth_turning<T, simd::default_arch>),                           \
        (const window& g, index_t out), (g, out))                                                  \
    ROW(convolution_packed_bytes_##t, std::size_t,                                                 \
        (convolution_packed_bytes<T, simd::default_arch>),                                         \
        (const window& g, index_t out, index_t groups), (g, out, groups))                          \
    ROW(convolution_packed_##t, void, (convolution_packed<T, simd::default_arch>),                 \
        (const window& g, index_t out, index_t groups, const T* image, const T* packed,            \
            const T* bias, T* y, std::byte* scratch),                                              \
        (g, out, groups, image, packed, bias, y, scratch))

#define STRUCTOPT_KERNELS_CONVOLUTION_PACKED(ROW, SIZE)                                            \
    STRUCTOPT_KERNELS_CONVOLUTION_PACKED_OF(ROW, float, f32)                                       \
    STRUCTOPT_KERNELS_CONVOLUTION_PACKED_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_DEPTHWISE_OF(ROW, T, t)                                                  \
    ROW(depthwise_forward_##t, void, (depthwise_forward<T, simd::default_arch>),                   \
        (const window& g, const T* plane, const T* w, T bias, T* y), (g, plane, w, bias, y))       \
    ROW(depthwise_backward_input_##t, void, (depthwise_backward_input<T, simd::default_arch>),     \
        (const window& g, const T* dy, const T* w, T* dplane), (g, dy, w, dplane))                 \
    ROW(depthwise_backward_weight_##t, void, (depthwise_backward_weight<T, simd::default_arch>),   \
        (const window& g, const T* dy, const T* plane, T* dw), (g, dy, plane, dw))

#define STRUCTOPT_KERNELS_DEPTHWISE(ROW, SIZE)                                                     \
    STRUCTOPT_KERNELS_DEPTHWISE_OF(ROW, float, f32)                                                \
    STRUCTOPT_KERNELS_DEPTHWISE_OF(ROW, double, f64)

#define STRUCTOPT_KERNELS_POOL_OF(ROW, T, t)                                                       \
    ROW(pool_largest_##t, void, (pool_plane<pooling::largest, T, simd::default_arch>),             \
        (const pool_window& g, const T* x, T* y), (g, x, y))                                       \
    ROW(pool_sum_##t, void, (pool_plane<pooling::sum, T, simd::default_arch>),                     \
        (const pool_window& g, const T* x, T* y), (g, x, y))

#define STRUCTOPT_KERNELS_POOL(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_POOL_OF(ROW, float, f32)                                                     \
    STRUCTOPT_KERNELS_POOL_OF(ROW, double, f64)

// optimizer_update.hpp: rows of RULE(name, rule, type, zeroes gradients). The rule crosses as bytes.
#define STRUCTOPT_OPTIMIZER_RULES_OF(RULE, T, t, Zero, z)                                          \
    RULE(update_sgd_##t##z, (sgd_rule<T>), T, Zero)                                                \
    RULE(update_momentum_##t##z, (momentum_rule<T, false>), T, Zero)                               \
    RULE(update_nesterov_##t##z, (momentum_rule<T, true>), T, Zero)                                \
    RULE(update_adagrad_##t##z, (adagrad_rule<T>), T, Zero)                                        \
    RULE(update_adadelta_##t##z, (adadelta_rule<T>), T, Zero)                                      \
    RULE(update_adam_##t##z, (adam_rule<T, false>), T, Zero)                                       \
    RULE(update_amsgrad_##t##z, (adam_rule<T, true>), T, Zero)                                     \
    RULE(update_rmsprop_##t##z, (rmsprop_rule<T, false, false>), T, Zero)                          \
    RULE(update_rmsprop_momentum_##t##z, (rmsprop_rule<T, false, true>), T, Zero)                  \
    RULE(update_rmsprop_centred_##t##z, (rmsprop_rule<T, true, false>), T, Zero)                   \
    RULE(update_rmsprop_centred_momentum_##t##z, (rmsprop_rule<T, true, true>), T, Zero)           \
    RULE(update_nadam_##t##z, (nadam_rule<T>), T, Zero)

#define STRUCTOPT_OPTIMIZER_RULES(RULE)                                                            \
    STRUCTOPT_OPTIMIZER_RULES_OF(RULE, float, f32, false, )                                        \
    STRUCTOPT_OPTIMIZER_RULES_OF(RULE, float, f32, true, _zero)                                    \
    STRUCTOPT_OPTIMIZER_RULES_OF(RULE, double, f64, false, )                                       \
    STRUCTOPT_OPTIMIZER_RULES_OF(RULE, double, f64, true, _zero)

/// All rows but the optimizers'.
#define STRUCTOPT_KERNELS(ROW, SIZE)                                                               \
    STRUCTOPT_KERNELS_PACK(ROW, SIZE)                                                              \
    STRUCTOPT_KERNELS_GEMM(ROW, SIZE)                                                              \
    STRUCTOPT_KERNELS_LOW_RANK(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_QUANTIZE_ROWS(ROW, SIZE)                                                     \
    STRUCTOPT_KERNELS_PACK_S8(ROW, SIZE)                                                           \
    STRUCTOPT_KERNELS_GEMM_S8(ROW, SIZE)                                                           \
    STRUCTOPT_KERNELS_PACK_LOW_BIT(ROW, SIZE)                                                      \
    STRUCTOPT_KERNELS_GEMM_LOW_BIT(ROW, SIZE)                                                      \
    STRUCTOPT_KERNELS_IMAGE_S8(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_CONVOLUTION_S8(ROW, SIZE)                                                    \
    STRUCTOPT_KERNELS_SPMM_CSR(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_CSR_TRANSPOSED(ROW, SIZE)                                                    \
    STRUCTOPT_KERNELS_SDDMM_CSR(ROW, SIZE)                                                         \
    STRUCTOPT_KERNELS_SPMM_CSR_S8(ROW, SIZE)                                                       \
    STRUCTOPT_KERNELS_SPMM_VECTORS_S8(ROW, SIZE)                                                   \
    STRUCTOPT_KERNELS_SPMM_NM_S8(ROW, SIZE)                                                        \
    STRUCTOPT_KERNELS_SPMM_TILED(ROW, SIZE)                                                        \
    STRUCTOPT_KERNELS_SPMM_SLICED(ROW, SIZE)                                                       \
    STRUCTOPT_KERNELS_SPMM_BITMASK(ROW, SIZE)                                                      \
    STRUCTOPT_KERNELS_SPMM_NM(ROW, SIZE)                                                           \
    STRUCTOPT_KERNELS_SPMM_BSR(ROW, SIZE)                                                          \
    STRUCTOPT_KERNELS_IM2COL(ROW, SIZE)                                                            \
    STRUCTOPT_KERNELS_PATCHES(ROW, SIZE)                                                           \
    STRUCTOPT_KERNELS_CONVOLUTION(ROW, SIZE)                                                       \
    STRUCTOPT_KERNELS_CONVOLUTION_PACKED(ROW, SIZE)                                                \
    STRUCTOPT_KERNELS_DEPTHWISE(ROW, SIZE)                                                         \
    STRUCTOPT_KERNELS_POOL(ROW, SIZE)

STRUCTOPT_BEGIN_SHARED_NAMESPACE

template <class T>
struct matrix_operand;
template <class T>
struct epilogue;
template <class T>
struct matrix_result;
template <class T>
struct spmm_result;
template <class T>
struct spmm_finish;
template <class T>
struct tiled_operand;
template <class T>
struct sliced_operand;
template <class T>
struct bitmask_operand;
template <class T>
struct nm_operand;
template <class T, class Index>
struct bsr_operand;
template <class Index>
struct vectors_s8_operand;
struct nm_s8_operand;
struct low_bit_shape;
struct code_operand;
struct code_result;
struct integer_start;
struct dequantize;
struct requantize;
struct code_frame;
struct window;
struct pool_window;

// clang-format off
#define STRUCTOPT_KERNEL_POINTER(name, result, kernel, parameters, names) \
    result(*name) parameters noexcept;
#define STRUCTOPT_KERNEL_SIZE_POINTER(name, kernel, plain, parameters, names) \
    std::size_t(*name) parameters noexcept;
#define STRUCTOPT_OPTIMIZER_POINTER(name, rule, T, Zero) \
    void (*name)(const void* rule_bytes, index_t n, T* const* arrays) noexcept;
// clang-format on

/// The kernels of one instruction set.
struct kernel_table
{
    STRUCTOPT_KERNELS(STRUCTOPT_KERNEL_POINTER, STRUCTOPT_KERNEL_SIZE_POINTER)
    STRUCTOPT_OPTIMIZER_RULES(STRUCTOPT_OPTIMIZER_POINTER)
};

#undef STRUCTOPT_KERNEL_POINTER
#undef STRUCTOPT_KERNEL_SIZE_POINTER
#undef STRUCTOPT_OPTIMIZER_POINTER

STRUCTOPT_END_SHARED_NAMESPACE

/// Takes the parentheses off: `STRUCTOPT_KERNEL_NAME (kernel<a, b>)`.
#define STRUCTOPT_KERNEL_NAME(...) __VA_ARGS__
