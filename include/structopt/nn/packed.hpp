/// @file
/// Dense weights laid out in panels for the kernels of this machine.
#pragma once

#include <structopt/kernel/convolution_packed.hpp>
#include <structopt/nn/convolve.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// A dense matrix [rows, columns] packed once for `kernel::gemm_packed`. Rows are padded with
/// zeros to the panel.
///
/// W is the format the elements are kept in: T itself, or bfloat16 for float. The latter rounds each
/// weight to 8 bits of mantissa (an error of at most 2^-8 of it), takes half the bytes, and is up to
/// twice as fast where reading the weights is what takes the time: one sample at a time.
template <std::floating_point T, class W = T>
    requires(std::same_as<T, W> || (std::same_as<T, float> && std::same_as<W, bfloat16>))
class packed_matrix
{
public:
    using value_type = T;

    packed_matrix() = default;

    /// Of any strides.
    explicit packed_matrix(view<const T, 2> w)
        : m_rows(w.shape(0))
        , m_columns(w.shape(1))
        , m_panels(static_cast<std::size_t>(kernel::packed_size<T>(m_rows, m_columns)))
    {
        if (w.stride(1) == 1 || m_columns <= 1)
        {
            kernel::pack_b<T>(m_rows, m_columns, w.data(), w.stride(0), m_panels.data());
        }
        else
        {
            const auto rows = structopt::copy(w);
            kernel::pack_b<T>(m_rows, m_columns, rows.data(), m_columns, m_panels.data());
        }
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Elements of the matrix, without padding.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    const W* panels() const noexcept
    {
        return m_panels.data();
    }

    /// Bytes in memory, padding included.
    std::size_t bytes() const noexcept
    {
        return m_panels.size() * sizeof(W);
    }

    tensor<T, 2> to_dense() const
    {
        auto w = make_tensor<T>(shape<2>{m_rows, m_columns});
        kernel::unpack_b<T>(m_rows, m_columns, m_panels.data(), w.data(), m_columns);
        return w;
    }

private:
    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<W> m_panels;
};

namespace detail
{

/// Marks a format as one that rounds.
template <bool Rounds>
struct rounding
{
};

template <>
struct rounding<true>
{
    static constexpr bool quantized = true;
};

} // namespace detail

template <std::floating_point T, class W>
struct storage_traits<packed_matrix<T, W>> : detail::rounding<!std::same_as<T, W>>
{
    using storage = packed_matrix<T, W>;
    using value_type = T;

    static constexpr std::string_view name() noexcept
    {
        return std::same_as<T, W> ? "packed" : "bfloat16";
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

    static storage pack(view<const T, 2> w)
    {
        return storage(w);
    }

    static tensor<T, 2> unpack(const storage& s)
    {
        return s.to_dense();
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        const std::size_t product =
            kernel::gemm_packed_scratch_bytes<T>(batch, s.rows(), s.columns());
        return scratch_size<T>(batch * s.rows()) + product;
    }

    /// Writes through scratch when y is feature-major: the kernel's rows are contiguous.
    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        const index_t batch = x.shape(0);
        const kernel::epilogue<T> finish{.bias = bias};
        const kernel::matrix_operand<T> from{x.data(), x.stride(0), x.stride(1)};
        if (y.stride(1) == 1 || s.rows() == 1)
        {
            kernel::gemm_packed<T>(batch, s.rows(), s.columns(), from, s.panels(), y.data(),
                y.stride(0), finish, space.data());
            return;
        }
        T* const rows = space.template take<T>(batch * s.rows());
        kernel::gemm_packed<T>(
            batch, s.rows(), s.columns(), from, s.panels(), rows, s.rows(), finish, space.data());
        for (index_t r = 0; r < s.rows(); ++r)
        {
            for (index_t b = 0; b < batch; ++b)
            {
                y.data()[b * y.stride(0) + r * y.stride(1)] = rows[b * s.rows() + r];
            }
        }
    }

    static constexpr bool takes_groups = std::same_as<T, W>;

    static std::size_t convolve_bytes(const storage& s, const kernel::window& w,
        index_t groups) noexcept requires std::same_as<T, W>
    {
        return groups > 1 || kernel::worth_turning<T>(w, s.rows())
                   ? kernel::convolution_packed_bytes<T>(w, s.rows() / groups, groups)
                   : detail::convolve_by_products_bytes(s, w);
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t groups,
        const T* x, const T* bias, T* y, scratch space) noexcept requires std::same_as<T, W>
    {
        if (groups <= 1 && !kernel::worth_turning<T>(w, s.rows()))
        {
            detail::convolve_by_products(s, images, w, x, bias, y, space);
            return;
        }
        const index_t image = groups * w.channels * w.height * w.width;
        for (index_t i = 0; i < images; ++i)
        {
            kernel::convolution_packed<T>(w, s.rows() / groups, groups, x + i * image, s.panels(),
                bias, y + i * s.rows() * w.columns(), space.data());
        }
    }

    /// Files hold the matrix, row by row, and not its panels.
    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const tensor<T, 2> w = s.to_dense();
        buffer<W> values(w.size());
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            values[i] = W(w.data()[i]);
        }
        sink.put("values", std::span<const W>(values));
    }

    template <class Source>
    static storage load(Source& source)
    {
        const auto values = source.template get<W>("values");
        const shape<2> extents{source.rows(), source.columns()};
        const auto there = static_cast<index_t>(values.size());
        const bool fits = extents[1] == 0
                              ? there == 0
                              : there % extents[1] == 0 && there / extents[1] == extents[0];
        if (!fits)
        {
            structopt::detail::raise<format_error>(
                source.where(), "as many values as " + describe(extents), std::to_string(there));
        }
        auto w = make_tensor<T>(extents);
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            w.data()[i] = static_cast<T>(values[i]);
        }
        return storage(as_view(std::as_const(w)));
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
