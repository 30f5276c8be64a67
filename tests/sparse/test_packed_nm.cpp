#include <structopt/core/random.hpp>
#include <structopt/sparse/packed_nm.hpp>

#include <doctest/doctest.h>

#include <utility>

namespace test_packed_nm
{

namespace
{

using namespace structopt;

template <index_t N, index_t M>
void round_trip()
{
    random_engine rng(2);
    for (const auto& [rows, columns] :
        {std::pair<index_t, index_t>{0, 0}, {0, 5}, {5, 0}, {1, 1}, {16, 64}, {37, 53}, {50, 300}})
    {
        auto w = zeros<float>(shape<2>{rows, columns});
        for (index_t r = 0; r < rows; ++r)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                if (c % M < N && uniform<double>(rng) < 0.8)
                {
                    // Spread over the group without meeting twice.
                    const index_t place = (c % M + r) % M + c / M * M;
                    if (place < columns)
                    {
                        w.data()[r * columns + place] = normal<float>(rng);
                    }
                }
            }
        }
        const view<const float, 2> dense(w.data(), shape_of(w));
        const sparse::packed_nm<float, N, M> packed(dense);
        CHECK(packed.to_dense() == w);
        CHECK(packed.to_nm() == sparse::nm<float, N, M>(dense));
        CHECK(packed.nonzeros() == sparse::nm<float, N, M>(dense).nonzeros());
    }
}

} // namespace

TEST_CASE("a packed N:M matrix gives the matrix back")
{
    round_trip<2, 4>();
    round_trip<1, 4>();
    round_trip<4, 8>();
}

TEST_CASE("a packed 2:4 matrix has 4.25 bytes per slot")
{
    const auto w = zeros<float>(shape<2>{64, 256});
    const sparse::packed_nm<float, 2, 4> packed(view<const float, 2>(w.data(), shape_of(w)));
    CHECK(packed.nonzeros() == 64 * 128);
    CHECK(packed.bytes() == 64 * 128 * 17 / 4);
}

TEST_CASE("too many non-zeros in a group are refused")
{
    auto w = zeros<float>(shape<2>{2, 8});
    w.data()[12] = w.data()[13] = w.data()[14] = 1.0f;
    const view<const float, 2> dense(w.data(), shape_of(w));
    CHECK_THROWS_AS((sparse::packed_nm<float, 2, 4>(dense)), argument_error);
}

} // namespace test_packed_nm
