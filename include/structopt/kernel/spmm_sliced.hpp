/// @file
/// Products of one sample with an unstructured sparse matrix cut into slices: y = x W^T.
///
/// Layout. The rows of W, in an order of their own, are cut into slices of 16. A slice is a
/// sequence of steps. In a step every row of the slice multiplies one of its non-zeros, or nothing;
/// all the columns lie in a window of x that begins at a multiple of `unit` and is 2 * unit - 1
/// columns wide: two registers, but for the last element, which counts as 0. A row takes its
/// non-zeros in the order of columns, one in every step in which the window has reached it; the
/// window advances as soon as every row can do without what it leaves behind. Six steps are stored
/// together: 6 x 16 values, 0 for nothing; 16 words that hold six places in the window, 5 bits
/// each, 31 for nothing; and six bytes, by how many units the window advances before each step, in
/// a word of 64 bits. The last group of a slice is filled with empty steps.
///
/// Method. Lanes are rows. A step reads two registers of x from L1 and lets every lane choose one
/// of their elements by a permutation of registers, which costs what any other shuffle does, where
/// a gather costs a load per lane; then one multiply-add. There is one loop per slice and nothing
/// to guess in it. Because rows need not wait for each other at fixed columns, padding is a factor
/// of 1.6 at 90 % zeros and 1.1 at 50 %, where tiles of 32 columns would need 2 and 1.3. Up to
/// eight samples share what is read of W.
///
/// Order of summation: even and odd steps are two chains, added at the end; then the bias.
///
/// Bound, per step of 16 non-zeros (float): 3.3 loads at 2 per cycle; 76 bytes of W.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_finish.hpp>
#include <structopt/kernel/spmm_lines.hpp>
#include <structopt/simd/lookup.hpp>
#include <structopt/simd/prefetch.hpp>
#include <structopt/simd/tail.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// Rows of one slice.
inline constexpr index_t slice_rows = 16;

/// A sparse matrix cut into slices; see the top of the file.
template <class T>
struct sliced_operand
{
    index_t rows = 0;
    index_t columns = 0;
    index_t unit = 16;
    /// First group of each slice, and their number.
    const std::uint64_t* first_groups = nullptr;
    /// 16 rows of each slice, `rows` where there is none; or null if slices hold the rows in order.
    const std::uint32_t* order = nullptr;
    /// Of each group: six advances in units, the first one lowest; a slice begins at column 0.
    const std::uint64_t* advances = nullptr;
    /// 16 words of each group.
    const std::uint32_t* places = nullptr;
    /// 6 x 16 values of each group.
    const T* values = nullptr;

