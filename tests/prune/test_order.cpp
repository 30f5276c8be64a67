#include <structopt/prune/order.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace test_order
{

using prune_order = std::uint64_t;
using structopt::prune::detail::order_function;
using structopt::prune::detail::order_of;
using structopt::prune::detail::order_of_size;

TEST_CASE_TEMPLATE(
    "orders rise with the numbers, over denormals, zeros and infinities", T, float, double)
{
    using limits = std::numeric_limits<T>;
    const std::vector<T> rising = {-limits::infinity(), limits::lowest(), T(-1), -limits::min(),
        -limits::denorm_min(), T(0), limits::denorm_min(), 2 * limits::denorm_min(), limits::min(),
        T(0.5), T(1), T(1) + limits::epsilon(), limits::max(), limits::infinity()};
    for (std::size_t i = 0; i + 1 < rising.size(); ++i)
    {
        INFO(i);
        CHECK(order_of(rising[i]) < order_of(rising[i + 1]));
        CHECK((order_function<prune_order, false>{}(rising[i])) <
              (order_function<prune_order, false>{}(rising[i + 1])));
    }
    CHECK(order_of(T(-0.0)) == order_of(T(0)));
    for (const T value : rising)
    {
        const T size = value < 0 ? -value : value;
        CHECK(order_of_size(value) == order_of(size));
        CHECK((order_function<prune_order, true>{}(value)) == order_of(static_cast<double>(size)));
    }
    CHECK(order_of_size(T(-0.0)) == order_of(T(0)));
}

} // namespace test_order
