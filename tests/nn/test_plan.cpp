#include <structopt/core/random.hpp>
#include <structopt/io/plan_table.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/plan.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace test_plan
{

using namespace structopt;
using nn::layer_kind;
using nn::weight_format;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

static_assert(nn::weight_storage<nn::planned_weight<float>>);
static_assert(nn::is_exact<nn::planned_weight<double>>::value);
static_assert(nn::instruction_set_of("avx512vnni<avx512vbmi2>") == nn::instruction_set::avx512);
static_assert(nn::instruction_set_of("avx512bw") == nn::instruction_set::avx512);
static_assert(nn::instruction_set_of("fma3+avx2") == nn::instruction_set::avx2);
static_assert(nn::instruction_set_of("avxvnni") == nn::instruction_set::avx2);
static_assert(nn::instruction_set_of("avx2") == nn::instruction_set::other);
static_assert(nn::instruction_set_of("fma3+avx") == nn::instruction_set::other);
static_assert(nn::instruction_set_of("avx2_fma") == nn::instruction_set::avx2);
static_assert(nn::instruction_set_of("avx2_vnni") == nn::instruction_set::avx2);
static_assert(nn::instruction_set_of("neon_dotprod") == nn::instruction_set::other);
static_assert(nn::instruction_set_of("sse4.2") == nn::instruction_set::sse2);
static_assert(nn::instruction_set_of("arm64+neon") == nn::instruction_set::other);

namespace
{

template <class T>
view<const T, 2> seen(const tensor<T, 2>& w)
{
    return as_view(w);
}

/// A matrix whose elements are not zero with the given chance.
template <class T = float>
tensor<T, 2> thin(index_t rows, index_t columns, double density, random_engine& rng)
{
    auto w = zeros<T>(shape<2>{rows, columns});
    for (index_t i = 0; i < rows * columns; ++i)
    {
        if (uniform<double>(rng) < density)
        {
            w.data()[i] = normal<T>(rng) + T(4);
        }
    }
    return w;
}

/// Whether any row has more than n non-zeros in columns m i to m i + m - 1.
template <class T>
bool fits_groups(view<const T, 2> w, index_t n, index_t m)
{
    for (index_t r = 0; r < w.shape(0); ++r)
    {
        for (index_t g = 0; g < w.shape(1); g += m)
        {
            index_t count = 0;
            for (index_t c = g; c < std::min(g + m, w.shape(1)); ++c)
            {
                count += w(r, c) == T(0) ? 0 : 1;
            }
            if (count > n)
            {
                return false;
            }
        }
    }
    return true;
}

template <class T>
void check_pattern(view<const T, 2> w)
{
    const auto found = nn::pattern_of(w);
    CHECK(found.rows == w.shape(0));
    CHECK(found.columns == w.shape(1));
    CHECK(found.element_bytes == sizeof(T));
    index_t nonzeros = 0;
    std::set<std::pair<index_t, index_t>> vectors;
    for (index_t r = 0; r < w.shape(0); ++r)
    {
        for (index_t c = 0; c < w.shape(1); ++c)
        {
            if (!(w(r, c) == T(0)))
            {
                ++nonzeros;
                vectors.insert({r / 16, c});
            }
        }
    }
    CHECK(found.nonzeros == nonzeros);
    CHECK(found.vectors == static_cast<index_t>(vectors.size()));
    CHECK(found.fits_2x4 == fits_groups(w, 2, 4));
    CHECK(found.fits_1x4 == fits_groups(w, 1, 4));
    CHECK(found.fits_4x8 == fits_groups(w, 4, 8));
}

/// What `bytes_in` says, against the formats themselves.
template <class T>
void check_bytes(view<const T, 2> w)
{
    auto pattern = nn::pattern_of(w);
    const sparse::sliced<T> sliced(w);
    const sparse::tiled<T> tiled(w);
    pattern.sliced_slots = sliced.slots();
    pattern.sliced_bytes = sliced.bytes();
    pattern.tiled_slots = tiled.slots();
    pattern.tiled_bytes = tiled.bytes();
    for (const weight_format format : nn::every_weight_format)
    {
        INFO(nn::name_of(format));
        if (!nn::holds(pattern, format))
        {
            CHECK_THROWS_AS(nn::pack_as(format, w), argument_error);
            continue;
        }
        const auto packed = nn::pack_as(format, w);
        CHECK(packed.format() == nn::name_of(format));
        CHECK(nn::storage_traits<nn::planned_weight<T>>::bytes(packed) ==
              nn::bytes_in(pattern, format));
    }
}

/// Times with which no sparse format is chosen: a femtosecond per multiply-add, sparse ones twice it.
nn::plan_table slow_table(std::size_t bytes = sizeof(float))
{
    nn::plan_table table("made up", bytes);
    for (const layer_kind kind : nn::every_layer_kind)
    {
        auto& part = table.of(kind);
        part.dense.assign(part.dense.size(), 1);
        part.ratios.assign(part.ratios.size(), 2000);
        part.slots.assign(part.slots.size(), 20000);
    }
    return table;
}

bool has_density(weight_format format)
{
    return format != weight_format::nm2x4 && format != weight_format::nm1x4 &&
           format != weight_format::nm4x8;
}

/// Calls `set(ratio, size, batch, density)` for the numbers of one format.
template <class Set>
void each_ratio(nn::plan_table& table, layer_kind kind, weight_format format, const Set& set)
{
    const auto grid = nn::plan_grid_of(kind);
    for (std::size_t s = 0; s < grid.sizes(); ++s)
    {
        for (std::size_t i = 0; i < grid.images.size() * grid.batches.size(); ++i)
        {
            const std::size_t b = i % grid.batches.size();
            const std::size_t point = grid.place(s, i / grid.batches.size(), b);
            for (std::size_t d = 0; d < (has_density(format) ? nn::plan_densities.size() : 1); ++d)
            {
                set(table.of(kind).ratios[nn::plan_table::ratio_place(kind, format, point, d)], s,
                    b, d);
            }
        }
    }
}

/// A table in which one format takes so many thousandths of dense.
nn::plan_table table_for(weight_format format, std::uint16_t thousandths, std::size_t bytes = 4)
{
    nn::plan_table table = slow_table(bytes);
    for (const layer_kind kind : nn::every_layer_kind)
    {
        each_ratio(table, kind, format,
            [&](std::uint16_t& ratio, std::size_t, std::size_t, std::size_t)
            {
                ratio = thousandths;
            });
    }
    return table;
}

/// 64 x 64 with every fourth column: every format holds it.
tensor<float, 2> regular(index_t rows = 64, index_t columns = 64)
{
    auto w = zeros<float>(shape<2>{rows, columns});
    for (index_t i = 0; i < rows * columns; ++i)
    {
        w.data()[i] = i % columns % 4 == 1 ? static_cast<float>(i % 7 + 1) : 0.0f;
    }
    return w;
}

nn::plan_choice choose(const nn::plan_table& table, const nn::plan_options& options = {},
    const tensor<float, 2>& w = regular(), const nn::weight_use& use = {})
{
    return nn::choose_format(nn::pattern_of(seen(w)), use, options, table);
}

} // namespace

TEST_CASE("patterns are what one counts by hand")
{
    random_engine rng(1);
    for (const auto& [rows, columns] :
        {std::pair<index_t, index_t>{0, 0}, {0, 5}, {5, 0}, {1, 1}, {16, 64}, {17, 9}, {50, 31}})
    {
        for (const double density : {0.0, 0.03, 0.2, 0.6, 1.0})
        {
            CAPTURE(density);
            const auto w = thin(rows, columns, density, rng);
            check_pattern(seen(w));
            check_bytes(seen(w));
            // Another order of the elements.
            check_pattern(view<const float, 2>(w.data(), {columns, rows}, {1, columns}));
            check_pattern(seen(thin<double>(rows, columns, density, rng)));
        }
    }
    check_pattern(seen(regular()));
    check_bytes(seen(regular(37, 45)));
    check_bytes(seen(thin<double>(33, 70, 0.2, rng)));
}

TEST_CASE("-0.0 is a zero, and what is no number is none")
{
    auto w = zeros<float>(shape<2>{3, 8});
    w.data()[0] = -0.0f;
    w.data()[5] = std::numeric_limits<float>::quiet_NaN();
    w.data()[6] = -std::numeric_limits<float>::infinity();
    w.data()[23] = std::numeric_limits<float>::denorm_min();
    const auto found = nn::pattern_of(seen(w));
    CHECK(found.nonzeros == 3);
    CHECK(found.vectors == 3);
    CHECK(found.fits_2x4);
    CHECK_FALSE(found.fits_1x4);
    CHECK(nn::stored_density(found, weight_format::csr16) == doctest::Approx(3.0 / 24));
    CHECK(nn::stored_density(found, weight_format::vectors) == doctest::Approx(48.0 / 24));
}

TEST_SUITE("smoke")
{
    TEST_CASE("the fastest format is chosen where it is faster than dense by the margin")
    {
        for (const weight_format format : nn::detail::plan_formats)
        {
            INFO(nn::name_of(format));
            const auto choice = choose(table_for(format, 500));
            CHECK(choice.format == format);
            CHECK(choice.time_us == doctest::Approx(choice.dense_time_us / 2));
            CHECK(choice.dense_time_us == doctest::Approx(64 * 64 * 1e-9));
            CHECK(choice.bytes == nn::bytes_in(nn::pattern_of(seen(regular())), format));
            CHECK(choice.candidates.size() == 9);
            check_parts(choice.reason, {std::string(nn::name_of(format)).c_str(), "2 times",
                                           "packed", "batch 1", "25 % non-zeros"});
            CHECK(choose(table_for(format, 899)).format == format);
            CHECK(choose(table_for(format, 901)).format == weight_format::packed);
            CHECK(choose(table_for(format, 999), {.margin = 0}).format == format);
            CHECK(choose(table_for(format, 1001), {.margin = 0}).format == weight_format::packed);
            CHECK(choose(table_for(format, 500), {.margin = 0.6}).format == weight_format::packed);
            // Not known.
            CHECK(choose(table_for(format, 0)).format == weight_format::packed);
            CHECK(choose(table_for(format, 0)).candidates.size() == 8);
        }
    }
}

TEST_CASE("dense weights are in the format of their layer")
{
    const auto choice = choose(slow_table());
    CHECK(choice.format == weight_format::packed);
    CHECK(choice.time_us == choice.dense_time_us);
    check_parts(choice.reason, {"packed", "is not faster by 10 %", "sliced"});
    const auto filters = choose(slow_table(), {}, regular(), {layer_kind::convolution, 100, 3});
    CHECK(filters.format == weight_format::packed);
    CHECK(filters.dense_time_us == doctest::Approx(64 * 64 * 300 * 1e-9));
    check_parts(filters.reason, {"packed", "100 positions of 3 images"});
}

TEST_CASE("formats that do not hold the matrix are not chosen")
{
    random_engine rng(3);
    const auto w = thin(64, 64, 0.5, rng);
    for (const weight_format format :
        {weight_format::nm2x4, weight_format::nm1x4, weight_format::nm4x8})
    {
        CHECK(choose(table_for(format, 100), {}, w).format == weight_format::packed);
    }
    nn::weight_pattern wide;
    wide.rows = 16;
    wide.columns = 65537;
    CHECK_FALSE(nn::holds(wide, weight_format::csr16));
    wide.columns = 65536;
    CHECK(nn::holds(wide, weight_format::csr16));
}

TEST_CASE("what was not measured is not chosen")
{
    random_engine rng(3);
    const auto fast = table_for(weight_format::sliced, 100);
    const auto nothing = choose({});
    CHECK(nothing.format == weight_format::packed);
    CHECK(nothing.time_us == 0);
    check_parts(nothing.reason, {"no times were measured"});
    CHECK(nn::built_in_plan_table(nn::instruction_set::other).empty());

    const auto small = choose(fast, {}, regular(15, 64));
    CHECK(small.format == weight_format::packed);
    check_parts(small.reason, {"more slender than what was measured", "16 rows"});
    CHECK(choose(fast, {}, regular(16, 32)).format == weight_format::sliced);
    CHECK(choose(fast, {}, regular(16, 31)).format == weight_format::packed);
    CHECK(choose(fast, {}, regular(16, 271)).format == weight_format::sliced);
    CHECK(choose(fast, {}, regular(16, 272)).format == weight_format::packed);
    CHECK(choose(fast, {}, regular(544, 32)).format == weight_format::packed);

    const auto full = choose(fast, {}, thin(64, 64, 0.9, rng));
    CHECK(full.format == weight_format::packed);
    check_parts(full.reason, {"no sparse format was measured"});

    const auto other = choose(table_for(weight_format::sliced, 100, sizeof(double)));
    CHECK(other.format == weight_format::packed);
    check_parts(other.reason, {"elements of 8 bytes and not of 4"});

    CHECK(choose(fast, {}, zeros<float>(shape<2>{0, 0})).format == weight_format::packed);
    CHECK(choose(fast, {}, zeros<float>(shape<2>{32, 32})).format == weight_format::sliced);
}

TEST_CASE("for bytes the smallest format is chosen")
{
    random_engine rng(4);
    const nn::plan_options smallest{.goal = nn::objective::bytes};
    for (const double density : {0.0, 0.01, 0.1, 0.3, 0.9, 1.0})
    {
        const auto w = thin(70, 130, density, rng);
        for (const auto& table : {slow_table(), nn::plan_table()})
        {
            const auto found = nn::plan_matrix<float>(seen(w), {}, smallest, table);
            std::size_t fewest = w.size() * sizeof(float);
            for (const weight_format format : nn::every_weight_format)
            {
                if (nn::holds(nn::pattern_of(seen(w)), format))
                {
                    const auto packed = nn::pack_as(format, seen(w));
                    fewest = std::min(
                        fewest, nn::storage_traits<nn::planned_weight<float>>::bytes(packed));
                }
            }
            CHECK(found.choice.bytes == fewest);
            CHECK(nn::storage_traits<nn::planned_weight<float>>::bytes(found.weight) == fewest);
            CHECK(found.weight.format() == nn::name_of(found.choice.format));
            check_parts(found.choice.reason,
                {std::string(nn::name_of(found.choice.format)).c_str(), "the fewest", "dense"});
        }
    }
    // Equals: the faster one, then the first.
    nn::weight_pattern full = nn::pattern_of(seen(thin(64, 64, 1.0, rng)));
    full.packed_rows = full.rows;
    CHECK(nn::choose_format(full, {}, smallest, slow_table()).format == weight_format::packed);
    CHECK(nn::choose_format(full, {}, smallest, {}).format == weight_format::dense);
}

TEST_CASE("times between the points of the grid are interpolated")
{
    for (const layer_kind kind : nn::every_layer_kind)
    {
        const auto grid = nn::plan_grid_of(kind);
        nn::plan_table table = slow_table();
        // Powers of elements and batch, which logarithms interpolate exactly up to rounding.
        const auto dense = [](double elements, double batch)
        {
            return 1e7 / std::sqrt(elements) / std::cbrt(batch);
        };
        for (std::size_t s = 0; s < grid.sizes(); ++s)
        {
            for (std::size_t b = 0; b < grid.batches.size(); ++b)
            {
                table.of(kind).dense[grid.place(s, 0, b)] = static_cast<std::uint32_t>(
                    dense(static_cast<double>(grid.rows[s] * grid.columns[s]),
                        static_cast<double>(grid.batches[b])));
            }
        }
        each_ratio(table, kind, weight_format::tiled,
            [&](std::uint16_t& ratio, std::size_t s, std::size_t, std::size_t d)
            {
                ratio = static_cast<std::uint16_t>(
                    1000 * nn::plan_densities[d] * static_cast<double>(s + 1));
            });
        nn::weight_pattern pattern;
        pattern.element_bytes = sizeof(float);
        for (const auto& [rows, columns] :
            {std::pair<index_t, index_t>{64, 64}, {100, 700}, {512, 512}, {300, 800}})
        {
            for (const index_t batch : {16, 20, 100, 256})
            {
                pattern.rows = rows;
                pattern.columns = columns;
                const double elements = pattern.elements();
                const double expected = dense(elements, static_cast<double>(batch)) * elements *
                                        static_cast<double>(batch) * 1e-9;
                CHECK(table.dense_us(pattern, {kind, batch}) ==
                      doctest::Approx(expected).epsilon(0.002));
            }
        }
        // Outside: as at the edge, per multiply-add.
        pattern.rows = 16384;
        pattern.columns = 16384;
        const index_t most = grid.batches.back();
        CHECK(table.dense_us(pattern, {kind, most}) * 4 ==
              doctest::Approx(table.dense_us(pattern, {kind, 4 * most})));
        const double edge =
            static_cast<double>(
                table.of(kind).dense[grid.place(grid.sizes() - 1, 0, grid.batches.size() - 1)]) *
            1e-9;
        CHECK(table.dense_us(pattern, {kind, most}) ==
              doctest::Approx(edge * pattern.elements() * static_cast<double>(most)));
        // Linear in the density; below the least one as there, above the highest unknown.
        const index_t first = grid.rows.front() * grid.columns.front();
        pattern.rows = grid.rows.front();
        pattern.columns = grid.columns.front();
        const auto ratio = [&](double density)
        {
            pattern.nonzeros = static_cast<index_t>(density * static_cast<double>(first));
            return table.ratio(pattern, weight_format::tiled, {kind, 16});
        };
        CHECK(ratio(0.2) == doctest::Approx(0.2).epsilon(0.01));
        CHECK(ratio(0.4) == doctest::Approx(0.4).epsilon(0.01));
        CHECK(ratio(0.001) == doctest::Approx(0.02));
        CHECK(ratio(0.81) == 0);
        // Between the first two matrices: the square root of 1 and 2.
        const double middle = std::sqrt(
            static_cast<double>(first) * static_cast<double>(grid.rows[1] * grid.columns[1]));
        pattern.rows = 64;
        pattern.columns = static_cast<index_t>(middle) / 64;
        pattern.nonzeros = pattern.rows * pattern.columns / 2;
        CHECK(table.ratio(pattern, weight_format::tiled, {kind, 16}) ==
              doctest::Approx(0.5 * std::sqrt(2.0)).epsilon(0.02));
        // Between two batches the larger, and a fifth; a narrow matrix as its short side.
        each_ratio(table, kind, weight_format::csr16,
            [&](std::uint16_t& number, std::size_t s, std::size_t b, std::size_t)
            {
                number = static_cast<std::uint16_t>(1000 - 100 * s + 10 * b);
            });
        const auto careful = [&](index_t rows, index_t columns, index_t batch)
        {
            pattern.rows = rows;
            pattern.columns = columns;
            pattern.nonzeros = rows * columns / 2;
            return table.ratio(pattern, weight_format::csr16, {kind, batch});
        };
        const index_t r = grid.rows[1];
        const index_t c = grid.columns[1];
        CHECK(careful(r, c, grid.batches[0]) == doctest::Approx(0.9));
        CHECK(careful(r, c, grid.batches[2] + 1) == doctest::Approx(1.2 * 0.93));
        CHECK(careful(grid.rows[0], 16 * grid.rows[0], grid.batches[0]) == doctest::Approx(1.0));
        CHECK(careful(16 * grid.columns[0], grid.columns[0], grid.batches[0]) > 0.9);
        pattern.rows = 64;
        pattern.columns = static_cast<index_t>(middle) / 64;
        pattern.nonzeros = pattern.rows * pattern.columns / 2;
        // Next to an unknown point nothing is known.
        table.of(kind).ratios[nn::plan_table::ratio_place(
            kind, weight_format::tiled, grid.place(1, 0, 0), 3)] = 0;
        CHECK(table.ratio(pattern, weight_format::tiled, {kind, grid.batches[0]}) == 0);
    }
}

TEST_CASE("times of one and of many images are the table's own")
{
    constexpr layer_kind kind = layer_kind::convolution;
    const auto grid = nn::plan_grid_of(kind);
    REQUIRE(grid.images.size() == 2);
    const index_t many = grid.images[1];
    CHECK(grid.images[0] == 1);
    CHECK(many > 2);
    nn::plan_table table = slow_table();
    auto& part = table.of(kind);
    for (std::size_t s = 0; s < grid.sizes(); ++s)
    {
        for (std::size_t b = 0; b < grid.batches.size(); ++b)
        {
            part.dense[grid.place(s, 0, b)] = 1000;
            part.dense[grid.place(s, 1, b)] = 4000;
            for (std::size_t d = 0; d < nn::plan_densities.size(); ++d)
            {
                const auto ratio = [&](weight_format format, std::size_t image) -> std::uint16_t&
                {
                    return part.ratios[nn::plan_table::ratio_place(
                        kind, format, grid.place(s, image, b), d)];
                };
                ratio(weight_format::csr16, 0) = 300;
                ratio(weight_format::csr16, 1) = 1200;
                ratio(weight_format::tiled, 0) = 600;
                ratio(weight_format::tiled, 1) = 500;
            }
        }
    }
    random_engine rng(11);
    const auto w = thin(64, 576, 0.3, rng);
    nn::weight_pattern pattern = nn::pattern_of(seen(w));
    const auto use = [](index_t images)
    {
        return nn::weight_use{kind, 64, images};
    };
    const double one = 64.0 * 576 * 64 * 1000 * 1e-9;
    CHECK(table.dense_us(pattern, use(1)) == doctest::Approx(one));
    CHECK(
        table.dense_us(pattern, use(many)) == doctest::Approx(4 * static_cast<double>(many) * one));
    CHECK(table.dense_us(pattern, use(4 * many)) ==
          doctest::Approx(16 * static_cast<double>(many) * one));
    const double middle = table.dense_us(pattern, use(2)) / 2;
    CHECK(middle > 1.1 * one);
    CHECK(middle < 3.9 * one);
    // In between the more careful ratio counts.
    const auto ratio = [&](weight_format format, index_t images)
    {
        return table.ratio(pattern, format, use(images));
    };
    CHECK(ratio(weight_format::csr16, 1) == doctest::Approx(0.3));
    CHECK(ratio(weight_format::csr16, 2) == doctest::Approx(1.2));
    CHECK(ratio(weight_format::csr16, 10 * many) == doctest::Approx(1.2));
    CHECK(ratio(weight_format::tiled, 2) == doctest::Approx(0.6));
    CHECK(ratio(weight_format::tiled, many) == doctest::Approx(0.5));
    part.slots.assign(part.slots.size(), 20000);
    CHECK(choose(table, {}, w, use(1)).format == weight_format::csr16);
    CHECK(choose(table, {}, w, use(many)).format == weight_format::tiled);
    // So a network is planned for the images of its batch.
    nn::conv2d<float> layer({.in = 64, .out = 64, .kernel = 3, .padding = 1}, rng);
    std::copy_n(w.data(), w.size(), layer.weight.data());
    CHECK(nn::plan(layer, shape<4>{1, 64, 8, 8}, {}, table).layers[0].choice.format ==
          weight_format::csr16);
    const auto planned = nn::plan(layer, shape<4>{many, 64, 8, 8}, {}, table);
    CHECK(planned.layers[0].choice.format == weight_format::tiled);
    CHECK(planned.layers[0].choice.dense_time_us ==
          doctest::Approx(4 * static_cast<double>(many) * one));
    check_parts(planned.layers[0].choice.reason, {"64 positions of 16 images"});
}

TEST_CASE("convolutions of single pixels have a part of their own")
{
    nn::plan_table table = slow_table();
    each_ratio(table, layer_kind::pointwise, weight_format::bitmask,
        [](std::uint16_t& ratio, std::size_t, std::size_t, std::size_t)
        {
            ratio = 100;
        });
    random_engine rng(12);
    const auto format_of = [&](const nn::conv2d_options& options)
    {
        nn::conv2d<float> layer(options, rng);
        for (float& w : layer.weight)
        {
            w = uniform<double>(rng) < 0.7 ? 0.0f : w;
        }
        return nn::plan(layer, shape<4>{2, 64, 8, 8}, {}, table).layers[0].choice.format;
    };
    CHECK(format_of({.in = 64, .out = 64, .kernel = 1}) == weight_format::bitmask);
    // Those that need patches are like the larger ones.
    CHECK(format_of({.in = 64, .out = 64, .kernel = 1, .padding = 1}) == weight_format::packed);
    CHECK(format_of({.in = 64, .out = 64, .kernel = 1, .stride = 2}) == weight_format::packed);
    CHECK(format_of({.in = 64, .out = 64, .kernel = 3}) == weight_format::packed);
}

TEST_CASE("awkward patterns count as denser")
{
    nn::plan_table table = slow_table();
    auto& slots = table.of(layer_kind::dense).slots;
    slots.assign(slots.size(), 2000);
    each_ratio(table, layer_kind::dense, weight_format::sliced,
        [](std::uint16_t& ratio, std::size_t, std::size_t, std::size_t d)
        {
            ratio = static_cast<std::uint16_t>(1700 * nn::plan_densities[d]);
        });
    // Rows of a slice take turns: each has columns of its own.
    auto stairs = zeros<float>(shape<2>{16, 256});
    random_engine rng(5);
    for (index_t i = 0; i < 16 * 16; ++i)
    {
        stairs.data()[i / 16 * 256 + i] = 1.0f;
    }
    const auto random = thin(16, 256, 1.0 / 16, rng);
    CHECK(choose(table, {}, stairs).format == weight_format::sliced);
    const auto good = nn::plan_matrix<float>(seen(random), {}, {}, table);
    CHECK(good.choice.format == weight_format::sliced);
    CHECK(good.weight.format() == "sliced");
    const auto bad = nn::plan_matrix<float>(seen(stairs), {}, {}, table);
    CHECK(bad.choice.format == weight_format::packed);
    CHECK(bad.weight.format() == "packed");
    // The same of tiles, by numbers.
    auto pattern = nn::pattern_of(seen(random));
    auto plain = table_for(weight_format::tiled, 100);
    plain.of(layer_kind::dense).slots = slots;
    CHECK(plain.ratio(pattern, weight_format::tiled, {}) > 0);
    pattern.tiled_bytes = 1;
    pattern.tiled_slots = pattern.nonzeros;
    CHECK(plain.ratio(pattern, weight_format::tiled, {}) > 0);
    pattern.tiled_slots = 16 * pattern.nonzeros;
    CHECK(plain.ratio(pattern, weight_format::tiled, {}) == 0);
}

TEST_CASE("batches and margins are checked")
{
    for (const nn::weight_use& use : {nn::weight_use{layer_kind::dense, 0},
             nn::weight_use{layer_kind::dense, -1}, nn::weight_use{layer_kind::convolution, 5, 0}})
    {
        CHECK_THROWS_AS(choose(slow_table(), {}, regular(), use), argument_error);
        CHECK_THROWS_AS(
            nn::plan_matrix<float>(seen(regular()), use, {}, slow_table()), argument_error);
    }
    for (const double margin : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    {
        CHECK_THROWS_AS(choose(slow_table(), {.margin = margin}), argument_error);
    }
    CHECK_THROWS_AS(nn::plan_table("x", 2), argument_error);
    CHECK_THROWS_AS(nn::plan_table("", 4), argument_error);
    CHECK_THROWS_AS(nn::plan_table("a\nb", 4), argument_error);
    CHECK_THROWS_AS(nn::plan_table().text(), argument_error);
    random_engine rng(6);
    const nn::sequential net{nn::dense{{.in = 64, .out = 32}, rng}};
    CHECK_THROWS_AS(nn::plan(net, shape<2>{0, 64}), argument_error);
    CHECK_THROWS_AS(nn::plan(net, shape<2>{1, 63}), shape_error);
    CHECK_THROWS_AS(nn::plan(net, shape<2>{1, 64}, {.margin = 2}), argument_error);
}

TEST_CASE("built-in tables are whole")
{
    for (const nn::instruction_set set :
        {nn::instruction_set::sse2, nn::instruction_set::avx2, nn::instruction_set::avx512})
    {
        const auto table = nn::built_in_plan_table(set);
        INFO(nn::name_of(set));
        CHECK(table.target() == nn::name_of(set));
        CHECK(table.element_bytes() == sizeof(float));
        for (const layer_kind kind : nn::every_layer_kind)
        {
            CHECK(std::count(table.of(kind).dense.begin(), table.of(kind).dense.end(), 0u) == 0);
            CHECK(std::count(table.of(kind).ratios.begin(), table.of(kind).ratios.end(), 0) == 0);
            CHECK(std::count(table.of(kind).slots.begin(), table.of(kind).slots.end(), 0) == 0);
        }
        // The table is not mixed up: nine of ten zeros pay, a tenth does not.
        nn::weight_pattern pattern;
        pattern.rows = pattern.columns = 1024;
        pattern.nonzeros = 1024 * 1024 / 10;
        pattern.vectors = 64 * 1024;
        pattern.fits_1x4 = pattern.fits_2x4 = pattern.fits_4x8 = false;
        CHECK_FALSE(
            nn::is_dense(nn::choose_format(pattern, {layer_kind::dense, 64}, {}, table).format));
        pattern.nonzeros = 1024 * 1024 / 10 * 9;
        CHECK(nn::choose_format(pattern, {layer_kind::dense, 64}, {}, table).format ==
              weight_format::packed);
    }
    CHECK(nn::built_in_plan_table() == nn::built_in_plan_table(nn::current_instruction_set()));
}

TEST_CASE("tables come back from their text, and others are refused by line")
{
    const auto table = nn::built_in_plan_table(nn::instruction_set::avx2);
    const std::string text = table.text();
    CHECK(nn::plan_table::parse(text, "t") == table);
    CHECK(nn::plan_table::parse(slow_table(8).text(), "t") == slow_table(8));
    const support::scratch_folder folder;
    io::save_plan_table(table, folder.path("table.txt"));
    CHECK(io::load_plan_table(folder.path("table.txt")) == table);
    CHECK_THROWS_AS(io::load_plan_table(folder.path("none.txt")), file_error);

    const auto refused = [&](std::string broken, const char* line)
    {
        CHECK_THROWS_AS(nn::plan_table::parse(broken, "t"), format_error);
        check_parts(message_of<format_error>(
                        [&]
                        {
                            nn::plan_table::parse(broken, "t");
                        }),
            {line});
    };
    const auto with = [&](const std::string& from, const std::string& to)
    {
        std::string changed = text;
        const std::size_t at = changed.find(from);
        REQUIRE(at != std::string::npos);
        return changed.replace(at, from.size(), to);
    };
    refused("", "t line 1");
    refused(with("table 2", "table 1"), "t line 1");
    refused(with("target avx2", "target "), "t line 2");
    refused(with("target avx2", "avx2"), "t line 2");
    refused(with("bytes 4", "bytes 2"), "t line 3");
    refused(with("dense times", "dense time"), "t line 4");
    refused(with("dense times\n", "dense times\n1 "), "t line 5");
    refused(with("dense times\n", "dense times\n-"), "t line 5");
    refused(with("dense times\n", "dense times\nnan "), "t line 5");
    refused(with("dense times\n", "dense times\n 1"), "t line 5");
    refused(with("dense times\n", "dense times\n99999999999"), "t line 5");
    refused(with("dense ratios\n", "dense ratios\n65536 "), "a number up to 65535");
    refused(text + "\n", "the end of the text");
    refused(text + "1\n", "the end of the text");
    refused(text.substr(0, text.size() - 1), "a line that ends");
    for (std::size_t size = 0; size < text.size(); size += 97)
    {
        CHECK_THROWS_AS(nn::plan_table::parse(text.substr(0, size), "t"), format_error);
    }
    random_engine rng(7);
    int kept = 0;
    for (int i = 0; i < 300; ++i)
    {
        std::string broken = text;
        broken[static_cast<std::size_t>(uniform<double>(rng) * static_cast<double>(text.size()))] =
            static_cast<char>(static_cast<unsigned char>(uniform<double>(rng) * 256));
        try
        {
            // Another number where a digit was changed.
            nn::plan_table::parse(broken, "t");
            ++kept;
        }
        catch (const format_error&)
        {
        }
    }
    CHECK(kept < 100);
}

namespace
{

auto make_network(random_engine& rng)
{
    nn::sequential net{nn::conv2d{{.in = 4, .out = 16, .kernel = 3, .padding = 1}, rng}, nn::relu{},
        nn::conv2d{{.in = 16, .out = 16, .kernel = 3, .padding = 1, .groups = 2}, rng},
        nn::residual{nn::conv2d{{.in = 16, .out = 16, .kernel = 3, .padding = 1}, rng}},
        nn::flatten{}, nn::sequential{nn::dense{{.in = 16 * 6 * 6, .out = 48}, rng}, nn::relu{}},
        nn::concat{nn::dense{{.in = 48, .out = 20}, rng}, nn::dense{{.in = 48, .out = 3}, rng}}};
    nn::visit_parameters(net,
        [](const nn::parameter_name&, auto& parameter, nn::role kind)
        {
            for (index_t i = 0; i < size_of(parameter); ++i)
            {
                // One of four columns, so that every format holds it.
                if (kind == nn::role::weight && i % 4 != 1)
                {
                    parameter.data()[i] = 0;
                }
                else if (kind == nn::role::bias)
                {
                    parameter.data()[i] = static_cast<float>(i % 5) - 2;
                }
            }
        });
    return net;
}

const shape<4> images{5, 4, 6, 6};

} // namespace

TEST_CASE("a planned network computes the same, in every format, and comes back from its file")
{
    random_engine rng(8);
    const auto net = make_network(rng);
    const auto x = random_tensor<float>(images, rng);
    const auto expected = net(x);
    const auto different = nn::plan(net, images, {.goal = nn::objective::bytes}, slow_table());
    for (const weight_format format : nn::detail::plan_formats)
    {
        INFO(nn::name_of(format));
        const auto planned = nn::plan(net, images, {}, table_for(format, 300));
        REQUIRE(planned.layers.size() == 6);
        const char* const names[] = {"0", "2", "3.branch", "5.0", "6.0", "6.1"};
        for (std::size_t i = 0; i < 6; ++i)
        {
            const auto& layer = planned.layers[i];
            CHECK(layer.name == names[i]);
            CHECK(layer.type == (i < 3 ? "conv2d" : "dense"));
            // Groups, and fewer rows than were measured.
            CHECK(layer.choice.format == (i == 1 || i == 5 ? weight_format::packed : format));
        }
        check_parts(planned.layers[1].choice.reason, {"groups"});
        CHECK(planned.network.template layer<0>().weight.format() == nn::name_of(format));
        CHECK(largest_difference(planned.network(x), expected) <= 1e-4);
        CHECK(nn::unpack(planned.network)(x) == expected);

        const support::scratch_folder folder;
        io::save_state(planned.network, folder.path("planned.safetensors"));
        auto loaded = different.network;
        io::load_state(loaded, folder.path("planned.safetensors"));
        CHECK(loaded(x) == planned.network(x));
        CHECK(loaded.template layer<0>().weight.format() == nn::name_of(format));
    }
    CHECK(largest_difference(different.network(x), expected) <= 1e-4);
    // A plan of a plan.
    const auto again = nn::plan(different.network, images, {}, slow_table());
    CHECK(nn::unpack(again.network)(x) == expected);
    CHECK(again.layers[0].choice.format == weight_format::packed);
    CHECK(again.layers[3].choice.format == weight_format::packed);
}

TEST_CASE("a layer by itself, double, and what a batch is")
{
    random_engine rng(9);
    nn::dense<double> layer({.in = 64, .out = 32}, rng);
    const auto planned =
        nn::plan(layer, shape<2>{12, 64}, {}, table_for(weight_format::tiled, 100, 8));
    REQUIRE(planned.layers.size() == 1);
    CHECK(planned.layers[0].name.empty());
    CHECK(planned.layers[0].choice.format == weight_format::packed); // no zeros
    CHECK(planned.layers[0].choice.dense_time_us == doctest::Approx(12 * 32 * 64 * 1e-9));
    const auto x = random_tensor<double>(shape<2>{12, 64}, rng);
    CHECK(
        largest_difference(nn::sequential{planned.network}(x), nn::sequential{layer}(x)) <= 1e-12);
    check_parts(nn::plan(layer, shape<2>{12, 64}).layers[0].choice.reason, {"packed"});
}

TEST_CASE("groups keep what other formats do not offer out")
{
    random_engine rng(10);
    nn::conv2d<float> layer({.in = 8, .out = 16, .kernel = 3, .groups = 2}, rng);
    const shape<4> in{1, 8, 5, 5};
    auto planned = nn::plan(layer, in);
    CHECK(planned.network.weight.format() == "packed");
    CHECK(nn::plan(layer, in, {.goal = nn::objective::bytes}).network.weight.format() == "dense");
    CHECK_THROWS_AS(
        layer.with_weight(nn::pack_as(weight_format::csr16, seen(thin(16, 36, 0.3, rng)))),
        argument_error);
    // A file with another format of the right extents.
    const support::scratch_folder folder;
    nn::conv2d<float> whole({.in = 4, .out = 16, .kernel = 3}, rng);
    auto other = whole.with_weight(nn::pack_as(weight_format::csr16, seen(thin(16, 36, 0.3, rng))));
    io::save_state(other, folder.path("other.safetensors"));
    CHECK_THROWS_AS(
        io::load_state(planned.network, folder.path("other.safetensors")), format_error);
}

TEST_CASE("a table is measured")
{
    const auto table = nn::measure_plan({.rounds = 1, .seconds = 0, .most_elements = 1024});
    CHECK(table.target() == nn::name_of(nn::current_instruction_set()));
    const auto& part = table.of(layer_kind::dense);
    const auto batches = nn::plan_grid_of(layer_kind::dense).batches.size();
    for (std::size_t i = 0; i < part.dense.size(); ++i)
    {
        CHECK((part.dense[i] > 0) == (i < batches));
    }
    for (const weight_format format : nn::detail::plan_formats)
    {
        for (std::size_t b = 0; b < batches; ++b)
        {
            CHECK(part.ratios[nn::plan_table::ratio_place(layer_kind::dense, format, b, 0)] > 0);
            CHECK(part.ratios[nn::plan_table::ratio_place(
                      layer_kind::dense, format, batches + b, 0)] == 0);
        }
    }
    CHECK(part.slots[nn::plan_table::slot_place(layer_kind::dense, weight_format::tiled, 0, 4)] >=
          1000);
    const auto wide = nn::measure_plan<double>(
        {.rounds = 1, .seconds = 0, .most_elements = 1024, .target = "here"});
    CHECK(wide.target() == "here");
    CHECK(wide.element_bytes() == sizeof(double));
    CHECK(nn::plan_table::parse(wide.text(), "t") == wide);
    CHECK_THROWS_AS(nn::measure_plan({.rounds = 0}), argument_error);
    CHECK_THROWS_AS(nn::measure_plan({.seconds = -1}), argument_error);
}

} // namespace test_plan
