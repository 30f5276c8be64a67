/// @file
/// Matrices packed for the kernels of this machine as weights of deployed layers:
/// `dense<sparse::sliced<float>>` for single samples, `dense<sparse::tiled<float>>` for batches,
/// blocks, V x 1 vectors, N:M and bitmasks for both.
///
/// Files hold the matrix and not its packing: it is packed again when it is read.
#pragma once

#include <structopt/kernel/spmm_bitmask.hpp>
#include <structopt/kernel/spmm_bsr.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/sparse/bitmask.hpp>
#include <structopt/sparse/bsr.hpp>
#include <structopt/sparse/packed_nm.hpp>
#include <structopt/sparse/sliced.hpp>
#include <structopt/sparse/tiled.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// What the formats of this file have in common.
template <class S>
struct packed_traits
{
    using storage = S;
    using value_type = typename S::value_type;

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

    static storage pack(view<const value_type, 2> w)
    {
        return storage(w);
    }

    static tensor<value_type, 2> unpack(const storage& s)
    {
        return s.to_dense();
    }

protected:
    static kernel::matrix_operand<value_type> operand(view<const value_type, 2> x) noexcept
    {
        return {x.data(), x.stride(0), x.stride(1)};
    }

    static kernel::spmm_result<value_type> result(view<value_type, 2> y) noexcept
    {
        return {y.data(), y.stride(0), y.stride(1)};
    }
};

/// Saved as compressed rows.
template <class S>
struct packed_rows_traits : packed_traits<S>
{
    using typename packed_traits<S>::value_type;

    template <class Sink>
    static void save(const S& s, Sink& sink)
    {
        const auto rows = s.to_csr();
        sink.put("offsets", std::span<const std::uint32_t>(rows.offsets()));
        sink.put("indices", std::span<const std::uint32_t>(rows.indices()));
        sink.put("values", std::span<const value_type>(rows.values()));
    }

    template <class Source>
    static S load(Source& source)
    {
        auto offsets = source.template get<std::uint32_t>("offsets");
        auto indices = source.template get<std::uint32_t>("indices");
        auto values = source.template get<value_type>("values");
        // Packing takes a little for every piece of the matrix, also where it is empty: extents that
        // only a file claims must not become memory.
        const double pieces = (static_cast<double>(source.rows()) / 16 + 1) *
                              (static_cast<double>(source.columns()) / 32 + 1);
        if (pieces > 16'777'216.0 + 64.0 * static_cast<double>(values.size()))
        {
            structopt::detail::raise<format_error>("packed sparse weight",
                "extents that go with " + std::to_string(values.size()) + " non-zeros",
                describe(shape<2>{source.rows(), source.columns()}));
        }
        return S(sparse::csr<value_type>(source.rows(), source.columns(), std::move(offsets),
            std::move(indices), std::move(values)));
    }
};

/// `prefix`, a number, `between`, a number, at compile time.
template <std::size_t N>
constexpr std::array<char, N> numbered_name(
    std::string_view prefix, index_t first, std::string_view between, index_t second)
{
    std::array<char, N> text{};
    std::size_t at = 0;
    const auto put = [&](std::string_view part)
    {
        for (const char c : part)
        {
            text[at++] = c;
        }
    };
    const auto number = [&](index_t value)
    {
        index_t unit = 1;
        while (value / unit >= 10)
        {
            unit *= 10;
        }
        for (; unit > 0; unit /= 10)
        {
            text[at++] = static_cast<char>('0' + value / unit % 10);
        }
    };
    put(prefix);
    number(first);
    put(between);
    number(second);
    return text;
}

constexpr std::size_t digits(index_t value) noexcept
{
    std::size_t count = 1;
    for (; value >= 10; value /= 10)
    {
        ++count;
    }
    return count;
}

} // namespace detail

/// Tiles: unstructured zeros, batches.
template <std::floating_point T>
struct storage_traits<sparse::tiled<T>> : detail::packed_rows_traits<sparse::tiled<T>>
{
    static constexpr std::string_view name() noexcept
    {
        return "tiled";
    }

    static std::size_t scratch_bytes(const sparse::tiled<T>& s, index_t batch) noexcept
    {
        return kernel::spmm_tiled_scratch_bytes<T>(batch, s.operand());
    }

    static void product(const sparse::tiled<T>& s, view<const T, 2> x, const T* bias, view<T, 2> y,
        scratch space) noexcept
    {
        kernel::spmm_tiled(x.shape(0), s.operand(), storage_traits::operand(x),
            storage_traits::result(y), kernel::spmm_finish<T>{.bias = bias}, space.data());
    }
};

/// Slices: unstructured zeros, single samples.
template <std::floating_point T>
struct storage_traits<sparse::sliced<T>> : detail::packed_rows_traits<sparse::sliced<T>>
{
    static constexpr std::string_view name() noexcept
    {
        return "sliced";
    }

    static std::size_t scratch_bytes(const sparse::sliced<T>& s, index_t batch) noexcept
    {
        return kernel::spmm_sliced_scratch_bytes<T>(batch, s.operand());
    }

