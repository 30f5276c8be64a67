#include <structopt/core/random.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/packed_model.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/memory_file.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"
#include "support/threads.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace test_packed_model
{

using namespace structopt;
using quantize::int8_nm;
using quantize::int8_vectors;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

static_assert(nn::packable_storage<int8_vectors<>>);
static_assert(nn::packable_storage<int8_nm>);
static_assert(!nn::is_exact<int8_nm>::value);
static_assert(!nn::trainable_storage<int8_vectors<>>);
static_assert(!nn::is_exact<int8_vectors<std::uint8_t>>::value);

/// At most two of every four columns, in runs of 16 rows.
void thin_out(float* w, index_t size, index_t columns)
{
    for (index_t i = 0; i < size; ++i)
    {
        const index_t r = i / columns;
        const index_t c = i % columns;
        if ((c + r / 16) % 4 > 1 || (c / 4 + r / 16) % 3 == 0)
        {
            w[i] = 0.0f;
        }
    }
}

/// The same bits as the dense int8 network, in every batch, both layouts and every number of threads.
template <class Format>
void check_format(const char* name)
{
    using traits = nn::storage_traits<Format>;
    CHECK(traits::name() == name);
    random_engine rng(1);
    nn::dense<float> layer({.in = 70, .out = 37}, rng);
    thin_out(layer.weight.data(), 37 * 70, 70);
    layer.bias = random_tensor<float>(shape<1>{37}, rng);
    const nn::sequential net{layer, nn::relu{}};
    const auto dense = quantize::convert(net);
    const auto packed = quantize::convert<Format>(net);
    const Format& weight = packed.template layer<0>().weight;
    CHECK(traits::rows(weight) == 37);
    CHECK(traits::columns(weight) == 70);
    CHECK(traits::bytes(weight) == weight.bytes());
    CHECK(traits::unpack(weight) == dense.template layer<0>().weight.codes().dequantize());
    for (index_t batch : {0, 1, 2, 5, 33, 64, 65})
    {
        auto x = random_tensor<float>(shape<2>{batch, 70}, rng);
        CHECK(dense(x) == packed(x));
        if (batch > 2)
        {
            x(1, 3) = std::numeric_limits<float>::infinity();
            const auto y = packed(x);
            CHECK(std::isnan(y(1, 0)));
            CHECK_FALSE(std::isnan(y(2, 0)));
        }
        for (int threads : {1, 2})
        {
            support::with_threads with(threads);
            const auto feature_major = random_tensor<float>(shape<2>{70, batch}, rng);
            const view<const float, 2> turned(feature_major.data(), {batch, 70}, {1, batch});
            tensor<float, 2> results[2];
            const auto run = [&]<class Storage>(const Storage& s, tensor<float, 2>& y)
            {
                using own = nn::storage_traits<Storage>;
                buffer<std::byte> bytes(own::scratch_bytes(s, batch));
                y = structopt::full<float>(shape<2>{37, batch}, 77.0f);
                own::product(s, turned, layer.bias.data(),
                    view<float, 2>(y.data(), {batch, 37}, {1, batch}),
                    nn::scratch(bytes.data(), bytes.size()));
            };
            run(dense.template layer<0>().weight, results[0]);
            run(weight, results[1]);
            CHECK(results[0] == results[1]);
        }
    }
    const support::scratch_folder folder;
    const std::string path = folder.path("packed.safetensors");
    io::save_state(packed, path);
    const auto nothing = zeros<float>(shape<2>{37, 70});
    auto other = packed;
    other.template layer<0>().weight =
        traits::pack(view<const float, 2>(nothing.data(), shape<2>{37, 70}));
    io::load_state(other, path);
    CHECK(other.template layer<0>().weight.codes() == weight.codes());
}

template <class Format>
void check_convolution()
{
    random_engine rng(6);
    const nn::conv2d_options cases[] = {{.in = 3, .out = 8, .kernel = 1},
        {.in = 3, .out = 20, .kernel = 3, .padding = 1},
        {.in = 4, .out = 6, .kernel = {2, 3}, .stride = 2, .padding = 2, .dilation = {1, 2}}};
    for (const auto& options : cases)
    {
        nn::sequential net{nn::conv2d{options, rng}, nn::relu{}};
        auto& weight = net.template layer<0>().weight;
        thin_out(weight.data(), size_of(weight), size_of(weight) / options.out);
        const auto x = random_tensor<float>(shape<4>{3, options.in, 6, 5}, rng);
        CHECK(quantize::convert(net)(x) == quantize::convert<Format>(net)(x));
    }
    // Several blocks of positions, the last one smaller, which may need more scratch.
    const std::array<index_t, 3> images[] = {{32, 14, 14}, {12, 28, 28}, {12, 32, 32}, {8, 28, 28}};
    for (const auto& [channels, height, width] : images)
    {
        nn::sequential net{nn::conv2d{{.in = channels, .out = 5, .kernel = 3, .padding = 1}, rng}};
        auto& weight = net.template layer<0>().weight;
        thin_out(weight.data(), size_of(weight), size_of(weight) / 5);
        const auto x = random_tensor<float>(shape<4>{1, channels, height, width}, rng);
        CHECK(quantize::convert(net)(x) == quantize::convert<Format>(net)(x));
    }
}

/// The message for a file that was tampered with.
template <class Format, class Change>
std::string complaint(const Format& weight, const Change& change)
{
    using traits = nn::storage_traits<Format>;
    support::memory_file file{traits::rows(weight), traits::columns(weight)};
    traits::save(weight, file);
    change(file);
    return message_of<format_error>(
        [&]
        {
            traits::load(file);
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("layers over structured int8 compute what dense int8 does, and come back from files")
    {
        check_format<int8_vectors<>>("vectors16_int8");
        check_format<int8_nm>("nm2x4_int8");
    }
}

TEST_CASE("structured int8 with other indices")
{
    check_format<int8_vectors<std::uint8_t>>("vectors8_int8");
    check_format<int8_vectors<std::uint32_t>>("vectors_int8");
    const auto wide = zeros<float>(shape<2>{1, 257});
    CHECK_FALSE(nn::storage_traits<int8_vectors<std::uint8_t>>::fits({wide.data(), {1, 257}}));
    CHECK(nn::storage_traits<int8_vectors<>>::fits({wide.data(), {1, 257}}));
}

TEST_CASE("convolutions with structured int8")
{
    check_convolution<int8_vectors<>>();
    check_convolution<int8_nm>();
}

TEST_CASE("vectors in files that lie")
{
    random_engine rng(3);
    auto w = random_tensor<float>(shape<2>{20, 10}, rng);
    thin_out(w.data(), 200, 10);
    const int8_vectors<> weight{as_view(w)};
    using file = support::memory_file;
    const auto with = [&](const auto& change)
    {
        return complaint(weight, change);
    };
    CHECK(with([](file&) {}) == "");
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::uint16_t>("indices", 1, 10);
                    }),
        {"bsr", "block row 0"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::uint16_t>("indices", 1, 0);
                    }),
        {"bsr", "block row 0"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::uint32_t>("offsets", 1, 4'000'000'000u);
                    }),
        {"bsr"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["codes"].pop_back();
                    }),
        {"bsr"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["codes"].back() = 1;
                    }),
        {"bsr", "edge"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::int8_t>("codes", 5, -128);
                    }),
        {"int8 codes, position 5", "-128"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<float>("scales", 1, -1.0f);
                    }),
        {"int8 scale, row 1"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["scales"].resize(8);
                    }),
        {"int8 scales", "20"});
    for (const index_t n : {index_t{0}, index_t{36}, index_t{1} << 40, index_t{1} << 62})
    {
        check_parts(with(
                        [&](file& f)
                        {
                            f.n = n;
                        }),
            {"bsr"});
        check_parts(with(
                        [&](file& f)
                        {
                            f.k = n == 36 ? 2 : n;
                        }),
            {"bsr"});
    }
}

