/// @file
/// Measures a plan's table on the machine that the program runs on.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/plan/planned_weight.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <ctime>
#include <limits>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// How long to measure.
struct measure_plan_options
{
    /// Times each product is timed, of which the median is taken; formats take turns.
    int rounds = 5;
    /// Seconds of one such time, over as many products as fit; one at least.
    double seconds = 3e-4;
    /// Larger matrices are not measured, and count as not known.
    index_t most_elements = std::numeric_limits<index_t>::max();
    /// What the table says of where it was measured; by default the instruction set's name.
    std::string target = {};

    friend bool operator==(const measure_plan_options&, const measure_plan_options&) = default;
};

/// Times the products by all formats on the whole grid, for the instruction set that kernels run on:
/// about two minutes and 1 GB for float, less with smaller `most_elements`.
///
/// One thread is timed by the program's processor time, so that other programs matter little; with several threads
/// (OpenMP) the time is that of a clock on the wall. Pin the thread to a core for steady numbers.
/// Throws `argument_error` for options out of range.
template <std::floating_point T = float>
plan_table measure_plan(const measure_plan_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Seconds of the clock that measures a plan.
inline double plan_seconds() noexcept
{
    if (thread_count() > 1)
    {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration<double>(now).count();
    }
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// Random zeros that a format is measured with, of the given density.
template <class T>
tensor<T, 2> plan_matrix_for(
    weight_format format, index_t rows, index_t columns, double density, random_engine& rng)
{
    auto w = structopt::zeros<T>(shape<2>{rows, columns});
    const bool of_four = format == weight_format::nm2x4 || format == weight_format::nm1x4;
    const bool of_eight = format == weight_format::nm4x8;
    const index_t run = format == weight_format::vectors ? 16 : 1;
    const index_t group = of_four ? 4 : of_eight ? 8 : 1;
    const index_t most = format == weight_format::nm2x4 ? 2 : of_eight ? 4 : 1;
    for (index_t r = 0; r < rows; r += run)
    {
        for (index_t c = 0; c < columns; c += group)
        {
            index_t left = most;
            for (index_t i = c; i < std::min(c + group, columns); ++i)
            {
                const double chance =
                    group == 1 ? density
                               : static_cast<double>(left) / static_cast<double>(group - (i - c));
                if (uniform<double>(rng) < chance)
                {
                    --left;
                    for (index_t s = r; s < std::min(r + run, rows); ++s)
                    {
                        w.data()[s * columns + i] = T(0.5);
                    }
                }
            }
        }
    }
    return w;
}

/// One product to be timed.
template <class T>
class timed_product
{
public:
    /// `window` is the side of a convolution's window; its image is as square as it can be.
    timed_product(planned_weight<T> weight, layer_kind kind, index_t batch, index_t window = 3)
        : m_weight(std::move(weight))
        , m_kind(kind)
        , m_batch(batch)
    {
        const index_t rows = traits::rows(m_weight);
        const index_t columns = traits::columns(m_weight);
        if (kind == layer_kind::convolution)
        {
            m_window.kernel_h = m_window.kernel_w = window;
            m_window.pad_top = m_window.pad_left = window / 2;
            m_window.channels = columns / (window * window);
            index_t side = 1;
            while ((side + 1) * (side + 1) <= batch)
            {
                ++side;
            }
            m_window.height = m_window.out_h = side;
            m_window.width = m_window.out_w = batch / side;
        }
        m_x.assign(static_cast<std::size_t>(batch * columns), T(0.25));
        m_y.assign(static_cast<std::size_t>(batch * rows), T(0));
        m_scratch.resize(kind == layer_kind::dense ? traits::scratch_bytes(m_weight, batch)
                                                   : convolve_bytes(m_weight, m_window, 1));
    }

    void run() noexcept
    {
        const scratch space(m_scratch.data(), m_scratch.size());
        if (m_kind == layer_kind::convolution)
        {
            convolve(m_weight, 1, m_window, 1, m_x.data(), nullptr, m_y.data(), space);
            return;
        }
        const index_t rows = traits::rows(m_weight);
        traits::product(m_weight, {m_x.data(), shape<2>{m_batch, traits::columns(m_weight)}},
            nullptr, {m_y.data(), shape<2>{m_batch, rows}}, space);
    }

    /// Seconds of one product, over as many as take `least` seconds together.
    double seconds(double least) noexcept
    {
        for (;;)
        {
            if (m_products < 8)
            {
                // The others had their turns: caches are warm where they can be.
                run();
            }
            const double start = plan_seconds();
            for (index_t i = 0; i < m_products; ++i)
            {
                run();
            }
            const double taken = plan_seconds() - start;
            if ((taken > 0 && taken >= least) || m_products >= (index_t{1} << 30))
            {
                return taken / static_cast<double>(m_products);
            }
            m_products = taken < least / 16 ? m_products * 8 : m_products * 2;
        }
    }

private:
    using traits = storage_traits<planned_weight<T>>;

    planned_weight<T> m_weight;
    layer_kind m_kind;
    index_t m_batch;
    kernel::window m_window = {};
    buffer<T> m_x;
    buffer<T> m_y;
    buffer<std::byte> m_scratch;
    index_t m_products = 1;
};

inline double median(std::vector<double> values)
{
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Median seconds of a product, and the median of its time by the first product's of the same round:
/// other work on the machine comes and goes, and slows both.
struct product_time
{
    double seconds = 0;
    double by_first = 0;
};

/// Times products, which take turns.
template <class T>
std::vector<product_time> time_products(
    std::vector<timed_product<T>>& products, const measure_plan_options& options)
{
    std::vector<std::vector<double>> times(products.size());
    for (timed_product<T>& product : products)
    {
        product.run();
        product.seconds(options.seconds);
    }
    std::vector<std::vector<double>> by_first(products.size());
    for (int round = 0; round < options.rounds; ++round)
    {
        for (std::size_t i = 0; i < products.size(); ++i)
        {
            times[i].push_back(products[i].seconds(options.seconds));
            by_first[i].push_back(times[i].back() / times[0].back());
        }
    }
    std::vector<product_time> medians;
    for (std::size_t i = 0; i < products.size(); ++i)
    {
        medians.push_back({median(std::move(times[i])), median(std::move(by_first[i]))});
    }
    return medians;
}

/// Measures all batches of one matrix size at one density: formats with a density, or N:M.
template <class T>
void measure_size(plan_table& table, layer_kind kind, std::size_t size, std::size_t density,
    const std::vector<weight_format>& formats, const measure_plan_options& options)
{
    const plan_grid grid = plan_grid_of(kind);
    const index_t rows = grid.rows[size];
    const index_t columns = grid.columns[size];
    random_engine rng(size * 100 + density);
    std::vector<planned_weight<T>> weights;
    for (const weight_format format : formats)
    {
        const auto w = plan_matrix_for<T>(format, rows, columns, plan_densities[density], rng);
        const view<const T, 2> canonical(w.data(), shape<2>{rows, columns});
        weights.push_back(nn::pack_as(format, canonical));
        const auto keep = [&](index_t slots)
        {
            const auto nonzeros = std::max<index_t>(pattern_of(canonical).nonzeros, 1);
            table.of(kind).slots[plan_table::slot_place(kind, format, size, density)] =
                static_cast<std::uint16_t>(std::min<index_t>(1000 * slots / nonzeros, 65535));
        };
        if (const auto* const sliced = weights.back().template get_if<sparse::sliced<T>>())
        {
            keep(sliced->slots());
        }
        if (const auto* const tiled = weights.back().template get_if<sparse::tiled<T>>())
        {
            keep(tiled->slots());
        }
    }
    for (std::size_t batch = 0; batch < grid.batches.size(); ++batch)
    {
        std::vector<timed_product<T>> products;
        for (const planned_weight<T>& weight : weights)
        {
            products.emplace_back(weight, kind, grid.batches[batch]);
        }
        const std::vector<product_time> times = time_products(products, options);
        for (std::size_t i = 0; i < formats.size(); ++i)
        {
            if (is_dense(formats[i]))
            {
                const double each = 1e15 * times[i].seconds /
                                    (static_cast<double>(rows) * static_cast<double>(columns) *
                                        static_cast<double>(grid.batches[batch]));
                table.of(kind).dense[size * grid.batches.size() + batch] =
                    static_cast<std::uint32_t>(std::clamp(each, 1.0, 4e9));
                continue;
            }
            const double ratio = 1000 * times[i].by_first;
            table.of(kind).ratios[plan_table::ratio_place(kind, formats[i], size, batch, density)] =
                static_cast<std::uint16_t>(std::lround(std::clamp(ratio, 1.0, 65535.0)));
        }
    }
}

} // namespace detail

template <std::floating_point T>
plan_table measure_plan(const measure_plan_options& options)
{
    if (options.rounds < 1 || !(options.seconds >= 0 && options.seconds <= 60))
    {
        structopt::detail::raise<argument_error>("measure_plan",
            "at least 1 round and 0 to 60 seconds",
            std::to_string(options.rounds) + ", " + detail::short_number(options.seconds));
    }
    plan_table table(
        options.target.empty() ? std::string(name_of(current_instruction_set())) : options.target,
        sizeof(T));
    for (const layer_kind kind : {layer_kind::dense, layer_kind::convolution})
    {
        const plan_grid grid = plan_grid_of(kind);
        for (std::size_t size = 0; size < grid.sizes(); ++size)
        {
            if (grid.rows[size] * grid.columns[size] > options.most_elements)
            {
                continue;
            }
            // The dense product first: it is what the others are compared with, each time anew.
            for (std::size_t density = 0; density < plan_densities.size(); ++density)
            {
                detail::measure_size<T>(table, kind, size, density,
                    {fastest_dense, weight_format::sliced, weight_format::tiled,
                        weight_format::csr16, weight_format::bitmask, weight_format::vectors},
                    options);
            }
            detail::measure_size<T>(table, kind, size, 0,
                {fastest_dense, weight_format::nm2x4, weight_format::nm1x4, weight_format::nm4x8},
                options);
        }
    }
    return table;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
