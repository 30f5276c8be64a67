#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/cifar.hpp>

#include <string>

namespace test_cifar
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

support::bytes records(std::size_t n)
{
    support::bytes data;
    for (std::size_t i = 0; i < n; ++i)
    {
        data.push_back(static_cast<std::byte>(9 - i));
        for (std::size_t p = 0; p < 3072; ++p)
        {
            data.push_back(static_cast<std::byte>(p % 251 + i));
        }
    }
    return data;
}

std::string refusal(const support::bytes& data)
{
    return message_of<format_error>(
        [&]
        {
            io::byte_source source(data, "x.bin");
            io::read_cifar10(source);
        });
}

} // namespace

TEST_CASE("cifar: labels and planes")
{
    const auto data = records(3);
    io::byte_source source(data, "x.bin");
    const auto found = io::read_cifar10(source);
    CHECK(shape_of(found.labels) == shape<1>{3});
    CHECK(shape_of(found.images) == shape<4>{3, 3, 32, 32});
    CHECK(found.labels(2) == 7);
    const index_t p = 2 * 1024 + 5 * 32 + 31;
    CHECK(found.images(1, 2, 5, 31) == p % 251 + 1);
    io::byte_source nothing({}, "x.bin");
    CHECK(shape_of(io::read_cifar10(nothing).images) == shape<4>{0, 3, 32, 32});
}

TEST_CASE("cifar: what does not fit is refused")
{
    auto data = records(2);
    data.pop_back();
    check_parts(refusal(data), {"x.bin", "records of 3073 bytes", "6145 bytes"});
    data = records(2);
    data[3073] = std::byte{10};
    check_parts(refusal(data), {"x.bin at byte 3073", "a label of 0 to 9", "got 10"});
}

} // namespace test_cifar