    STRUCTOPT_ALWAYS_INLINE constexpr index_t slices() const noexcept
    {
        return (rows + slice_rows - 1) / slice_rows;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::slice_rows;
using shared::sliced_operand;

/// Steps that are stored together.
inline constexpr index_t sliced_group = 6;

/// Most samples that share one pass over the matrix.
inline constexpr index_t sliced_samples = 8;

/// The place that stands for no column.
inline constexpr std::uint32_t sliced_none = 31;

/// The unit that suits an architecture, 16 or 8. A matrix packed with another one is multiplied by
/// all architectures, but slowly by those whose registers are too short.
template <class T, class Arch = simd::default_arch>
constexpr index_t sliced_unit() noexcept;

/// Bytes of scratch of `spmm_sliced`: up to `sliced_samples` samples.
template <class T>
std::size_t spmm_sliced_scratch_bytes(index_t batch, const sliced_operand<T>& w) noexcept;

/// y[batch, rows] = act(x[batch, columns] W^T + bias), x and y of any strides; scratch of any
/// alignment. y must not overlap x.
///
/// A sample gives the same bits in every batch, and for every number of threads.
template <class Arch = simd::default_arch, class T>
void spmm_sliced(index_t batch, const sliced_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
constexpr index_t sliced_unit() noexcept
{
    constexpr index_t length = simd::lookup_length<T, Arch>;
    return length > 0 ? length / 2 : 16;
}

namespace detail
{

/// Groups that values are asked for in advance.
inline constexpr index_t sliced_ahead = 12;

/// What `simd::lookup` does, for every architecture and unit.
template <class Arch, class T>
class sliced_plain_choice
{
public:
    explicit sliced_plain_choice(const std::uint32_t* words) noexcept
        : m_words(words)
    {
    }

    template <int Number>
    simd::batch<T, Arch> from(const T* table) const noexcept
    {
        alignas(64) T chosen[static_cast<std::size_t>(simd::width<T, Arch>)];
        for (index_t i = 0; i < simd::width<T, Arch>; ++i)
        {
            const std::uint32_t place = (m_words[i] >> (5 * Number)) & 31u;
            chosen[i] = place == sliced_none ? T(0) : table[place];
        }
        return simd::load<Arch>(chosen);
    }

private:
    const std::uint32_t* m_words;
};

/// Step `Number` of a group for some samples.
template <int Number, class Arch, index_t Samples, class Choice, class T>
STRUCTOPT_ALWAYS_INLINE void sliced_step(const Choice& choose, const T* values, const T* x,
    index_t x_step, index_t start, simd::batch<T, Arch> (&sums)[Samples]) noexcept
{
    const simd::batch<T, Arch> value = simd::load<Arch>(values + Number * slice_rows);
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Samples; ++i)
    {
        sums[i] = simd::fma(choose.template from<Number>(x + i * x_step + start), value, sums[i]);
    }
}

/// Sums of the 16 rows of a slice for some samples, `x_step` apart and readable for two units
/// behind their ends; sums[i * 16 + row].
template <class Arch, index_t Samples, class Choice, class T>
void sliced_sums(
    const sliced_operand<T>& w, index_t slice, const T* x, index_t x_step, T* sums) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    const auto first = static_cast<index_t>(w.first_groups[slice]);
    const auto last = static_cast<index_t>(w.first_groups[slice + 1]);
    // Registers of one sample share the starts of windows, those of several run one after the
    // other.
    constexpr index_t passes = Samples == 1 ? 1 : slice_rows / lanes;
    constexpr index_t parts = slice_rows / lanes / passes;
    for (index_t pass = 0; pass < passes; ++pass)
    {
        vector even[parts][Samples];
        vector odd[parts][Samples];
        STRUCTOPT_UNROLL
        for (index_t p = 0; p < parts; ++p)
        {
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Samples; ++i)
            {
                even[p][i] = odd[p][i] = vector(T(0));
            }
        }
        index_t start = 0;
        for (index_t g = first; g < last; ++g)
        {
            const T* const value = w.values + g * (sliced_group * slice_rows);
            const std::uint32_t* const words = w.places + g * slice_rows;
            std::uint64_t advances = w.advances[g];
            simd::prefetch_near(words + sliced_ahead * slice_rows);
            STRUCTOPT_UNROLL
            for (index_t s = 0; s < sliced_group; ++s)
            {
                simd::prefetch_near(value + (sliced_ahead * sliced_group + s) * slice_rows);
            }
            index_t starts[sliced_group];
            STRUCTOPT_UNROLL
            for (index_t s = 0; s < sliced_group; ++s)
            {
                start += static_cast<index_t>(advances & 0xffu) * w.unit;
                advances >>= 8;
                starts[s] = start;
            }
            STRUCTOPT_UNROLL
            for (index_t p = 0; p < parts; ++p)
            {
                const index_t l = (pass * parts + p) * lanes;
                const Choice choose(words + l);
                const T* const own = value + l;
                sliced_step<0, Arch>(choose, own, x, x_step, starts[0], even[p]);
                sliced_step<1, Arch>(choose, own, x, x_step, starts[1], odd[p]);
                sliced_step<2, Arch>(choose, own, x, x_step, starts[2], even[p]);
                sliced_step<3, Arch>(choose, own, x, x_step, starts[3], odd[p]);
                sliced_step<4, Arch>(choose, own, x, x_step, starts[4], even[p]);
                sliced_step<5, Arch>(choose, own, x, x_step, starts[5], odd[p]);
            }
        }
        STRUCTOPT_UNROLL
        for (index_t p = 0; p < parts; ++p)
        {
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Samples; ++i)
            {
                simd::store(
                    sums + i * slice_rows + (pass * parts + p) * lanes, even[p][i] + odd[p][i]);
            }
        }
    }
}

template <class Arch, index_t Samples, class T>
void sliced_run(
    const sliced_operand<T>& w, index_t slice, const T* x, index_t x_step, T* sums) noexcept
{
    if constexpr (simd::lookup_length < T, Arch >> 0)
    {
        if (2 * w.unit <= simd::lookup_length<T, Arch>)
        {
            sliced_sums<Arch, Samples, simd::lookup<T, Arch>>(w, slice, x, x_step, sums);
            return;
        }
    }
    sliced_sums<Arch, Samples, sliced_plain_choice<Arch, T>>(w, slice, x, x_step, sums);
}

