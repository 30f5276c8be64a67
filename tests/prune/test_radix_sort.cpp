#include <structopt/core/random.hpp>
#include <structopt/prune/radix_sort.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace test_radix_sort
{

using namespace structopt;

TEST_CASE_TEMPLATE(
    "ascending by the upper bits, equal ones in their order", T, std::uint32_t, std::uint64_t)
{
    random_engine rng(1);
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3000}})
    {
        for (const int first : {0, 7, 32})
        {
            if (first >= 8 * static_cast<int>(sizeof(T)))
            {
                continue;
            }
            std::vector<T> items(n);
            for (std::size_t i = 0; i < n; ++i)
            {
                // Few and many values of the upper half.
                items[i] = static_cast<T>(rng()) & (i % 2 == 0 ? ~T{0} : static_cast<T>(~T{0} / 5));
            }
            auto expected = items;
            std::stable_sort(expected.begin(), expected.end(),
                [&](T a, T b)
                {
                    return (a >> first) < (b >> first);
                });
            prune::detail::radix_sort(items, first);
            CHECK(items == expected);
        }
    }
}

} // namespace test_radix_sort
