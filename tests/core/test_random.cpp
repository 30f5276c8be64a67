#include <structopt/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

namespace test_random
{

using namespace structopt;

static_assert(std::uniform_random_bit_generator<random_engine>);
static_assert(std::is_trivially_copyable_v<random_engine>);

TEST_SUITE("smoke")
{
    TEST_CASE("the state comes from splitmix64")
    {
        // From an implementation of its own, in Python; the first row is also in the generator's
        // literature.
        CHECK(random_engine(0).state() == random_engine::state_type{0xe220a8397b1dcdafu,
                                              0x6e789e6aa1b965f4u, 0x06c45d188009454fu,
                                              0xf88bb8a8724c81ecu});
        CHECK(random_engine(42).state() == random_engine::state_type{0xbdd732262feb6e95u,
                                               0x28efe333b266f103u, 0x47526757130f9f52u,
                                               0x581ce1ff0e4ae394u});
        CHECK(random_engine(0xffffffffffffffffu).state() ==
              random_engine::state_type{0xe4d971771b652c20u, 0xe99ff867dbf682c9u,
                  0x382ff84cb27281e9u, 0x6d1db36ccba982d2u});
        CHECK(random_engine() == random_engine(0));
    }

    TEST_CASE("the numbers are those of xoshiro256**")
    {
        random_engine rng;
        rng.restore({1, 2, 3, 4});
        for (const std::uint64_t expected : {std::uint64_t{11520}, std::uint64_t{0},
                 std::uint64_t{1509978240}, std::uint64_t{1215971899390074240},
                 std::uint64_t{1216172134540287360}, std::uint64_t{607988272756665600},
                 std::uint64_t{16172922978634559625u}, std::uint64_t{8476171486693032832},
                 std::uint64_t{10595114339597558777u}, std::uint64_t{2904607092377533576}})
        {
            CHECK(rng() == expected);
        }
        random_engine seven(7);
        std::uint64_t last = 0;
        for (int i = 0; i < 1000; ++i)
        {
            last = seven();
        }
        CHECK(last == 0xd8df721ab4271195u);
    }

    TEST_CASE("uniform and normal numbers and the shuffle, from the same implementation in Python")
    {
        random_engine rng(42);
        CHECK(uniform<double>(rng) == 0.08386297105988216);
        CHECK(uniform<double>(rng) == 0.3789802506626686);
        CHECK(uniform<double>(rng) == 0.6800434110281394);
        rng = random_engine(42);
        CHECK(uniform<float>(rng) == 0.08386296033859253F);
        CHECK(uniform<float>(rng) == 0.37898021936416626F);

        rng = random_engine(5);
        for (const double expected : {-1.565523310998701, 0.4943461931977683, 0.08792974323521065})
        {
            CHECK(std::abs(normal<double>(rng) - expected) < 1e-14);
        }

        std::array<int, 10> items{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        rng = random_engine(3);
        shuffle(std::span<int>(items), rng);
        CHECK(items == std::array<int, 10>{6, 7, 3, 4, 5, 2, 0, 9, 1, 8});
    }
}

TEST_CASE("a saved state continues bit by bit; all zeros is refused and changes nothing")
{
    random_engine rng(9);
    rng();
    const auto saved = rng.state();
    const auto next = rng();
    random_engine other(1);
    other.restore(saved);
    CHECK(other() == next);
    CHECK(other == rng);
    CHECK_THROWS_AS(other.restore({0, 0, 0, 0}), argument_error);
    CHECK(other == rng);
    CHECK_NOTHROW(other.restore({0, 0, 0, 1}));
}

TEST_CASE("split gives another sequence and advances the engine by one")
{
    random_engine rng(1);
    random_engine twin(1);
    random_engine part = rng.split();
    CHECK(part == random_engine(twin()));
    CHECK(rng == twin);
    CHECK(part() != rng());
}

TEST_CASE("uniform numbers between two bounds never are the upper one")
{
    random_engine rng(1);
    float largest = 0.0f;
    for (int i = 0; i < 100'000'000 && largest < 1.9999998f; ++i)
    {
        largest = std::max(largest, uniform(rng, 1.0f, 2.0f));
    }
    CHECK(largest == std::nextafter(2.0f, 1.0f));
    CHECK(uniform(rng, 3.0, 3.0) <= 3.0);
}

TEST_CASE("uniform numbers lie in [0, 1) with the moments of the distribution")
{
    random_engine rng(11);
    const int n = 200000;
    double sum = 0;
    double squares = 0;
    std::array<int, 16> bins{};
    for (int i = 0; i < n; ++i)
    {
        const double u = uniform<double>(rng);
        REQUIRE(u >= 0);
        REQUIRE(u < 1);
        sum += u;
        squares += u * u;
        ++bins[static_cast<std::size_t>(u * 16)];
    }
    // Five standard errors: 1/sqrt(12 n) and sqrt(4/45/n).
    CHECK(std::abs(sum / n - 0.5) < 5 / std::sqrt(12.0 * n));
    CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n));
    double chi = 0;
    for (const int count : bins)
    {
        chi += (count - n / 16.0) * (count - n / 16.0) / (n / 16.0);
    }
    CHECK(chi < 45); // 15 degrees of freedom, p = 1e-4
    for (int i = 0; i < 100000; ++i)
    {
        const float u = uniform<float>(rng);
        REQUIRE(u >= 0.0F);
        REQUIRE(u < 1.0F);
        const float v = uniform<float>(rng, -3.0F, 5.0F);
        REQUIRE(v >= -3.0F);
        REQUIRE(v <= 5.0F);
    }
}

