#include <structopt/core/random.hpp>
#include <structopt/sparse/tiled.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

namespace test_tiled
{

namespace
{

using namespace structopt;

tensor<float, 2> random_matrix(index_t rows, index_t columns, double density)
{
    random_engine rng(11);
    auto w = zeros<float>(shape<2>{rows, columns});
    for (index_t i = 0; i < rows * columns; ++i)
    {
        w.data()[i] = uniform<double>(rng) < density ? normal<float>(rng) : 0.0f;
    }
    return w;
}

view<const float, 2> seen(const tensor<float, 2>& w)
{
    return {w.data(), shape_of(w)};
}

} // namespace

TEST_CASE("a tiled matrix gives its rows back, for every way of cutting it")
{
    for (const auto& [rows, columns] :
        {std::pair<index_t, index_t>{0, 0}, {0, 5}, {5, 0}, {1, 1}, {37, 53}, {130, 600}})
    {
        const auto w = random_matrix(rows, columns, 0.2);
        const sparse::csr<float> reference(seen(w));
        for (const sparse::tiling how :
            {sparse::tiling{}, sparse::tiling{7, 0}, sparse::tiling{0, 1}, sparse::tiling{16, 255}})
        {
            const sparse::tiled<float> packed(seen(w), how);
            CHECK(packed.rows() == rows);
            CHECK(packed.columns() == columns);
            CHECK(packed.nonzeros() == reference.nonzeros());
            CHECK(packed.to_csr() == reference);
            CHECK(packed.to_dense() == w);
        }
        CHECK(sparse::tiled<float>(sparse::csr<float, std::uint16_t>(seen(w))) ==
              sparse::tiled<float>(seen(w)));
    }
}

TEST_CASE("a tiled matrix pads little")
{
    const auto w = random_matrix(1024, 512, 0.1);
    const sparse::tiled<float> packed(seen(w));
    CHECK(static_cast<double>(packed.bytes()) < 5.5 * static_cast<double>(packed.nonzeros()));
    CHECK(static_cast<double>(packed.bytes()) >= 5.0 * static_cast<double>(packed.nonzeros()));
}

TEST_CASE("a tiled matrix keeps stored zeros and refuses what it cannot number")
{
    const sparse::csr<float> stored(1, 3, {0, 2}, {0, 2}, {0.0f, 1.0f});
    CHECK(sparse::tiled<float>(stored).to_csr() == stored);
    const auto w = random_matrix(3, 3, 0.5);
    CHECK_THROWS_AS(sparse::tiled<float>(seen(w), {65536, 0}), argument_error);
    CHECK_THROWS_AS(sparse::tiled<float>(seen(w), {0, 256}), argument_error);
    CHECK_THROWS_AS(sparse::tiled<float>(seen(w), {-1, 0}), argument_error);
}

} // namespace test_tiled
