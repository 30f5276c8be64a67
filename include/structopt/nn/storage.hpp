/// @file
/// Weight storage: the contract between a layer and the format its weights are kept in.
///
/// A weight is a matrix W of `rows` (outputs) x `columns` (inputs). A layer multiplies by it through
/// `storage_traits<S>` and never looks inside, so every layer works on dense, packed, sparse and
/// quantized weights alike. A format of one's own is a struct and a specialization:
///
/// | member of `storage_traits<S>` | meaning |
/// |---|---|
/// | `value_type` | element type of activations (`float`, `double`) |
/// | `name()` | for reports: "dense", "csr" |
/// | `rows(s)`, `columns(s)` | extents of W |
/// | `nonzeros(s)` | multiply-adds per input vector |
/// | `bytes(s)` | what the format occupies, indices and scales included |
/// | `pack(view W)`, `unpack(s)` | from and to the canonical row-major matrix |
/// | `scratch_bytes(s, batch)` | scratch of `product` for exactly so many rows of x; fewer may need more |
/// | `product(s, x, bias, y, scratch)` | y = x W^T + bias, `noexcept`, no allocation |
///
/// A format that rounds says so with `static constexpr bool quantized = true`: it is not converted
/// again without `nn::unpack`. One that cannot hold every matrix has `fits(view W)`.
///
/// x is [batch, columns] and y is [batch, rows]; both are strided views of which either stride may
/// be 1 (a dense layer passes rows, a convolution passes the transpose). `bias` holds one number
/// per row of W, or is null.
///
/// A format that trains has also
///
/// | `product_transposed(s, dy, dx, scratch)` | dx = dy W |
/// | `accumulate_gradient(g, dy, x, scratch)` | W-shaped g += dy^T x, at stored positions only |
/// | `training_scratch_bytes(s, batch)` | scratch of these two |
///
/// a format that convolves images by itself has what nn/convolve.hpp lists (others multiply patches),
/// and a format that is saved has
///
/// | `save(s, sink)` | `sink.put("values", std::span<const V>)` for each of its arrays |
/// | `load(source)` | the storage from `source.rows()`, `source.columns()` and `source.template get<V>("values")`, a `buffer<V>`; throws `format_error` |
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/depthwise.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/nn/scratch.hpp>

#include <algorithm>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// The contract's implementation for one format; see the table at the top of this file.
template <class S>
struct storage_traits;

/// A format that a deployed layer can multiply by.
template <class S>
concept weight_storage = requires(const S& s, index_t batch)
{
    typename storage_traits<S>::value_type;
    {
        storage_traits<S>::name()
        } -> std::convertible_to<std::string_view>;
    {
        storage_traits<S>::rows(s)
        } -> std::same_as<index_t>;
    {
        storage_traits<S>::columns(s)
        } -> std::same_as<index_t>;
    {
        storage_traits<S>::nonzeros(s)
        } -> std::same_as<index_t>;
    {
        storage_traits<S>::bytes(s)
        } -> std::same_as<std::size_t>;
    {
        storage_traits<S>::scratch_bytes(s, batch)
        } -> std::same_as<std::size_t>;
    {
        storage_traits<S>::unpack(s)
        } -> std::same_as<tensor<typename storage_traits<S>::value_type, 2>>;
}
&&requires(const S& s, view<const typename storage_traits<S>::value_type, 2> x,
    const typename storage_traits<S>::value_type* bias,
    view<typename storage_traits<S>::value_type, 2> y, scratch space)
{
    {
        storage_traits<S>::product(s, x, bias, y, space)
    }
    noexcept;
};

/// A format that can be built from a canonical matrix without further options.
template <class S>
concept packable_storage = weight_storage<S> &&
    requires(view<const typename storage_traits<S>::value_type, 2> w)
{
    {
        storage_traits<S>::pack(w)
        } -> std::same_as<S>;
};

/// A format that can be trained: it has gradients of its own shape.
template <class S>
concept trainable_storage = weight_storage<S> &&
    requires(const S& s, S& gradient, view<const typename storage_traits<S>::value_type, 2> dy,
        view<typename storage_traits<S>::value_type, 2> dx, scratch space, index_t batch)
{
    {
        storage_traits<S>::training_scratch_bytes(s, batch)
        } -> std::same_as<std::size_t>;
    {
        storage_traits<S>::product_transposed(s, dy, dx, space)
    }
    noexcept;
    {
        storage_traits<S>::accumulate_gradient(gradient, dy, dy, space)
    }
    noexcept;
};

