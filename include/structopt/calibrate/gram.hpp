/// @file
/// X^T X of what a layer sees, streamed: the second-order information of layer-wise pruning and
/// quantization.
#pragma once

#include <structopt/calibrate/check.hpp>
#include <structopt/calibrate/layer_rows.hpp>
#include <structopt/calibrate/tap.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/gemm.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace calibrate
{

/// X^T X of rows x that come one block after the other.
///
/// 256 rows at a time are multiplied in T, tile by tile of the lower triangle, and added in double;
/// which rows these are follows from their number alone, so the result has the same bits however the
/// rows are divided into batches, for every number of threads. Relative error at most about
/// 256 epsilon(T), in the mean sqrt(256) epsilon(T). Memory: n^2 doubles, 256 rows and one tile,
/// whatever the number of rows. Cost: n^2 / 2 multiply-adds per row.
template <std::floating_point T>
class gram
{
public:
    using value_type = T;

    explicit gram(index_t columns)
        : m_sums(structopt::zeros<double>(shape<2>{columns, columns}))
    {
        if (columns < 1)
        {
            structopt::detail::raise<argument_error>(
                "calibrate::gram", "at least one column", std::to_string(columns));
        }
    }

    index_t columns() const noexcept
    {
        return static_cast<index_t>(m_sums.shape()[0]);
    }

    /// Number of rows added.
    index_t rows() const noexcept
    {
        return m_rows;
    }

    /// Takes in rows [n, columns] of any strides.
    ///
    /// Throws `shape_error` for another number of columns, `argument_error` for a number that is NaN
    /// or infinite; nothing is added then.
    void add(view<const T, 2> x)
    {
        check_shape("calibrate::gram", shape<2>{-1, columns()}, x.shape());
        for (index_t i = 0; i < x.shape(0); ++i)
        {
            for (index_t j = 0; j < x.shape(1); ++j)
            {
                if (!structopt::detail::is_finite(x(i, j)))
                {
                    structopt::detail::raise<argument_error>("calibrate::gram", "finite numbers",
                        "NaN or infinity in row " + std::to_string(i) + ", column " +
                            std::to_string(j));
                }
            }
        }
        reserve();
        add_checked(x);
    }

    void add(const tensor<T, 2>& x)
    {
        add(as_view(x));
    }

    /// The mean of x^T x over the rows, [columns, columns], symmetric. Throws `argument_error` before
    /// the first row.
    tensor<double, 2> matrix() const
    {
        detail::check_some("calibrate::gram", m_rows);
        tensor<double, 2> result = m_sums;
        const index_t n = columns();
        if (m_waiting > 0)
        {
            workspace room;
            room.reserve();
            add_product(m_block.data(), m_waiting, room, result);
        }
        const double share = 1.0 / static_cast<double>(m_rows);
        for (index_t i = 0; i < n; ++i)
        {
            for (index_t j = 0; j <= i; ++j)
            {
                result.data()[i * n + j] *= share;
                result.data()[j * n + i] = result.data()[i * n + j];
            }
        }
        return result;
    }

    /// Room for the rows that wait; called by `add`, and before `add_checked`.
    void reserve()
    {
        m_block.resize(static_cast<std::size_t>(block_rows * columns()));
        m_room.reserve();
    }

    /// `add` of finite rows of the right number of columns after `reserve`.
    void add_checked(view<const T, 2> x) noexcept
    {
        const index_t n = columns();
        index_t row = 0;
        while (row < x.shape(0))
        {
            if (m_waiting == 0 && x.shape(0) - row >= block_rows && x.contiguous())
            {
                add_product(x.data() + row * n, block_rows, m_room, m_sums);
                row += block_rows;
                continue;
            }
            const index_t take = std::min(block_rows - m_waiting, x.shape(0) - row);
            copy_rows(x.slice(row, row + take), m_block.data() + m_waiting * n);
            row += take;
            m_waiting += take;
            if (m_waiting == block_rows)
            {
                add_product(m_block.data(), block_rows, m_room, m_sums);
                m_waiting = 0;
            }
        }
        m_rows += x.shape(0);
    }

private:
    static constexpr index_t block_rows = 256;
    static constexpr index_t tile = 256;

    struct workspace
    {
        buffer<T> tile;
        buffer<std::byte> bytes;

        void reserve()
        {
            tile.resize(static_cast<std::size_t>(gram::tile * gram::tile));
            bytes.resize(kernel::gemm_scratch_bytes<T>(gram::tile, gram::tile, block_rows));
        }

        std::byte* scratch(index_t height, index_t width, index_t rows)
        {
            bytes.resize(
                std::max(bytes.size(), kernel::gemm_scratch_bytes<T>(height, width, rows)));
            return bytes.data();
        }
    };

    static void copy_rows(view<const T, 2> from, T* to) noexcept
    {
        const index_t n = from.shape(1);
        if (from.contiguous())
        {
            std::copy_n(from.data(), from.size(), to);
            return;
        }
        // Patches lie transposed: squares that stay in the first cache level.
        constexpr index_t square = 16;
        for (index_t i0 = 0; i0 < from.shape(0); i0 += square)
        {
            const index_t i1 = std::min(i0 + square, from.shape(0));
            for (index_t j = 0; j < n; ++j)
            {
                const T* const column = from.data() + j * from.stride(1);
                for (index_t i = i0; i < i1; ++i)
                {
                    to[i * n + j] = column[i * from.stride(0)];
                }
            }
        }
    }

    /// Adds the lower triangle of x^T x.
    static void add_product(
        const T* x, index_t rows, workspace& room, tensor<double, 2>& sums) noexcept
    {
        const index_t n = static_cast<index_t>(sums.shape()[0]);
        for (index_t i = 0; i < n; i += tile)
        {
            const index_t height = std::min(tile, n - i);
            for (index_t j = 0; j <= i; j += tile)
            {
                const index_t width = std::min(tile, n - j);
                kernel::gemm<T>(height, width, rows, {x + i, 1, n}, {x + j, n, 1}, room.tile.data(),
                    tile, {}, room.scratch(height, width, rows));
                for (index_t a = 0; a < height; ++a)
                {
                    double* const to = sums.data() + (i + a) * n + j;
                    const T* const from = room.tile.data() + a * tile;
                    const index_t end = j == i ? a + 1 : width;
                    for (index_t b = 0; b < end; ++b)
                    {
                        to[b] += static_cast<double>(from[b]);
                    }
                }
            }
        }
    }

    tensor<double, 2> m_sums;
    buffer<T> m_block; ///< rows that wait for a full block
    workspace m_room;
    index_t m_waiting = 0;
    index_t m_rows = 0;
};

/// X^T X of one layer: of each group of a convolution its own.
template <std::floating_point T>
struct layer_gram
{
    index_t layer = 0; ///< position in `leaf_layers`
    layer_place place;
    std::vector<gram<T>> groups;
};

/// X^T X of the weighted layers of a network, batch by batch: of all of them, or of one.
///
///     calibrate::grams<float> seen;
///     seen.add(net, x);                        // as often as there are batches
///     const auto h = seen.layers()[0].groups[0].matrix();
///
/// Memory: that of the layers' `gram`s and of one batch. With one layer, the layers behind it are not
/// run.
template <std::floating_point T>
class grams
{
public:
    /// Of all weighted layers with rows (`layer_with_rows`).
    grams() = default;

    /// Of the layer at a position of `leaf_layers`.
    explicit grams(index_t layer)
        : m_only(layer)
    {
    }

    /// Runs a batch.
    ///
    /// Throws what `visit_activations` throws, and with the layer's name `argument_error` where its
    /// input is NaN or infinite, `shape_error` where its rows are not those of its weight: this batch
    /// may have been added to the layers before it.
    template <class Network, class X>
    void add(const Network& network, const X& x)
    {
        if (m_places.empty())
        {
            m_places = calibrate::leaf_layers(network);
        }
        m_calls = 0;
        if (m_last_call == 0)
        {
            learn_order(network, x);
        }
        recorder record{this};
        calibrate::visit_activations(network, x, record);
    }

    /// The layers seen so far, in the order of `leaf_layers`.
    const std::vector<layer_gram<T>>& layers() const noexcept
    {
        return m_layers;
    }

private:
    struct recorder
    {
        grams* self;

        template <class L, std::size_t N, std::size_t M>
        void operator()(index_t index, const L& layer, view<const T, N> x, view<const T, M>) const
        {
            ++self->m_calls;
            if constexpr (layer_with_rows<L, T, N>)
            {
                if (!self->m_only || *self->m_only == index)
                {
                    self->take(index, layer, x);
                }
            }
        }

        /// Nothing behind the last run of the one layer is of interest.
        bool skips(index_t) const noexcept
        {
            return self->m_only && self->m_calls >= self->m_last_call;
        }
    };

    /// After how many layers of a pass the one layer has run for the last time: containers may run
    /// layers in any order, and twice.
    template <class Network, class X>
    void learn_order(const Network& network, const X& x)
    {
        index_t calls = 0;
        index_t last = 0;
        if (m_only)
        {
            calibrate::visit_activations(network, x,
                [&](index_t index, const auto&, auto, auto)
                {
                    ++calls;
                    last = index == *m_only ? calls : last;
                });
            m_last_call = last;
        }
    }

    template <class L, std::size_t N>
    void take(index_t index, const L& layer, view<const T, N> x)
    {
        layer_gram<T>& own = find(index, layer);
        for (index_t i = 0; i < x.size(); ++i)
        {
            if (!structopt::detail::is_finite(x.data()[i]))
            {
                structopt::detail::raise<argument_error>(
                    "calibrate::grams, input of layer " + own.place.name, "finite numbers",
                    "NaN or infinity at position " + std::to_string(i));
            }
        }
        for (gram<T>& g : own.groups)
        {
            g.reserve();
        }
        bool fits = true;
        calibrate::visit_rows(layer, x,
            [&](index_t group, view<const T, 2> rows)
            {
                const auto at = static_cast<std::size_t>(group);
                fits = fits && at < own.groups.size() && rows.shape(1) == own.groups[at].columns();
                if (fits)
                {
                    own.groups[at].add_checked(rows);
                }
            });
        if (!fits)
        {
            structopt::detail::raise<shape_error>(
                "calibrate::grams, input of layer " + own.place.name,
                "rows of " + std::to_string(own.groups[0].columns()) + " numbers for each of " +
                    std::to_string(own.groups.size()) + " groups",
                "others");
        }
    }

    template <class L>
    layer_gram<T>& find(index_t index, const L& layer)
    {
        using storage = std::remove_cvref_t<decltype(layer.weight)>;
        auto at = m_layers.begin();
        while (at != m_layers.end() && at->layer < index)
        {
            ++at;
        }
        if (at == m_layers.end() || at->layer != index)
        {
            layer_gram<T> fresh{index, m_places[static_cast<std::size_t>(index)], {}};
            for (index_t g = 0; g < calibrate::groups_of(layer); ++g)
            {
                fresh.groups.emplace_back(nn::storage_traits<storage>::columns(layer.weight));
            }
            at = m_layers.insert(at, std::move(fresh));
        }
        return *at;
    }

    std::optional<index_t> m_only;
    std::vector<layer_place> m_places;
    std::vector<layer_gram<T>> m_layers;
    index_t m_calls = 0;
    index_t m_last_call = 0;
};

} // namespace calibrate
STRUCTOPT_END_NAMESPACE