TEST_CASE("normal numbers have mean, deviation, skewness, kurtosis and tails of the distribution")
{
    random_engine rng(12);
    const int n = 200000;
    std::array<double, 5> moments{};
    int beyond_two = 0;
    for (int i = 0; i < n; ++i)
    {
        const double z = normal<double>(rng);
        double power = 1;
        for (auto& moment : moments)
        {
            moment += power / n;
            power *= z;
        }
        beyond_two += std::abs(z) > 2 ? 1 : 0;
    }
    CHECK(std::abs(moments[1]) < 5 / std::sqrt(1.0 * n));
    CHECK(std::abs(moments[2] - 1) < 5 * std::sqrt(2.0 / n));
    CHECK(std::abs(moments[3]) < 5 * std::sqrt(15.0 / n));
    CHECK(std::abs(moments[4] - 3) < 5 * std::sqrt(96.0 / n));
    CHECK(std::abs(beyond_two / (1.0 * n) - 0.0455003) < 5 * std::sqrt(0.0455 * 0.9545 / n));

    double sum = 0;
    double squares = 0;
    for (int i = 0; i < n; ++i)
    {
        const double z = static_cast<double>(normal<float>(rng, 10.0F, 3.0F)) - 10;
        sum += z;
        squares += z * z;
    }
    CHECK(std::abs(sum / n) < 5 * 3 / std::sqrt(1.0 * n));
    CHECK(std::abs(squares / n - 9) < 5 * 9 * std::sqrt(2.0 / n));
}

TEST_CASE("uniform_index covers its range evenly")
{
    random_engine rng(13);
    CHECK(uniform_index(rng, 1) == 0);
    std::array<int, 7> bins{};
    const int n = 70000;
    for (int i = 0; i < n; ++i)
    {
        const index_t k = uniform_index(rng, 7);
        REQUIRE(k >= 0);
        REQUIRE(k < 7);
        ++bins[static_cast<std::size_t>(k)];
    }
    double chi = 0;
    for (const int count : bins)
    {
        chi += (count - n / 7.0) * (count - n / 7.0) / (n / 7.0);
    }
    CHECK(chi < 28); // 6 degrees of freedom, p = 1e-4
    // A range of 3/4 of all numbers: without rejection the lower third would come twice as often.
    const auto large = static_cast<index_t>(std::uint64_t{3} << 61);
    int low = 0;
    for (int i = 0; i < 30000; ++i)
    {
        low += uniform_index(rng, large) < large / 3 ? 1 : 0;
    }
    CHECK(std::abs(low / 30000.0 - 1.0 / 3) < 0.015);
}

TEST_CASE("bernoulli is true with its probability, never for 0, always for 1")
{
    random_engine rng(14);
    int hits = 0;
    for (int i = 0; i < 100000; ++i)
    {
        hits += bernoulli(rng, 0.3) ? 1 : 0;
        REQUIRE_FALSE(bernoulli(rng, 0));
        REQUIRE(bernoulli(rng, 1));
    }
    CHECK(std::abs(hits / 100000.0 - 0.3) < 5 * std::sqrt(0.21 / 100000));
}

TEST_CASE("shuffle permutes, and every order is as likely as another")
{
    random_engine rng(15);
    std::vector<int> items(1000);
    std::iota(items.begin(), items.end(), 0);
    auto shuffled = items;
    shuffle(std::span<int>(shuffled), rng);
    CHECK(shuffled != items);
    std::sort(shuffled.begin(), shuffled.end());
    CHECK(shuffled == items);

    std::array<int, 24> orders{};
    const int n = 48000;
    for (int i = 0; i < n; ++i)
    {
        std::array<int, 4> x{0, 1, 2, 3};
        shuffle(std::span<int>(x), rng);
        // The rank of the order among all 24 (Lehmer code).
        int rank = 0;
        for (std::size_t a = 0; a < 4; ++a)
        {
            int smaller = 0;
            for (std::size_t b = a + 1; b < 4; ++b)
            {
                smaller += x[b] < x[a] ? 1 : 0;
            }
            rank = rank * static_cast<int>(4 - a) + smaller;
        }
        ++orders[static_cast<std::size_t>(rank)];
    }
    double chi = 0;
    for (const int count : orders)
    {
        chi += (count - n / 24.0) * (count - n / 24.0) / (n / 24.0);
    }
    CHECK(chi < 57); // 23 degrees of freedom, p = 1e-4

    std::vector<int> empty;
    shuffle(std::span<int>(empty), rng);
    std::array<int, 1> one{5};
    shuffle(std::span<int>(one), rng);
    CHECK(one[0] == 5);
}

} // namespace test_random
