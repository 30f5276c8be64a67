#include "support/golden.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/safetensors.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace test_safetensors_writer
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

template <class T>
T value(int i)
{
    if constexpr (io::detail::is_small_float<T>)
    {
        return T(static_cast<float>(i) / 4);
    }
    else if constexpr (std::is_same_v<T, bool>)
    {
        return i % 2 != 0;
    }
    else
    {
        return static_cast<T>(i * 9);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("safetensors: what is written reads back")
    {
        const support::scratch_folder folder;
        const auto path = folder.path("model.safetensors");
        auto weight = make_tensor<float>(shape<2>{3, 5});
        for (int i = 0; i < 15; ++i)
        {
            weight.data()[i] = static_cast<float>(i) / 3;
        }
        io::safetensors_writer writer;
        writer.add("weight", weight);
        writer.add("bias", full<double>(shape<1>{3}, 0.1));
        writer.set_metadata("made by", "structopt");
        const auto size = writer.write(path);
        CHECK(size == support::slurp(path).size());
        CHECK(folder.count() == 1);

        const io::safetensors_file file(path);
        CHECK(file.names() == std::vector<std::string>{"bias", "weight"});
        CHECK(file.metadata().at("made by") == "structopt");
        const auto found = file.read<float, 2>("weight");
        CHECK(shape_of(found) == shape<2>{3, 5});
        CHECK(std::equal(found.begin(), found.end(), weight.begin()));
        CHECK(file.read<double, 1>("bias")(2) == 0.1);
        CHECK(file.read<float, 1>("bias")(2) == 0.1f);
    }
}

TEST_CASE("safetensors: every dtype survives, aligned for borrowing")
{
    io::safetensors_writer writer;
    for (const auto& row : io::detail::element_types)
    {
        io::visit_dtype(row.type,
            [&]<class T>(std::type_identity<T>)
            {
                auto x = make_tensor<T>(shape<2>{3, 7});
                for (int i = 0; i < 21; ++i)
                {
                    x.data()[i] = value<T>(i);
                }
                writer.add(std::string("t.") + std::string(row.name), x);
            });
    }
    const auto bytes = writer.to_bytes();
    REQUIRE(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 == 0);
    const io::safetensors_file file(bytes, "bytes");
    CHECK(file.size() == 15);
    CHECK(file.entries()[0].offset % 8 == 0);
    for (const auto& row : io::detail::element_types)
    {
        io::visit_dtype(row.type,
            [&]<class T>(std::type_identity<T>)
            {
                const auto name = std::string("t.") + std::string(row.name);
                CHECK(file.at(name).type == row.type);
                CHECK(file.at(name).offset % io::bytes_of(row.type) == 0);
                const auto x = file.read<T, 2>(name);
                int wrong = 0;
                for (int i = 0; i < 21; ++i)
                {
                    const T expected = value<T>(i);
                    wrong += std::memcmp(x.data() + i, &expected, sizeof(T)) == 0 ? 0 : 1;
                }
                CHECK(wrong == 0);
                if constexpr (!std::is_same_v<T, bool>)
                {
                    const auto borrowed = file.borrow<T, 2>(name);
                    CHECK(borrowed.shape() == shape<2>{3, 7});
                    CHECK(std::memcmp(borrowed.data(), x.data(), 21 * sizeof(T)) == 0);
                }
            });
    }
}

TEST_CASE("safetensors: the bytes of the reference implementation")
{
    const auto path = support::golden_path("io/dtypes.safetensors");
    const io::safetensors_file file(path);
    io::safetensors_writer writer;
    std::vector<const io::tensor_entry*> order;
    for (const auto& entry : file.entries())
    {
        order.push_back(&entry);
    }
    // In another order than they are written.
    std::reverse(order.begin(), order.end());
    for (const auto* const entry : order)
    {
        writer.add(entry->name, entry->type, entry->shape, entry->bytes);
    }
    writer.set_metadata("format", "np");
    const auto bytes = writer.to_bytes();
    CHECK(support::bytes(bytes.begin(), bytes.end()) == support::slurp(path));
}

TEST_CASE("safetensors: the order of adding does not matter")
{
    const auto x = full<float>(shape<1>{3}, 1.f);
    const auto y = full<std::int8_t>(shape<1>{3}, std::int8_t(2));
    io::safetensors_writer one;
    one.set_metadata("b", "2");
    one.set_metadata("a", "1");
    one.add("x", x);
    one.add("a", y);
    io::safetensors_writer other;
    other.add("a", y);
    other.add("x", x);
    other.set_metadata("a", "1");
    other.set_metadata("b", "2");
    CHECK(one.to_bytes() == other.to_bytes());
    CHECK(one.size() == 2);
    CHECK(one.contains("a"));
    CHECK(!one.contains("b"));

    const io::safetensors_writer empty;
    const auto bytes = empty.to_bytes();
    CHECK(bytes.size() == 16);
    CHECK(io::safetensors_file(bytes, "bytes").size() == 0);
}

TEST_CASE("safetensors: strided views, conversion, scalars and empty tensors")
{
    auto x = make_tensor<float>(shape<2>{2, 3});
    for (int i = 0; i < 6; ++i)
    {
        x.data()[i] = static_cast<float>(i) + 0.25f;
    }
    io::safetensors_writer writer;
    writer.add("transposed", view<const float, 2>(x.data(), {3, 2}, {1, 3}));
    writer.add_as<io::half>("half", x);
    writer.add_as<io::bfloat16>("bf16", as_view(x));
    writer.add("scalar", full<float>(shape<0>{}, 7.f));
    writer.add("empty", zeros<float>(shape<2>{0, 5}));
    writer.add(
        "raw", io::dtype::i16, std::array<index_t, 1>{2}, support::to_bytes({1, 0, 255, 255}));
    const auto bytes = writer.to_bytes();
    const io::safetensors_file file(bytes, "bytes");
    const auto transposed = file.read<float, 2>("transposed");
    CHECK(transposed(2, 1) == 5.25f);
    CHECK(transposed(0, 1) == 3.25f);
    CHECK(file.at("half").type == io::dtype::f16);
    CHECK(file.read<float, 2>("half")(1, 2) == 5.25f);
    CHECK(file.read<double, 2>("bf16")(1, 2) == 5.25);
    CHECK(file.read<float, 0>("scalar")() == 7.f);
    CHECK(shape_of(file.read<float, 2>("empty")) == shape<2>{0, 5});
    CHECK(file.read<int, 1>("raw")(1) == -1);

    // Into part of a larger tensor.
    auto wide = full<double>(shape<2>{2, 4}, -1.0);
    file.read_into("half", view<double, 2>(wide.data(), {2, 3}, {4, 1}));
    CHECK(wide(1, 2) == 5.25);
    CHECK(wide(0, 3) == -1.0);
    CHECK(wide(1, 3) == -1.0);
}

TEST_CASE("safetensors: names and metadata of any UTF-8")
{
    io::safetensors_writer writer;
    const std::string name("a\"\\\b\f\n\r\t\x01 \xc3\xa4\xf0\x9f\x98\x80\0z", 19);
    writer.add(name, full<float>(shape<1>{1}, 1.f));
    writer.add("", full<float>(shape<1>{1}, 2.f));
    writer.set_metadata(name, name);
    const auto bytes = writer.to_bytes();
    const io::safetensors_file file(bytes, "bytes");
    CHECK(file.read<float, 1>(name)(0) == 1.f);
    CHECK(file.read<float, 1>("")(0) == 2.f);
    CHECK(file.metadata().at(name) == name);
}

TEST_CASE("safetensors: what cannot be written is refused and leaves the writer as it was")
{
    io::safetensors_writer writer;
    const auto x = full<float>(shape<1>{3}, 1.f);
    writer.add("x", x);
    const auto before = writer.to_bytes();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        writer.add("x", x);
                    }),
        {"'x'", "a second one"});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        writer.add("__metadata__", x);
                    }),
        {"'__metadata__'", "a reserved one"});
    for (const char* const bad :
        {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x9f\xbf", "a\x80"})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            writer.add(bad, x);
                        }),
            {"UTF-8"});
        CHECK_THROWS_AS(writer.set_metadata(bad, ""), argument_error);
        CHECK_THROWS_AS(writer.set_metadata("", bad), argument_error);
    }
    const support::bytes raw(12);
    const auto add_raw = [&](std::vector<index_t> extents)
    {
        return message_of<shape_error>(
            [&]
            {
                writer.add("y", io::dtype::f32, extents, raw);
            });
    };
    check_parts(add_raw({4}), {"'y'", "16 bytes for F32 [4]", "got 12"});
    check_parts(add_raw({-3}), {"'y'", "none negative", "[-3]"});
    check_parts(add_raw({index_t(1) << 62, 4}), {"'y'", "fits in memory"});
    CHECK(writer.to_bytes() == before);
}

} // namespace test_safetensors_writer
