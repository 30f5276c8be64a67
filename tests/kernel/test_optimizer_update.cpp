// The optimizers' formulas are tested in tests/optim; here: every length, alignment and instruction set
// gives every element the same result, nothing past the end is touched, and the formula is the rule's.

#include <doctest/doctest.h>

#include <structopt/core/random.hpp>
#include <structopt/kernel/optimizer_update.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace test_optimizer_update
{

using structopt::index_t;
using structopt::random_engine;
namespace k = structopt::kernel;

namespace
{

using native = structopt::simd::default_arch;

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

template <class T, class Arch, bool Zero>
void check(index_t n, index_t offset, random_engine& rng)
{
    INFO("length " << n << ", offset " << offset);
    constexpr T rate = T(0.125);
    constexpr T decay = T(0.25);
    constexpr T keep = T(0.5);
    const k::momentum_rule<T, true> rule{rate, decay, keep, T(1), T(0.75)};
    constexpr index_t spare = 3;
    std::vector<T> arrays[3];
    for (auto& array : arrays)
    {
        array.resize(at(offset + n + spare));
        for (T& value : array)
        {
            value = structopt::normal<T>(rng);
        }
    }
    const std::vector<T> before[3] = {arrays[0], arrays[1], arrays[2]};
    T* const pointers[3] = {
        arrays[0].data() + offset, arrays[1].data() + offset, arrays[2].data() + offset};
    k::update<Arch, Zero>(rule, n, pointers);
    bool right = true;
    for (index_t i = 0; i < offset + n + spare; ++i)
    {
        const auto v = static_cast<double>(before[0][at(i)]);
        const auto g = static_cast<double>(before[1][at(i)]);
        const auto s = static_cast<double>(before[2][at(i)]);
        if (i < offset || i >= offset + n)
        {
            right = right && arrays[0][at(i)] == before[0][at(i)] &&
                    arrays[1][at(i)] == before[1][at(i)] && arrays[2][at(i)] == before[2][at(i)];
            continue;
        }
        const double slope = g + 0.25 * v;
        const double slot = 0.5 * s + slope;
        const double value = v - 0.125 * (slope + 0.75 * slot);
        const double bound = 8 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                             (std::abs(v) + std::abs(g) + std::abs(s));
        right = right && std::abs(static_cast<double>(arrays[0][at(i)]) - value) <= bound &&
                std::abs(static_cast<double>(arrays[2][at(i)]) - slot) <= bound &&
                arrays[1][at(i)] == (Zero ? T(0) : before[1][at(i)]);
    }
    CHECK(right);
}

template <class T, class Arch>
void sweep()
{
    random_engine rng(1);
    for (index_t n = 0; n <= 70; ++n)
    {
        for (const index_t offset : {0, 1})
        {
            check<T, Arch, false>(n, offset, rng);
            check<T, Arch, true>(n, offset, rng);
        }
    }
}

} // namespace

TEST_CASE_TEMPLATE("one pass over parallel arrays of any length", T, float, double)
{
    sweep<T, native>();
}

TEST_CASE("an element's result depends neither on its position nor on the length")
{
    const k::adagrad_rule<float> rule{0.1f, 0.01f, 1e-8f};
    std::vector<float> one{0.3f};
    std::vector<float> slope{0.7f};
    std::vector<float> slot{0.2f};
    float* const single[3] = {one.data(), slope.data(), slot.data()};
    k::update<native, false>(rule, 1, single);
    for (const index_t n : {5, 16, 33})
    {
        std::vector<float> values(at(n), 0.3f);
        std::vector<float> slopes(at(n), 0.7f);
        std::vector<float> slots(at(n), 0.2f);
        float* const all[3] = {values.data(), slopes.data(), slots.data()};
        k::update<native, false>(rule, n, all);
        CHECK(values == std::vector<float>(at(n), one[0]));
        CHECK(slots == std::vector<float>(at(n), slot[0]));
    }
}

} // namespace test_optimizer_update
