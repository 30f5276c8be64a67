// Everything that `outcomes` lists, on every instruction set that this machine has, against a program
// without run-time dispatch.
#include "count.hpp"
#include "outcomes.hpp"

#include <structopt/simd/active_target.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace test_dispatch
{

using namespace structopt;

namespace
{

void compare(const std::vector<outcome>& found, const std::vector<outcome>& expected)
{
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
    {
        INFO(expected[i].name);
        REQUIRE(found[i].name == expected[i].name);
        REQUIRE(found[i].values.size() == expected[i].values.size());
        double largest = 0;
        double difference = 0;
        for (std::size_t j = 0; j < found[i].values.size(); ++j)
        {
            const double value = expected[i].values[j];
            largest = std::abs(value) > largest ? std::abs(value) : largest;
            const double d = std::abs(found[i].values[j] - value);
            difference = d <= difference ? difference : d; // a NaN stays
        }
        CHECK(difference <= 300 * expected[i].epsilon * largest);
    }
}

} // namespace

TEST_CASE("every instruction set computes what a program for the lowest one computes")
{
    const auto expected = plain::outcomes();
    const auto targets = simd::available_targets();
    REQUIRE(!targets.empty());
    CHECK(simd::active_target() == targets.back());
    for (const std::string_view name : targets)
    {
        INFO(std::string(name));
        MESSAGE("kernels of " << std::string(name));
        const simd::use_target use(name);
        CHECK(simd::active_target() == name);
        CHECK(simd::target_name<>() == name);
        compare(dispatched::outcomes(), expected);
    }
    CHECK(simd::active_target() == targets.back());
}

TEST_CASE("no row of the registry is left out")
{
    const simd::use_target use(simd::available_targets().front()); // put back at the end
    kernel::count_calls(simd::available_targets().back());
    dispatched::outcomes();
    for (int row = 0; row < kernel::row_count; ++row)
    {
        INFO("row " << std::string(kernel::row_names[row]));
        CHECK(kernel::row_calls[row] > 0);
    }
}

TEST_CASE("an instruction set that is not there is told")
{
    std::string message;
    try
    {
        const simd::use_target use("avx1024");
    }
    catch (const argument_error& e)
    {
        message = e.what();
    }
    CHECK(message.find("use_target: expected one of ") == 0);
    CHECK(message.find("got avx1024") != std::string::npos);
    CHECK_FALSE(simd::cpu_runs("avx1024"));
}

} // namespace test_dispatch
