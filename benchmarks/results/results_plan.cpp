// Whether plans keep their promise: for real pruned layers (DLMC, where STRUCTOPT_DATA_DIR has them)
// and random patterns, the choice of the built-in table beside the measured times of all formats.
//
// First the built-in table's numbers are measured anew and printed, as nn/plan/measured_times.hpp holds
// them (`--skip-table` leaves that out; `--table FILE` plans with the table in that file instead of the
// built-in one). Ends with 1 if a choice was slower than dense.

#include "result_table.hpp"

#include <structopt/io/plan_table.hpp>
#include <structopt/io/smtx.hpp>
#include <structopt/nn/plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

using namespace structopt;

namespace
{

/// What was found in all.
struct tally
{
    int cases = 0;
    int sparse = 0;
    int slower = 0;
    double worst = 0;  ///< time of the choice by dense
    double regret = 0; ///< time of the choice by the best format's
    double regrets = 0;
};

double rounded(double value)
{
    return std::round(value * 100) / 100;
}

/// Times of the products, packed into each of the formats.
std::vector<nn::detail::product_time> measure(const std::vector<nn::weight_format>& formats,
    view<const float, 2> w, const nn::weight_use& use, int rounds)
{
    nn::detail::timed_operands<float> operands(w.shape(0), w.shape(1), use);
    std::vector<nn::detail::timed_product<float>> products;
    for (const nn::weight_format format : formats)
    {
        products.emplace_back(nn::pack_as(format, w), operands);
    }
    return nn::detail::time_products(products, {.rounds = rounds, .seconds = 5e-4});
}

/// One matrix and use: plans, and times all formats that hold it.
nlohmann::ordered_json check(tally& count, const nn::plan_table& table, const std::string& name,
    view<const float, 2> w, const nn::weight_use& use)
{
    const auto found = nn::plan_matrix<float>(w, use, {}, table);
    const nn::plan_choice& choice = found.choice;
    const nn::weight_pattern pattern = nn::pattern_of(w);
    std::vector<nn::weight_format> formats{nn::fastest_dense};
    for (const nn::weight_format format : nn::every_weight_format)
    {
        if (!nn::is_dense(format) && nn::holds(pattern, format))
        {
            formats.push_back(format);
        }
    }
    const auto times = measure(formats, w, use, 5);
    const auto faster = [](const auto& a, const auto& b)
    {
        return a.by_first < b.by_first;
    };
    const auto best = static_cast<std::size_t>(
        std::min_element(times.begin(), times.end(), faster) - times.begin());
    const auto chosen = static_cast<std::size_t>(
        std::find(formats.begin(), formats.end(), choice.format) - formats.begin());
    double ratio = times[chosen].by_first;
    if (chosen != 0 && ratio > 0.95)
    {
        // Close: once more, for longer.
        const auto again = measure({formats[0], formats[chosen]}, w, use, 25);
        ratio = again[1].by_first;
    }
    const double regret = times[chosen].by_first / times[best].by_first;
    ++count.cases;
    count.sparse += chosen != 0 ? 1 : 0;
    count.slower += ratio > 1.02 ? 1 : 0;
    count.worst = std::max(count.worst, ratio);
    count.regret = std::max(count.regret, regret);
    count.regrets += regret;
    return {{"weights", name},
        {"rows x columns", std::to_string(w.shape(0)) + " x " + std::to_string(w.shape(1))},
        {"% zeros",
            std::round(1000 * (1 - nn::stored_density(pattern, nn::weight_format::csr16))) / 10},
        {"use", use.kind == nn::layer_kind::dense
                    ? "batch " + std::to_string(use.batch)
                    : std::string(use.kind == nn::layer_kind::pointwise ? "1x1, " : "3x3, ") +
                          std::to_string(use.batch) + " positions" +
                          (use.images > 1 ? ", " + std::to_string(use.images) + " images" : "")},
        {"choice", std::string(nn::name_of(choice.format))},
        {"us", rounded(1e6 * times[chosen].seconds)}, {"dense us", rounded(1e6 * times[0].seconds)},
        {"choice / dense", rounded(ratio)},
        {"predicted",
            choice.dense_time_us > 0 ? rounded(choice.time_us / choice.dense_time_us) : 0},
        {"best", std::string(nn::name_of(formats[best]))}, {"choice / best", rounded(regret)}};
}

/// One matrix in several uses: adds the row whose choice is the slowest beside dense.
void check_worst(results::table& rows, tally& count, const nn::plan_table& table,
    const std::string& name, view<const float, 2> w, const std::vector<nn::weight_use>& uses)
{
    nlohmann::ordered_json worst;
    for (const nn::weight_use& use : uses)
    {
        auto row = check(count, table, name, w, use);
        if (worst.is_null() || row["choice / dense"] > worst["choice / dense"])
        {
            worst = std::move(row);
        }
    }
    worst["weights"] = name + ", worst of " + std::to_string(uses.size());
    rows.add(std::move(worst));
}

std::vector<nn::weight_use> batches(const std::vector<index_t>& of)
{
    std::vector<nn::weight_use> uses;
    for (const index_t batch : of)
    {
        uses.push_back({nn::layer_kind::dense, batch});
    }
    return uses;
}

/// The pattern of a file with random numbers.
tensor<float, 2> read_pattern(const std::string& path)
{
    const auto pattern = io::read_smtx<float>(path);
    auto w = zeros<float>(shape<2>{pattern.rows(), pattern.columns()});
    pattern.visit(
        [&](index_t r, index_t c, float)
        {
            w.data()[r * pattern.columns() + c] = 0.5f;
        });
    return w;
}

void check_real(
    results::table& rows, tally& count, const nn::plan_table& table, const std::string& folder)
{
    struct layer
    {
        const char* set;
        const char* file;
        index_t window;    ///< of the convolution; 0: a dense layer
        index_t positions; ///< of one image
    };
    const layer layers[] = {{"rn50", "bottleneck_1_block_group3_2_1", 1, 196},
        {"rn50", "bottleneck_2_block_group3_1_1", 3, 196},
        {"rn50", "bottleneck_3_block_group4_1_1", 1, 49},
        {"transformer", "body_decoder_layer_0_ffn_conv1_fully_connected", 0, 0},
        {"transformer", "body_decoder_layer_0_ffn_conv2_fully_connected", 0, 0},
        {"transformer", "body_decoder_layer_0_self_attention_multihead_attention_q_fully_connected",
            0, 0}};
    for (const layer& l : layers)
    {
        for (const char* const share : {"0.5", "0.7", "0.8", "0.9", "0.95", "0.98"})
        {
            const std::string name = std::string(l.set) + "/" + share + "/" + l.file;
            const std::string path = folder + "/dlmc/" + name + ".smtx.gz";
            if (!std::filesystem::exists(path))
            {
                std::fprintf(stderr, "absent: %s\n", path.c_str());
                continue;
            }
            const auto w = read_pattern(path);
            for (const index_t batch : {1, 8, 64, 256})
            {
                rows.add(check(count, table, name, as_view(w), {nn::layer_kind::dense, batch}));
            }
            if (l.window > 0)
            {
                rows.add(check(count, table, name, as_view(w),
                    {l.window == 1 ? nn::layer_kind::pointwise : nn::layer_kind::convolution,
                        l.positions}));
            }
        }
    }
}

void check_random(results::table& rows, tally& count, const nn::plan_table& table)
{
    random_engine rng(1);
    struct extents
    {
        index_t rows;
        index_t columns;
    };
    for (const extents& e : {extents{1024, 1024}, {300, 784}, {4096, 4096}, {10, 100}, {40, 3000},
             {2000, 48}, {64, 64}})
    {
        const bool large = e.rows * e.columns > (1 << 22);
        for (const double density : {0.7, 0.5, 0.3, 0.1, 0.02})
        {
            if (large && density != 0.5 && density != 0.1)
            {
                continue; // takes long
            }
            const auto w = nn::detail::plan_matrix_for<float>(
                nn::weight_format::csr16, e.rows, e.columns, density, rng);
            check_worst(rows, count, table, "random", as_view(w),
                large ? batches({1, 8, 64}) : batches({1, 3, 8, 24, 64, 100, 256}));
        }
    }
    for (const auto format : {nn::weight_format::vectors, nn::weight_format::nm2x4,
             nn::weight_format::nm1x4, nn::weight_format::nm4x8})
    {
        for (const extents& e : {extents{1024, 1024}, {300, 784}})
        {
            const auto w = nn::detail::plan_matrix_for<float>(format, e.rows, e.columns, 0.2, rng);
            check_worst(rows, count, table, "random " + std::string(nn::name_of(format)),
                as_view(w), batches({1, 8, 64, 256}));
        }
    }
    // Rows of a slice whose non-zeros lie in columns of their own: the worst padding.
    auto stairs = zeros<float>(shape<2>{1024, 1024});
    for (index_t i = 0; i < 1024 * 64; ++i)
    {
        stairs.data()[i / 64 * 1024 + i / 64 % 16 * 64 + i % 64] = 0.5f;
    }
    check_worst(rows, count, table, "stairs", as_view(stairs), batches({1, 8, 64}));
    // 3 x 3 and 1 x 1 convolutions, the last use with several images.
    for (const extents& e :
        {extents{32, 288}, {64, 576}, {128, 1152}, {256, 128}, {64, 256}, {32, 32}})
    {
        const auto kind =
            e.columns % 9 == 0 ? nn::layer_kind::convolution : nn::layer_kind::pointwise;
        for (const double density : {0.5, 0.2, 0.05})
        {
            const auto w = nn::detail::plan_matrix_for<float>(
                nn::weight_format::csr16, e.rows, e.columns, density, rng);
            check_worst(rows, count, table, "random", as_view(w),
                {{kind, 49}, {kind, 196}, {kind, 784}, {kind, 196, 16}});
        }
    }
}

/// Layers of residual networks for small images: one, a few, and a batch of images.
void check_images(results::table& rows, tally& count, const nn::plan_table& table)
{
    random_engine rng(2);
    struct extents
    {
        index_t channels;
        index_t side;
    };
    for (const extents& e : {extents{16, 32}, {32, 16}, {64, 8}, {64, 16}})
    {
        for (const double density : {0.5, 0.2, 0.1, 0.05})
        {
            const auto w = nn::detail::plan_matrix_for<float>(
                nn::weight_format::csr16, e.channels, 9 * e.channels, density, rng);
            for (const index_t images : {1, 4, 64})
            {
                rows.add(check(count, table, "random", as_view(w),
                    {nn::layer_kind::convolution, e.side * e.side, images}));
            }
        }
    }
}

} // namespace

