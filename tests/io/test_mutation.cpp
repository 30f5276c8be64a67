// Damages a small valid file of each format in every place: the reader must take it or refuse it
// with the promised errors, never crash or read outside (run under the address sanitizer).

#include "support/golden.hpp"
#include "support/io_consume.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace test_mutation
{

using namespace structopt;

namespace
{

/// A copy of its own on the heap, so that a read one byte outside is seen.
template <class Consume>
bool consume_exactly(const Consume& consume, std::span<const std::byte> data)
{
    const std::unique_ptr<std::byte[]> copy(new std::byte[data.size()]);
    std::copy(data.begin(), data.end(), copy.get());
    return consume(std::span<const std::byte>(copy.get(), data.size()));
}

struct counts
{
    int taken = 0;
    int refused = 0;
    int cuts_taken = 0;
};

template <class Consume>
counts mutate(support::bytes data, const Consume& consume)
{
    REQUIRE(consume_exactly(consume, data));
    counts result;
    const auto note = [&]
    {
        (consume_exactly(consume, data) ? result.taken : result.refused) += 1;
    };
    for (auto& b : data)
    {
        const std::byte before = b;
        for (const int mask : {0x01, 0x02, 0x08, 0x20, 0x80, 0xff})
        {
            b = before ^ static_cast<std::byte>(mask);
            note();
        }
        for (const char value : {'\0', '0', '9', '-', '"', '{', ']', ' ', '\xff'})
        {
            b = static_cast<std::byte>(value);
            note();
        }
        b = before;
    }
    for (std::size_t i = 0; i <= data.size(); ++i)
    {
        auto longer = data;
        longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(i), std::byte{'1'});
        (consume_exactly(consume, longer) ? result.taken : result.refused) += 1;
        if (i < data.size())
        {
            auto shorter = data;
            shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
            (consume_exactly(consume, shorter) ? result.taken : result.refused) += 1;
            const auto cut = std::span<const std::byte>(data).first(i);
            result.cuts_taken += consume_exactly(consume, cut) ? 1 : 0;
        }
    }
    CHECK(result.taken > 0);
    CHECK(result.refused > 100);
    return result;
}

support::bytes golden(const char* name)
{
    return support::slurp(support::golden_path(std::string("io/") + name));
}

} // namespace

TEST_CASE("mutation: safetensors")
{
    io::safetensors_writer writer;
    writer.set_metadata("k", "v");
    writer.add("a", full<float>(shape<2>{2, 2}, 1.f));
    writer.add("b", full<bool>(shape<1>{3}, true));
    writer.add("c", zeros<std::int64_t>(shape<1>{0}));
    const auto bytes = writer.to_bytes();
    const auto result = mutate({bytes.begin(), bytes.end()}, support::consume_safetensors);
    CHECK(result.cuts_taken == 0);
}

TEST_CASE("mutation: npy")
{
    CHECK(mutate(golden("i2_fortran.npy"), support::consume_npy<float, 3>).cuts_taken == 0);
    CHECK(mutate(golden("f8_big.npy"), support::consume_npy<double, 3>).cuts_taken == 0);
    CHECK(mutate(golden("bool.npy"), support::consume_npy<bool, 3>).cuts_taken == 0);
    CHECK(mutate(golden("u4_v2.npy"), support::consume_npy<std::uint32_t, 3>).cuts_taken == 0);
}

TEST_CASE("mutation: idx")
{
    auto data = support::to_bytes({0, 0, 0x0b, 2, 0, 0, 0, 3, 0, 0, 0, 20});
    data.resize(data.size() + 120);
    CHECK(mutate(data, support::consume_idx).cuts_taken == 0);
}

TEST_CASE("mutation: csv")
{
    mutate(support::to_bytes("# c\n1,-2.5,3e4\r\n\"4\", 5,nan\n6,7,+8"), support::consume_csv);
}

TEST_CASE("mutation: Matrix Market")
{
    mutate(support::to_bytes("%%MatrixMarket matrix coordinate real symmetric\n% c\n3 3 2\n"
                             "1 1 -2.5\n3 2 1e2\n"),
        support::consume_matrix_market);
    mutate(support::to_bytes("%%MatrixMarket matrix array integer general\n2 2\n1\n2\n3\n4\n"),
        support::consume_matrix_market);
}

TEST_CASE("mutation: smtx")
{
    mutate(support::to_bytes("3, 12, 4\n0 2 2 4\n9 1 0 11\n"), support::consume_smtx);
}

TEST_CASE("mutation: CIFAR")
{
    support::bytes data(2 * 3073);
    data[3073] = std::byte{9};
    int cuts = 0;
    for (std::size_t i = 0; i < data.size(); i += 61)
    {
        cuts += consume_exactly(support::consume_cifar10, std::span<const std::byte>(data).first(i))
                    ? 1
                    : 0;
    }
    CHECK(cuts == 1); // nothing is no record
    for (const std::size_t at : {std::size_t(0), std::size_t(3073), std::size_t(100)})
    {
        for (int value = 0; value < 256; ++value)
        {
            auto changed = data;
            changed[at] = static_cast<std::byte>(value);
            CHECK(consume_exactly(support::consume_cifar10, changed) == (value < 10 || at == 100));
        }
    }
}

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("mutation: compressed idx")
{
    auto data = support::to_bytes({0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 20});
    for (int i = 0; i < 60; ++i)
    {
        data.push_back(static_cast<std::byte>(i * i));
    }
    CHECK(mutate(support::gzip(data), support::consume_idx).cuts_taken == 0);
}

#endif

} // namespace test_mutation
