#include <structopt/core/random.hpp>
#include <structopt/prune/order.hpp>
#include <structopt/prune/order_counts.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace test_order_counts
{

using namespace structopt;
using namespace structopt::prune::detail;

namespace
{

template <class T>
std::vector<T> draw(std::size_t n)
{
    random_engine rng(1);
    std::vector<T> values(n);
    for (std::size_t i = 0; i < n; ++i)
    {
        values[i] = i % 7 == 0 ? T(0) : i % 5 == 0 ? T(0.75) : normal<T>(rng);
    }
    return values;
}

} // namespace

TEST_CASE_TEMPLATE(
    "counts of every digit, below and at, of few and of many numbers", T, float, double)
{
    using order_type = structopt::detail::bits_of<T>;
    const order_function<order_type, false> order;
    constexpr int shift = upper_digit<order_type>;
    for (const std::size_t n : {std::size_t{0}, std::size_t{77}, 4 * digits + 3})
    {
        INFO(n);
        const auto values = draw<T>(n);
        std::vector<std::size_t> bins(digits, 1);
        std::vector<std::size_t> expected(digits, 1);
        count_orders<order_type>(values.data(), n, order, bins.data());
        const auto bound = order(T(0.75));
        const auto prefix = static_cast<order_type>(bound >> shift);
        std::vector<std::size_t> lower(digits, 2);
        std::vector<std::size_t> lower_expected(digits, 2);
        counted_orders counts;
        for (const T value : values)
        {
            const auto own = order(value);
            ++expected[static_cast<std::size_t>(own >> shift)];
            if (static_cast<order_type>(own >> shift) == prefix)
            {
                ++lower_expected[(own >> (shift - 16)) & 0xffff];
            }
            counts.below += own < bound ? 1 : 0;
            counts.at += own == bound ? 1 : 0;
        }
        CHECK(bins == expected);
        count_orders_within<order_type>(
            values.data(), n, order, shift - digit_bits, prefix, lower.data());
        CHECK(lower == lower_expected);
        const auto found = count_below(values.data(), n, order, bound);
        CHECK(found.below == counts.below);
        CHECK(found.at == counts.at);

        for (const std::size_t ties : {std::size_t{0}, counts.at / 3, counts.at, counts.at + 5})
        {
            std::vector<std::uint8_t> keep(n, 9);
            const std::size_t left = mark_above(values.data(), n, order, bound, ties, keep.data());
            CHECK(left == ties - std::min(ties, counts.at));
            std::size_t tie = 0;
            bool right = true;
            for (std::size_t i = 0; i < n; ++i)
            {
                const auto own = order(values[i]);
                const bool goes = own < bound || (own == bound && tie++ < ties);
                right = right && keep[i] == (goes ? 0 : 1);
            }
            CHECK(right);
        }
        std::vector<std::uint8_t> keep(n, 9);
        std::vector<std::size_t> at;
        mark_above_digit<order_type>(values.data(), n, order, prefix, keep.data(),
            [&](std::size_t i)
            {
                at.push_back(i);
            });
        bool right = true;
        std::size_t next = 0;
        for (std::size_t i = 0; i < n; ++i)
        {
            const auto own = static_cast<order_type>(order(values[i]) >> shift);
            right = right && keep[i] == (own > prefix ? 1 : 0);
            if (own == prefix)
            {
                right = right && next < at.size() && at[next] == i;
                ++next;
            }
        }
        CHECK(right);
        CHECK(next == at.size());
    }
}

TEST_CASE_TEMPLATE(
    "NaN and infinities show in the counts, the largest numbers do not", T, float, double)
{
    using limits = std::numeric_limits<T>;
    using order_type = structopt::detail::bits_of<T>;
    const auto finite = [](T value)
    {
        std::vector<std::size_t> bins(digits);
        count_orders<order_type>(&value, 1, order_function<order_type, false>{}, bins.data());
        return counts_are_finite<order_type>(bins.data());
    };
    for (const T good : {limits::max(), limits::lowest(), limits::denorm_min(), T(-0.0)})
    {
        CHECK(finite(good));
    }
    for (const T bad : {limits::infinity(), -limits::infinity(), limits::quiet_NaN(),
             -limits::quiet_NaN(), limits::signaling_NaN()})
    {
        CHECK(!finite(bad));
    }
}

} // namespace test_order_counts
