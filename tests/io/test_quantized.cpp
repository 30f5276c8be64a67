#include <structopt/io/quantized.hpp>
#include <structopt/quantize.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace test_quantized
{

using namespace structopt;
using quantize::affine;
using quantize::per_channel;
using quantize::per_group;
using quantize::symmetric;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

using matrix = quantize::quantized_tensor<affine<3>, per_group<5>>;

matrix example()
{
    random_engine rng(3);
    return quantize::encode(
        random_tensor<float>(shape<2>{3, 10}, rng), affine<3>{}, per_group<5>{});
}

/// The file of a writer, read from memory.
template <class Q>
Q reread(const io::safetensors_writer& writer, const std::string& name)
{
    const auto bytes = writer.to_bytes();
    return io::read_quantized<Q>(io::safetensors_file(bytes, "memory"), name);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("quantized tensors in files: bits and parameters come back")
    {
        const support::scratch_folder folder;
        const auto q = example();
        io::save_quantized(q, folder.path("q.safetensors"));
        CHECK(io::load_quantized<matrix>(folder.path("q.safetensors")) == q);

        random_engine rng(5);
        const auto x = random_tensor<float>(shape<3>{3, 2, 7}, rng);
        const auto a = quantize::encode(x, symmetric<5>{}, per_channel<1>{});
        const auto b = quantize::encode(x, symmetric<16>{});
        const auto c = quantize::encode(zeros<float>(shape<2>{0, 7}), affine<4>{});
        io::safetensors_writer writer;
        io::add_quantized(writer, "a", a);
        io::add_quantized(writer, "b", b);
        io::add_quantized(writer, "c", c);
        CHECK(reread<std::remove_cvref_t<decltype(a)>>(writer, "a") == a);
        CHECK(reread<std::remove_cvref_t<decltype(b)>>(writer, "b") == b);
        CHECK(reread<std::remove_cvref_t<decltype(c)>>(writer, "c") == c);
    }
}

TEST_CASE("the file as a reader without this library sees it")
{
    const auto q = example();
    io::safetensors_writer writer;
    io::add_quantized(writer, "w", q);
    const auto bytes = writer.to_bytes();
    const io::safetensors_file file(bytes, "memory");
    CHECK(file.size() == 3);
    CHECK(file.metadata().at("w") ==
          "scheme=affine bits=3 signed=0 granularity=per_group group=5 shape=3,10");
    const auto codes = file.read<std::uint8_t, 1>("w.codes");
    const auto scales = file.read<float, 1>("w.scale");
    const auto zeros_of = file.read<std::int32_t, 1>("w.zero_point");
    REQUIRE(codes.size() == 12);
    REQUIRE(scales.size() == 6);
    for (index_t i = 0; i < 30; ++i)
    {
        int code = 0;
        for (index_t bit = 0; bit < 3; ++bit)
        {
            const index_t at = 3 * i + bit;
            code |= (codes(at / 8) >> (at % 8) & 1) << bit;
        }
        const float value = scales(i / 5) * static_cast<float>(code - zeros_of(i / 5));
        CHECK(value == q.value(i / 10, i % 10));
    }
}

TEST_CASE("files that hold something else")
{
    const auto q = example();
    io::safetensors_writer writer;
    io::add_quantized(writer, "w", q);
    const auto read_as = [&]<class Q>(std::type_identity<Q>, const char* name)
    {
        return message_of<format_error>(
            [&]
            {
                reread<Q>(writer, name);
            });
    };
    check_parts(read_as(std::type_identity<matrix>{}, "v"), {"memory", "'v'", "metadata", "none"});
    using other_scheme = quantize::quantized_tensor<symmetric<3>, per_group<5>>;
    check_parts(read_as(std::type_identity<other_scheme>{}, "w"),
        {"'w'", "scheme=symmetric bits=3", "scheme=affine bits=3"});
    using other_group = quantize::quantized_tensor<affine<3>, per_group<2>>;
    check_parts(read_as(std::type_identity<other_group>{}, "w"), {"group=2", "group=5"});
    using other_rank = quantize::quantized_tensor<affine<3>, per_group<5>, 3>;
    check_parts(read_as(std::type_identity<other_rank>{}, "w"), {"<3 extents>", "shape=3,10"});

    const std::string text = "scheme=affine bits=3 signed=0 granularity=per_group group=5 shape=";
    for (const char* const extents : {"", "3", "3,", "3,10,", "3,-10", "3,1e1", " 3,10",
             "4000000000000,4000000000000", "99999999999999999999,1"})
    {
        CAPTURE(extents);
        writer.set_metadata("w", text + extents);
        CHECK(read_as(std::type_identity<matrix>{}, "w") != "");
    }
    // Other extents than the codes have.
    writer.set_metadata("w", text + "3,15");
    CHECK_THROWS_AS(reread<matrix>(writer, "w"), shape_error);
    // Slices without elements, more than there can be.
    using channels = quantize::quantized_tensor<affine<3>, per_channel<0>>;
    writer.set_metadata(
        "w", "scheme=affine bits=3 signed=0 granularity=per_channel axis=0 shape=1000000000000,0");
    CHECK_THROWS_AS(reread<channels>(writer, "w"), shape_error);

    io::safetensors_writer damaged;
    damaged.set_metadata("w", text + "1,5");
    damaged.add("w.codes", full<std::uint8_t>(shape<1>{2}, std::uint8_t{0xff}));
    damaged.add("w.scale", full<float>(shape<1>{1}, 1.0f));
    damaged.add("w.zero_point", zeros<std::int32_t>(shape<1>{1}));
    check_parts(message_of<format_error>(
                    [&]
                    {
                        reread<matrix>(damaged, "w");
                    }),
        {"zeros behind the last code"});
}

} // namespace test_quantized