/// y[r * y_step] = act(sums + bias) for the rows r of a slice.
template <class Arch, class T>
void sliced_store(const sliced_operand<T>& w, index_t slice, T* sums, T* y, index_t y_step,
    const spmm_finish<T>& finish) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const bool cut = finish.act == activation::relu;
    const index_t row = slice * slice_rows;
    const index_t left = w.rows - row < slice_rows ? w.rows - row : slice_rows;
    if (w.order == nullptr && y_step == 1 && left == slice_rows)
    {
        STRUCTOPT_UNROLL
        for (index_t l = 0; l < slice_rows; l += lanes)
        {
            simd::batch<T, Arch> z = simd::load<Arch>(sums + l);
            if (finish.bias != nullptr)
            {
                z = z + simd::load<Arch>(finish.bias + row + l);
            }
            simd::store(y + row + l, cut ? simd::relu(z) : z);
        }
        return;
    }
    for (index_t i = 0; i < left; ++i)
    {
        const index_t r = w.order == nullptr ? row + i : static_cast<index_t>(w.order[row + i]);
        T z = sums[i];
        if (finish.bias != nullptr)
        {
            z += finish.bias[r];
        }
        y[r * y_step] = cut && z < T(0) ? T(0) : z;
    }
}

/// Elements from one sample to the next in scratch.
constexpr index_t sliced_sample(index_t columns) noexcept
{
    return (columns + 15) / 16 * 16 + 64;
}

/// `Samples` samples.
template <class Arch, index_t Samples, class T>
void sliced_part(const sliced_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, T* scratch) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const index_t step = sliced_sample(w.columns);
    for (index_t b = 0; b < Samples; ++b)
    {
        const T* const from = x.data + b * x.row_stride;
        T* const to = scratch + b * step;
        index_t c = 0;
        if (x.col_stride == 1)
        {
            for (; c + lanes <= w.columns; c += lanes)
            {
                simd::store(to + c, simd::load<Arch>(from + c));
            }
        }
        for (; c < w.columns; ++c)
        {
            to[c] = from[c * x.col_stride];
        }
        // What the last windows see behind the end has no place in any step.
        for (; c < step; ++c)
        {
            to[c] = T(0);
        }
    }
    const index_t slices = w.slices();
    const double work =
        static_cast<double>(w.first_groups[slices]) * (sliced_group * slice_rows * Samples);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : parts;
    const index_t grain = (slices + pieces - 1) / pieces;
    parallel_for(slices, grain > 0 ? grain : 1,
        [&](index_t first, index_t last)
        {
            for (index_t s = first; s < last; ++s)
            {
                alignas(64) T sums[static_cast<std::size_t>(Samples * slice_rows)];
                sliced_run<Arch, Samples>(w, s, scratch, step, sums);
                for (index_t b = 0; b < Samples; ++b)
                {
                    sliced_store<Arch>(w, s, sums + b * slice_rows, y.data + b * y.row_stride,
                        y.col_stride, finish);
                }
            }
        });
}

} // namespace detail

template <class T>
std::size_t spmm_sliced_scratch_bytes(index_t batch, const sliced_operand<T>& w) noexcept
{
    const index_t samples = batch < sliced_samples ? batch : sliced_samples;
    return static_cast<std::size_t>(samples * detail::sliced_sample(w.columns)) * sizeof(T) +
           alignment;
}

template <class Arch, class T>
void spmm_sliced(index_t batch, const sliced_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept
{
    T* const aligned = detail::spmm_aligned<T>(scratch);
    index_t count = 0;
    for (index_t b = 0; b < batch; b += count)
    {
        const index_t left = batch - b;
        count = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        (count == 8      ? &detail::sliced_part<Arch, 8, T>
            : count == 4 ? &detail::sliced_part<Arch, 4, T>
            : count == 2 ? &detail::sliced_part<Arch, 2, T>
                         : &detail::sliced_part<Arch, 1, T>)(w,
            {x.data + b * x.row_stride, x.row_stride, x.col_stride},
            {y.data + b * y.row_stride, y.row_stride, y.col_stride}, finish, aligned);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_SLICED(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