int main(int argc, char** argv)
{
    try
    {
        bool measured = true;
        nn::plan_table table = nn::built_in_plan_table();
        for (int i = 1; i < argc; ++i)
        {
            measured = measured && std::string(argv[i]) != "--skip-table";
            if (std::string(argv[i]) == "--table" && i + 1 < argc)
            {
                table = io::load_plan_table(argv[i + 1]);
            }
        }
        if (measured)
        {
            std::printf("%s", nn::measure_plan({.rounds = 7}).text().c_str());
        }
        results::table rows("plan", {1},
            "What `nn::plan` chooses for latency from the built-in table (" + table.target() +
                ", margin 10 %), beside measured times of all formats that hold the matrix: dense "
                "layers, and convolutions of one image where no number of images is given. Weights "
                "are "
                "layers of pruned networks "
                "(DLMC) and random patterns. Processor time of one thread; medians of 5, formats "
                "taking turns. `choice / dense` and `predicted` are times by the dense format's, "
                "`choice / best` is by the fastest format's.");
        tally count;
        check_real(rows, count, table, results::environment("STRUCTOPT_DATA_DIR"));
        check_random(rows, count, table);
        check_images(rows, count, table);
        rows.write(results::output_folder(argc, argv));
        std::printf("%d cases, %d sparse, %d slower than dense by more than 2 %%; largest time by "
                    "dense %.2f, by the best format %.2f, mean %.3f\n",
            count.cases, count.sparse, count.slower, count.worst, count.regret,
            count.regrets / std::max(count.cases, 1));
        return count.slower == 0 ? 0 : 1;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "results_plan: %s\n", e.what());
        return 2;
    }
}
