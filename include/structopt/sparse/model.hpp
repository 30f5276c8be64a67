/// @file
/// Sparse formats as weight storage of layers: `dense<sparse::csr<float>>`.
#pragma once

#include <structopt/kernel/csr_transposed.hpp>
#include <structopt/kernel/sddmm_csr.hpp>
#include <structopt/kernel/spmm_csr.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/sparse/csr.hpp>
#include <structopt/sparse/packed_model.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Compressed sparse rows as the weight of a layer, deployed or trained.
///
/// Training changes the stored values and never their positions: the gradient is formed at the
/// stored positions alone, and no dense matrix appears.
template <std::floating_point T, class Index>
struct storage_traits<sparse::csr<T, Index>>
{
    using storage = sparse::csr<T, Index>;
    using value_type = T;

    static constexpr std::string_view name() noexcept
    {
        return sizeof(Index) == 1 ? "csr8" : sizeof(Index) == 2 ? "csr16" : "csr";
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
        return s.nonzeros();
    }

    static std::size_t bytes(const storage& s) noexcept
    {
        return s.bytes();
    }

    /// Whether the columns of w can be numbered by `Index`.
    static bool fits(view<const T, 2> w) noexcept
    {
        return storage::fits(w.shape(1));
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
        return kernel::spmm_csr_scratch_bytes<T>(batch, s.columns());
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        kernel::spmm_csr(x.shape(0), s.rows(), s.columns(), s.values().data(), s.indices().data(),
            s.offsets().data(), x.data(), x.stride(0), x.stride(1), bias, y.data(), y.stride(0),
            y.stride(1), space.data());
    }

    /// Scratch of both passes: activations and gradients turned over, nothing of W's extents.
    static std::size_t training_scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return std::max({scratch_bytes(s, batch),
            kernel::csr_transposed_scratch_bytes<T>(batch, s.rows(), s.columns()),
            kernel::sddmm_csr_scratch_bytes<T>(batch, s.rows(), s.columns())});
    }

    static void product_transposed(
        const storage& s, view<const T, 2> dy, view<T, 2> dx, scratch space) noexcept
    {
        kernel::csr_transposed(dy.shape(0), s.rows(), s.columns(), s.values().data(),
            s.indices().data(), s.offsets().data(), dy.data(), dy.stride(0), dy.stride(1),
            dx.data(), dx.stride(0), dx.stride(1), space.data());
    }

    static void accumulate_gradient(
        storage& gradient, view<const T, 2> dy, view<const T, 2> x, scratch space) noexcept
    {
        kernel::sddmm_csr(dy.shape(0), gradient.rows(), gradient.columns(),
            gradient.values().data(), gradient.indices().data(), gradient.offsets().data(),
            dy.data(), dy.stride(0), dy.stride(1), x.data(), x.stride(0), x.stride(1),
            space.data());
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
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