/// Whether a network with such weights can be trained, as an answer for `every_weight`.
template <class S>
struct is_trainable : std::bool_constant<trainable_storage<S>>
{
};

/// Whether the weights are the numbers that were trained and not codes of them, as an answer for
/// `every_weight`.
template <class S>
struct is_exact : std::true_type
{
};

template <class S>
    requires requires
    {
        storage_traits<S>::quantized;
    }
struct is_exact<S> : std::bool_constant<!storage_traits<S>::quantized>
{
};

/// Dense weights of rank 2 (dense layers) or 4 (convolutions: [out, in, height, width], of which
/// all but the first axis are the columns). Trains.
template <std::floating_point T, std::size_t N>
    requires(N >= 2)
struct storage_traits<tensor<T, N>>
{
    using storage = tensor<T, N>;
    using value_type = T;

    static constexpr std::string_view name() noexcept
    {
        return "dense";
    }

    static index_t rows(const storage& s) noexcept
    {
        return static_cast<index_t>(s.shape()[0]);
    }

    static index_t columns(const storage& s) noexcept
    {
        return count(tail(shape_of(s)));
    }

    static index_t nonzeros(const storage& s) noexcept
    {
        return static_cast<index_t>(s.size());
    }

    static std::size_t bytes(const storage& s) noexcept
    {
        return s.size() * sizeof(T);
    }

    static storage pack(view<const T, N> w)
    {
        return structopt::copy(w);
    }

    static tensor<T, 2> unpack(const storage& s)
    {
        return structopt::copy(matrix(s));
    }

    /// The weight as a matrix [rows, columns].
    static view<const T, 2> matrix(const storage& s) noexcept
    {
        return {s.data(), shape<2>{rows(s), columns(s)}};
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return std::max(kernel::gemm_scratch_bytes<T>(batch, rows(s), columns(s)),
            kernel::gemm_scratch_bytes<T>(rows(s), batch, columns(s)));
    }

    static std::size_t training_scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return std::max(
            {scratch_bytes(s, batch), kernel::gemm_scratch_bytes<T>(batch, columns(s), rows(s)),
                kernel::gemm_scratch_bytes<T>(columns(s), batch, rows(s)),
                kernel::gemm_scratch_bytes<T>(rows(s), columns(s), batch)});
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        multiply(x, transposed(matrix(s)), y, bias, space);
    }

    static constexpr bool takes_groups = true;

    static std::size_t convolve_bytes(
        const storage& s, const kernel::window& w, index_t groups) noexcept
    {
        return depthwise(w, groups) ? 0
                                    : kernel::convolution_forward_bytes<T>(
                                          w, rows(s) / std::max<index_t>(groups, 1));
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t groups,
        const T* x, const T* bias, T* y, scratch space) noexcept
    {
        const index_t pixels = w.height * w.width;
        const index_t out = rows(s) / groups;
        for (index_t i = 0; i < images; ++i)
        {
            const T* const from = x + i * groups * w.channels * pixels;
            T* const to = y + i * rows(s) * w.columns();
            if (depthwise(w, groups))
            {
                for (index_t o = 0; o < rows(s); ++o)
                {
                    kernel::depthwise_forward(w, from + o / out * pixels, s.data() + o * w.rows(),
                        bias == nullptr ? T(0) : bias[o], to + o * w.columns());
                }
                continue;
            }
            for (index_t g = 0; g < groups; ++g)
            {
                kernel::convolution_forward(w, out, from + g * w.channels * pixels,
                    s.data() + g * out * w.rows(), bias == nullptr ? nullptr : bias + g * out,
                    to + g * out * w.columns(), space.data());
            }
        }
    }

    static void product_transposed(
        const storage& s, view<const T, 2> dy, view<T, 2> dx, scratch space) noexcept
    {
        multiply(dy, matrix(s), dx, nullptr, space);
    }

    static void accumulate_gradient(
        storage& gradient, view<const T, 2> dy, view<const T, 2> x, scratch space) noexcept
    {
        const kernel::epilogue<T> add{.accumulate = true};
        kernel::gemm<T>(rows(gradient), columns(gradient), dy.shape(0), operand(transposed(dy)),
            operand(x), gradient.data(), columns(gradient), add, space.data());
    }

    /// As one format among others (`any_weight`): a tensor by itself is saved under its own name.
    template <class Sink>
    static void save(const storage& s, Sink& sink)
    {
        sink.put("values", std::span<const T>(s.data(), s.size()));
    }

    template <class Source>
    static storage load(Source& source) requires(N == 2)
    {
        const auto values = source.template get<T>("values");
        const shape<2> extents{source.rows(), source.columns()};
        if (static_cast<index_t>(values.size()) != count(extents))
        {
            structopt::detail::raise<format_error>(source.where(),
                std::to_string(count(extents)) + " values", std::to_string(values.size()));
        }
        return structopt::copy(view<const T, 2>(values.data(), extents));
    }