    static void product(const sparse::sliced<T>& s, view<const T, 2> x, const T* bias, view<T, 2> y,
        scratch space) noexcept
    {
        kernel::spmm_sliced(x.shape(0), s.operand(), storage_traits::operand(x),
            storage_traits::result(y), kernel::spmm_finish<T>{.bias = bias}, space.data());
    }
};

/// N:M, "nm2x4" for 2:4.
template <std::floating_point T, index_t N, index_t M>
struct storage_traits<sparse::packed_nm<T, N, M>>
    : detail::packed_traits<sparse::packed_nm<T, N, M>>
{
    using storage = sparse::packed_nm<T, N, M>;

    static constexpr std::string_view name() noexcept
    {
        return {text.data(), text.size()};
    }

    static bool fits(view<const T, 2> w) noexcept
    {
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            for (index_t g = 0; g < w.shape(1); g += M)
            {
                index_t count = 0;
                for (index_t c = g; c < w.shape(1) && c < g + M; ++c)
                {
                    count += structopt::detail::is_zero(w(r, c)) ? 0 : 1;
                }
                if (count > N)
                {
                    return false;
                }
            }
        }
        return true;
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return kernel::spmm_nm_scratch_bytes<N, M, T>(batch, s.rows(), s.columns());
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        kernel::spmm_nm<N, M>(x.shape(0), s.operand(), storage_traits::operand(x),
            storage_traits::result(y), kernel::spmm_finish<T>{.bias = bias}, space.data());
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        const auto plain = s.to_nm();
        sink.put("positions", std::span<const std::uint8_t>(plain.positions()));
        sink.put("values", std::span<const T>(plain.values()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto positions = source.template get<std::uint8_t>("positions");
        auto values = source.template get<T>("values");
        return storage(sparse::nm<T, N, M>(
            source.rows(), source.columns(), std::move(positions), std::move(values)));
    }

private:
    static constexpr auto text =
        detail::numbered_name<3 + detail::digits(N) + detail::digits(M)>("nm", N, "x", M);
};

/// Blocks and V x 1 vectors, "bsr16x1".
template <std::floating_point T, index_t R, index_t C, class Index>
struct storage_traits<sparse::bsr<T, R, C, Index>>
    : detail::packed_traits<sparse::bsr<T, R, C, Index>>
{
    using storage = sparse::bsr<T, R, C, Index>;

    static constexpr std::string_view name() noexcept
    {
        return {text.data(), text.size()};
    }

    static bool fits(view<const T, 2> w) noexcept
    {
        return storage::fits(w.shape(1));
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return kernel::spmm_bsr_scratch_bytes<R, C, T>(batch, s.rows(), s.columns());
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        const kernel::bsr_operand<T, Index> w{
            s.rows(), s.columns(), s.offsets().data(), s.indices().data(), s.values().data()};
        kernel::spmm_bsr<R, C>(x.shape(0), w, storage_traits::operand(x), storage_traits::result(y),
            kernel::spmm_finish<T>{.bias = bias}, space.data());
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        sink.put("offsets", std::span<const std::uint32_t>(s.offsets()));
        sink.put("indices", std::span<const Index>(s.indices()));
        sink.put("values", std::span<const T>(s.values()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto offsets = source.template get<std::uint32_t>("offsets");
        auto indices = source.template get<Index>("indices");
        auto values = source.template get<T>("values");
        return storage(source.rows(), source.columns(), std::move(offsets), std::move(indices),
            std::move(values));
    }

private:
    static constexpr auto text =
        detail::numbered_name<4 + detail::digits(R) + detail::digits(C)>("bsr", R, "x", C);
};

/// One bit per element: the smallest exact format at moderate densities.
template <std::floating_point T>
struct storage_traits<sparse::bitmask<T>> : detail::packed_traits<sparse::bitmask<T>>
{
    using storage = sparse::bitmask<T>;

    static constexpr std::string_view name() noexcept
    {
        return "bitmask";
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return kernel::spmm_bitmask_scratch_bytes<T>(batch, s.rows(), s.columns());
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        const kernel::bitmask_operand<T> w{
            s.rows(), s.columns(), s.words().data(), s.offsets().data(), s.values().data()};
        kernel::spmm_bitmask(x.shape(0), w, storage_traits::operand(x), storage_traits::result(y),
            kernel::spmm_finish<T>{.bias = bias}, space.data());
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        sink.put("words", std::span<const std::uint64_t>(s.words()));
        sink.put("offsets", std::span<const std::uint32_t>(s.offsets()));
        sink.put("values", std::span<const T>(s.values()));
    }

    template <class Source>
    static storage load(Source& source)
    {
        auto words = source.template get<std::uint64_t>("words");
        auto offsets = source.template get<std::uint32_t>("offsets");
        auto values = source.template get<T>("values");
        return storage(source.rows(), source.columns(), std::move(words), std::move(offsets),
            std::move(values));
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
