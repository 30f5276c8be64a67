// Without run-time dispatch; with it: tests/dispatch.

#include <doctest/doctest.h>

#include <structopt/simd/active_target.hpp>

#include <string>

namespace test_active_target
{

using namespace structopt;

TEST_CASE("a program without run-time dispatch has the target of its flags")
{
    const std::string_view active = simd::active_target();
    REQUIRE(simd::available_targets().size() == 1);
    CHECK(simd::available_targets().front() == active);
    CHECK(simd::cpu_runs(active)); // it does at this moment
    bool known = false;
    for (const simd::known_target& target : simd::known_targets)
    {
        known = known || active == target.name;
    }
    CHECK(known);
    {
        const simd::use_target use(active);
        CHECK(simd::active_target() == active);
    }
    CHECK_THROWS_AS(simd::use_target("sse1"), argument_error);
    CHECK_FALSE(simd::cpu_runs("sse1"));
}

TEST_CASE("what an instruction set needs, those above it need too")
{
    const auto needs = [](std::string_view name)
    {
        for (const simd::known_target& target : simd::known_targets)
        {
            if (name == target.name)
            {
                return target.needs;
            }
        }
        return std::uint32_t{simd::cpu_baseline};
    };
    CHECK((needs("avx2_fma") & ~needs("avx512")) == 0);
    CHECK((needs("avx2_fma") & ~needs("avx2_vnni")) == 0);
    CHECK((needs("avx512") & ~needs("avx512_vnni")) == 0);
    CHECK((needs("neon") & ~needs("neon_dotprod")) == 0);
    CHECK(simd::known_targets[0].needs == simd::cpu_baseline);
}

} // namespace test_active_target
