#include <structopt/prune/score_list.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace test_score_list
{

using structopt::prune::score_list;

static_assert(!std::is_convertible_v<std::vector<int>, score_list>);

TEST_CASE_TEMPLATE("numbers as they are, and their sizes", T, float, double)
{
    const std::vector<T> values = {T(1.5), T(-2), T(0), T(-0.25)};
    const score_list plain = values;
    const auto sizes = score_list::sizes_of(std::span<const T>(values));
    const std::array<double, 4> expected = {1.5, 2, 0, 0.25};
    REQUIRE(plain.size() == 4);
    REQUIRE(sizes.size() == 4);
    for (std::size_t i = 0; i < 4; ++i)
    {
        CHECK(plain[i] == static_cast<double>(values[i]));
        CHECK(sizes[i] == expected[i]);
    }
    for (const score_list& list : {plain, sizes})
    {
        CHECK(list.is_float() == std::is_same_v<T, float>);
        CHECK(list.counted() == nullptr);
        list.visit<std::uint64_t>(
            [&](const auto* data, const auto& order)
            {
                CHECK(static_cast<const void*>(data) == values.data());
                for (std::size_t i = 0; i < 4; ++i)
                {
                    CHECK(order(data[i]) == structopt::prune::detail::order_of(list[i]));
                }
            });
    }
    CHECK(score_list().empty());
    CHECK(!plain.empty());
}

} // namespace test_score_list
