#include <structopt/core/random.hpp>
#include <structopt/quantize/int8_matrix.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <limits>

namespace test_int8_matrix
{

using namespace structopt;
using quantize::int8_codes;
using quantize::int8_matrix;
using quantize::sparse_int8;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

/// Random codes, about `zeros` of them 0, with random scales.
int8_codes random_codes(index_t rows, index_t columns, double zeros, random_engine& rng)
{
    int8_codes q{
        make_tensor<std::int8_t>(shape<2>{rows, columns}), make_tensor<float>(shape<1>{rows})};
    for (auto& code : q.codes)
    {
        code = static_cast<std::int8_t>(
            uniform<double>(rng) < zeros ? 0 : uniform_index(rng, 255) - 127);
    }
    for (float& scale : q.scales)
    {
        scale = uniform<float>(rng);
    }
    return q;
}

template <class Matrix>
std::string complaint(const int8_codes& q)
{
    return message_of<format_error>(
        [&]
        {
            Matrix{q};
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("codes come back out of both layouts")
    {
        random_engine rng(1);
        for (const shape<2> extents :
            {shape<2>{0, 0}, shape<2>{0, 3}, shape<2>{3, 0}, shape<2>{1, 1}, shape<2>{31, 17},
                shape<2>{32, 16}, shape<2>{33, 65}, shape<2>{70, 3}})
        {
            INFO(describe(extents));
            const auto q = random_codes(extents[0], extents[1], 0.5, rng);
            const int8_matrix dense(q);
            CHECK(dense.codes() == q);
            CHECK(dense.rows() == extents[0]);
            CHECK(dense.columns() == extents[1]);
            CHECK(dense.size() == q.codes.size());
            CHECK(dense.bytes() == q.codes.size() + 4 * q.scales.size());
            const sparse_int8<std::uint8_t> sparse(q);
            CHECK(sparse.codes().to_dense() == q.codes);
            CHECK(sparse.scales() == q.scales);
            CHECK(sparse.size() == q.codes.size());
            CHECK(sparse.bytes() == sparse.codes().bytes() + 4 * q.scales.size());
        }
    }
}

TEST_CASE("a float matrix is quantized on the way")
{
    random_engine rng(2);
    const auto w = random_tensor<float>(shape<2>{5, 9}, rng);
    const auto q = quantize::to_int8(as_view(w));
    CHECK(int8_matrix(as_view(w)).codes() == q);
    CHECK(sparse_int8<>(as_view(w)).codes().to_dense() == q.codes);
    auto bad = w;
    bad(2, 2) = std::numeric_limits<float>::infinity();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        int8_matrix{as_view(bad)};
                    }),
        {"row 2"});
}

TEST_CASE("a code that rounds to zero is not stored")
{
    tensor<float, 2> w = {{127.0f, 0.4f, 0.0f, 0.6f}};
    const sparse_int8<> s{as_view(w)};
    CHECK(s.codes().nonzeros() == 2);
    CHECK(s.codes().indices()[1] == 3);
}

TEST_CASE("an empty matrix")
{
    CHECK(int8_matrix().rows() == 0);
    CHECK(int8_matrix().bytes() == 0);
    CHECK(sparse_int8<>().codes().rows() == 0);
}

TEST_CASE("the code -128, and scales that are none, are refused")
{
    random_engine rng(3);
    const auto good = random_codes(4, 6, 0.0, rng);
    CHECK(complaint<int8_matrix>(good) == "");
    CHECK(complaint<sparse_int8<>>(good) == "");

    auto bad = good;
    bad.codes(2, 3) = -128;
    check_parts(complaint<int8_matrix>(bad), {"int8 codes, position 15", "[-127, 127]", "-128"});
    check_parts(complaint<sparse_int8<>>(bad), {"int8 codes", "-128"});

    bad = good;
    bad.scales = structopt::zeros<float>(shape<1>{3});
    check_parts(complaint<int8_matrix>(bad), {"int8 scales", "4, one per row", "got 3"});
    check_parts(complaint<sparse_int8<>>(bad), {"int8 scales", "4, one per row", "got 3"});

    for (const float scale :
        {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1.0f})
    {
        bad = good;
        bad.scales(1) = scale;
        check_parts(complaint<int8_matrix>(bad), {"int8 scale, row 1", "finite"});
        check_parts(complaint<sparse_int8<>>(bad), {"int8 scale, row 1", "finite"});
    }
}

TEST_CASE("rows whose sums could overflow are refused")
{
    random_engine rng(4);
    const auto longest = random_codes(1, 132'104, 0.0, rng);
    CHECK(complaint<int8_matrix>(longest) == "");
    const auto longer = random_codes(1, 132'105, 0.0, rng);
    check_parts(complaint<int8_matrix>(longer), {"int8 matrix, row 0", "at most 132104", "132105"});
    // What counts for sparse rows is what they store.
    CHECK(complaint<sparse_int8<>>(longer) == "");
    auto full = longer;
    for (auto& code : full.codes)
    {
        code = 1;
    }
    check_parts(complaint<sparse_int8<>>(full), {"row 0", "132105"});
}

} // namespace test_int8_matrix