TEST_CASE("2:4 in files that lie")
{
    random_engine rng(3);
    auto w = random_tensor<float>(shape<2>{20, 10}, rng);
    thin_out(w.data(), 200, 10);
    const int8_nm weight{as_view(w)};
    using traits = nn::storage_traits<int8_nm>;
    CHECK(traits::fits(as_view(w)));
    const auto full = structopt::full<float>(shape<2>{20, 10}, 1.0f);
    CHECK_FALSE(traits::fits(as_view(full)));
    CHECK(message_of<argument_error>(
              [&]
              {
                  traits::pack(as_view(full));
              }) != "");
    using file = support::memory_file;
    const auto with = [&](const auto& change)
    {
        return complaint(weight, change);
    };
    CHECK(with([](file&) {}) == "");
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::uint8_t>("positions", 0, 0);
                    }),
        {"nm positions, row 0"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["positions"].pop_back();
                    }),
        {"nm", "positions"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["codes"].pop_back();
                    }),
        {"nm", "values"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<std::int8_t>("codes", 5, -128);
                    }),
        {"int8 codes, position 5", "-128"});
    check_parts(with(
                    [](file& f)
                    {
                        f.set<float>("scales", 1, -1.0f);
                    }),
        {"int8 scale, row 1"});
    check_parts(with(
                    [](file& f)
                    {
                        f.parts["scales"].resize(8);
                    }),
        {"int8 scales", "20"});
    for (const index_t n : {index_t{0}, index_t{36}, index_t{1} << 40, index_t{1} << 62})
    {
        check_parts(with(
                        [&](file& f)
                        {
                            f.n = n;
                        }),
            {"nm"});
        check_parts(with(
                        [&](file& f)
                        {
                            f.k = n;
                        }),
            {"nm"});
    }
}

} // namespace test_packed_model
