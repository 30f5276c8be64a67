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
/// two to three minutes and 1 GB for float, less with smaller `most_elements`.
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

/// What products of one use have in common: x, and room for y.
template <class T>
struct timed_operands
{
    /// Bytes of x and y that images may take together, beyond the second cache level; and
    /// multiply-adds of those that are timed at once.
    static constexpr index_t most_bytes = index_t{1} << 23;
    static constexpr index_t most_products = index_t{1} << 27;

    weight_use use;
    kernel::window window = {};
    index_t images = 1;  ///< that are there: those of the use, as far as they are allowed
    index_t at_once = 1; ///< of them, in one call
    buffer<T> x;
    buffer<T> y;

    /// An image is as square as it can be.
    timed_operands(index_t rows, index_t columns, const weight_use& for_use)
        : use(for_use)
    {
        const index_t batch = use.batch;
        index_t inputs = columns;
        if (use.kind != layer_kind::dense)
        {
            const index_t side = use.kind == layer_kind::convolution ? 3 : 1;
            window.kernel_h = window.kernel_w = side;
            window.pad_top = window.pad_left = side / 2;
            window.channels = columns / (side * side);
            inputs = window.channels;
            index_t height = 1;
            while ((height + 1) * (height + 1) <= batch)
            {
                ++height;
            }
            window.height = window.out_h = height;
            window.width = window.out_w = batch / height;
            const auto bytes = (inputs + rows) * batch * static_cast<index_t>(sizeof(T));
            images = std::clamp<index_t>(most_bytes / bytes, 1, use.images);
            at_once = std::clamp<index_t>(most_products / (rows * columns * batch), 1, images);
        }
        x.assign(static_cast<std::size_t>(images * batch * inputs), T(0.25));
        y.assign(static_cast<std::size_t>(images * batch * rows), T(0));
    }
};

/// One product to be timed; of a convolution of many images, some after the other, so that each comes
/// from where it would.
template <class T>
class timed_product
{
public:
    timed_product(planned_weight<T> weight, timed_operands<T>& operands)
        : m_weight(std::move(weight))
        , m_operands(&operands)
    {
        m_scratch.resize(operands.use.kind == layer_kind::dense
                             ? traits::scratch_bytes(m_weight, operands.use.batch)
                             : convolve_bytes(m_weight, operands.window, 1));
    }

    void run() noexcept
    {
        timed_operands<T>& o = *m_operands;
        const scratch space(m_scratch.data(), m_scratch.size());
        const index_t rows = traits::rows(m_weight);
        if (o.use.kind != layer_kind::dense)
        {
            m_image = m_image + o.at_once <= o.images ? m_image : 0;
            const index_t pixels = o.window.channels * o.window.height * o.window.width;
            convolve(m_weight, o.at_once, o.window, 1, o.x.data() + m_image * pixels, nullptr,
                o.y.data() + m_image * rows * o.window.columns(), space);
            m_image += o.at_once;
            return;
        }
        traits::product(m_weight, {o.x.data(), shape<2>{o.use.batch, traits::columns(m_weight)}},
            nullptr, {o.y.data(), shape<2>{o.use.batch, rows}}, space);
    }

    /// Seconds of one product (of all images of the use), over as many as take `least` seconds together.
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
                return taken / static_cast<double>(m_products) *
                       static_cast<double>(m_operands->use.images) /
                       static_cast<double>(m_operands->at_once);
            }
            m_products = taken < least / 16 ? m_products * 8 : m_products * 2;
        }
    }

private:
    using traits = storage_traits<planned_weight<T>>;

    planned_weight<T> m_weight;
    timed_operands<T>* m_operands;
    buffer<std::byte> m_scratch;
    index_t m_image = 0; ///< the next one
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

/// Measures all batches and numbers of images of one matrix size at one density: formats with a density, or N:M.
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
    for (std::size_t image = 0; image < grid.images.size(); ++image)
    {
        for (std::size_t batch = 0; batch < grid.batches.size(); ++batch)
        {
            const weight_use use{kind, grid.batches[batch], grid.images[image]};
            const std::size_t point = grid.place(size, image, batch);
            timed_operands<T> operands(rows, columns, use);
            std::vector<timed_product<T>> products;
            for (const planned_weight<T>& weight : weights)
            {
                products.emplace_back(weight, operands);
            }
            const std::vector<product_time> times = time_products(products, options);
            for (std::size_t i = 0; i < formats.size(); ++i)
            {
                if (is_dense(formats[i]))
                {
                    const double each =
                        1e15 * times[i].seconds /
                        (static_cast<double>(rows) * static_cast<double>(columns) *
                            static_cast<double>(use.batch) * static_cast<double>(use.images));
                    table.of(kind).dense[point] =
                        static_cast<std::uint32_t>(std::clamp(each, 1.0, 4e9));
                    continue;
                }
                const double ratio = 1000 * times[i].by_first;
                table.of(kind).ratios[plan_table::ratio_place(kind, formats[i], point, density)] =
                    static_cast<std::uint16_t>(std::lround(std::clamp(ratio, 1.0, 65535.0)));
            }
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
    for (const layer_kind kind : every_layer_kind)
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
