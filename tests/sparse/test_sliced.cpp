#include <structopt/core/random.hpp>
#include <structopt/sparse/sliced.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <utility>

namespace test_sliced
{

namespace
{

using namespace structopt;

tensor<float, 2> random_rows(index_t rows, index_t columns, double density)
{
    random_engine rng(12);
    auto w = zeros<float>(shape<2>{rows, columns});
    for (index_t i = 0; i < rows * columns; ++i)
    {
        w.data()[i] = uniform<double>(rng) < density ? normal<float>(rng) : 0.0f;
    }
    return w;
}

view<const float, 2> all_of(const tensor<float, 2>& w)
{
    return {w.data(), shape_of(w)};
}

} // namespace

TEST_CASE("a sliced matrix gives its rows back, for every unit")
{
    for (const auto& [rows, columns] : {std::pair<index_t, index_t>{0, 0}, {0, 5}, {5, 0}, {1, 1},
             {37, 53}, {130, 600}, {20, 9000}})
    {
        const auto w = random_rows(rows, columns, columns > 1000 ? 0.0005 : 0.2);
        const sparse::csr<float> reference(all_of(w));
        for (index_t unit : {8, 16})
        {
            const sparse::sliced<float> packed(all_of(w), unit);
            CHECK(packed.rows() == rows);
            CHECK(packed.columns() == columns);
            CHECK(packed.nonzeros() == reference.nonzeros());
            CHECK(packed.to_csr() == reference);
            CHECK(packed.to_dense() == w);
        }
        CHECK(sparse::sliced<float>(sparse::csr<float, std::uint16_t>(all_of(w))) ==
              sparse::sliced<float>(all_of(w)));
    }
}

TEST_CASE("padding of a sliced matrix is what the kernel's page says")
{
    const auto w = random_rows(256, 1024, 0.1);
    const sparse::sliced<float> packed(all_of(w), 16);
    const double steps = static_cast<double>(packed.operand().first_groups[256 / 16]) * 6;
    const double padding = steps * 16 / static_cast<double>(packed.nonzeros());
    CHECK(padding < 1.75);
    CHECK(padding > 1.0);
}

TEST_CASE("rows of unequal length are sorted, equal ones are not")
{
    auto w = random_rows(160, 200, 0.5);
    for (index_t c = 0; c < 200; ++c)
    {
        for (index_t r = 0; r < 160; ++r)
        {
            w.data()[r * 200 + c] = r % 8 == 0 ? 1.0f : 0.0f;
        }
    }
    const sparse::sliced<float> packed(all_of(w));
    CHECK(packed.operand().order != nullptr);
    CHECK(packed.to_dense() == w);
    const auto even = random_rows(64, 64, 1.0);
    CHECK(sparse::sliced<float>(all_of(even)).operand().order == nullptr);
}

TEST_CASE("a sliced matrix keeps stored zeros and refuses other units")
{
    const sparse::csr<float> stored(1, 3, {0, 2}, {0, 2}, {0.0f, 1.0f});
    CHECK(sparse::sliced<float>(stored).to_csr() == stored);
    const auto w = random_rows(3, 3, 0.5);
    CHECK_THROWS_AS(sparse::sliced<float>(all_of(w), 4), argument_error);
}

} // namespace test_sliced