private:
    static constexpr bool depthwise(const kernel::window& w, index_t groups) noexcept
    {
        return groups > 1 && w.channels == 1;
    }

    static constexpr view<const T, 2> transposed(view<const T, 2> a) noexcept
    {
        return {a.data(), shape<2>{a.shape(1), a.shape(0)}, shape<2>{a.stride(1), a.stride(0)}};
    }

    static constexpr kernel::matrix_operand<T> operand(view<const T, 2> a) noexcept
    {
        return {a.data(), a.stride(0), a.stride(1)};
    }

    /// c = a b + bias per column, for a result whose rows or whose columns are contiguous.
    static void multiply(
        view<const T, 2> a, view<const T, 2> b, view<T, 2> c, const T* bias, scratch space) noexcept
    {
        const index_t m = a.shape(0);
        const index_t n = b.shape(1);
        const index_t k = a.shape(1);
        if (c.stride(1) == 1 || n == 1)
        {
            const kernel::epilogue<T> finish{.bias = bias};
            kernel::gemm<T>(
                m, n, k, operand(a), operand(b), c.data(), c.stride(0), finish, space.data());
        }
        else
        {
            STRUCTOPT_ASSERT(c.stride(0) == 1 || m == 1);
            const kernel::epilogue<T> finish{.row_bias = bias};
            kernel::gemm<T>(n, m, k, operand(transposed(b)), operand(transposed(a)), c.data(),
                c.stride(1), finish, space.data());
        }
    }
};

/// Weights as a layer template is told them: an element type stands for dense storage of it.
template <class W, std::size_t Rank>
struct storage_of
{
    using type = W;
};

template <std::floating_point T, std::size_t Rank>
struct storage_of<T, Rank>
{
    using type = tensor<T, Rank>;
};

/// The other way round: the template argument of a layer with such a weight, so that dense weights
/// give `dense<float>` and never `dense<tensor<float, 2>>`.
template <class S, std::size_t Rank>
struct weight_argument
{
    using type = S;
};

template <class T, std::size_t Rank>
struct weight_argument<tensor<T, Rank>, Rank>
{
    using type = T;
};

namespace detail
{

inline void check_positions(const char* what, std::span<const index_t> indices, index_t extent)
{
    for (const index_t i : indices)
    {
        if (i < 0 || i >= extent)
        {
            structopt::detail::raise<argument_error>(
                what, "positions from 0 to " + std::to_string(extent - 1), std::to_string(i));
        }
    }
}

} // namespace detail

/// Rows of a matrix [rows, anything...] at the given positions, in that order. Throws
/// `argument_error` for a position that is none.
template <class T, std::size_t N>
tensor<T, N> take_rows(const tensor<T, N>& from, std::span<const index_t> indices)
{
    auto extents = shape_of(from);
    detail::check_positions("take_rows", indices, extents[0]);
    const index_t block = count(tail(extents));
    extents[0] = static_cast<index_t>(indices.size());
    auto to = make_tensor<T>(extents);
    for (std::size_t i = 0; i < indices.size(); ++i)
    {
        std::copy_n(
            from.data() + indices[i] * block, block, to.data() + static_cast<index_t>(i) * block);
    }
    return to;
}

/// Positions of the second axis, in the given order; errors as `take_rows`.
template <class T, std::size_t N>
    requires(N >= 2)
tensor<T, N> take_columns(const tensor<T, N>& from, std::span<const index_t> indices)
{
    auto extents = shape_of(from);
    const index_t rows = extents[0];
    const index_t columns = extents[1];
    detail::check_positions("take_columns", indices, columns);
    const index_t block = count(tail(tail(extents)));
    extents[1] = static_cast<index_t>(indices.size());
    auto to = make_tensor<T>(extents);
    T* out = to.data();
    for (index_t r = 0; r < rows; ++r)
    {
        for (const index_t c : indices)
        {
            out = std::copy_n(from.data() + (r * columns + c) * block, block, out);
        }
    }
    return to;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
