#include <structopt/core/parallel.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

namespace test_parallel
{

using namespace structopt;

namespace
{

// Runs `function` with each of several thread counts (once where the build has no OpenMP).
template <class Function>
void for_thread_counts(Function function)
{
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 4})
    {
        omp_set_num_threads(threads);
        function(threads);
    }
    omp_set_num_threads(before);
#else
    function(1);
#endif
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("every position is visited once, in chunks of the grain")
    {
        for_thread_counts(
            [](int)
            {
                for (const index_t n : {1, 2, 7, 8, 9, 64, 1000})
                {
                    for (const index_t grain : {1, 3, 8, 1000, 5000})
                    {
                        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
                        std::atomic<bool> sane{true};
                        parallel_for(n, grain,
                            [&](index_t first, index_t last)
                            {
                                if (first % grain != 0 || first >= last || last > n ||
                                    (last - first != grain && last != n))
                                {
                                    sane = false;
                                }
                                for (index_t i = first; i < last; ++i)
                                {
                                    ++visits[static_cast<std::size_t>(i)];
                                }
                            });
                        CHECK(sane);
                        for (const auto& count : visits)
                        {
                            REQUIRE(count == 1);
                        }
                    }
                }
            });
    }
}

TEST_CASE("nothing to do calls nothing")
{
    int calls = 0;
    const auto body = [&](index_t, index_t)
    {
        ++calls;
    };
    parallel_for(0, 4, body);
    parallel_for(-3, 4, body);
    CHECK(calls == 0);
    parallel_for(4, 4, body);
    CHECK(calls == 1);
}

TEST_CASE("sums over chunks are bit-equal for every thread count")
{
    const index_t n = 10007;
    const index_t grain = 64;
    std::vector<float> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        x[i] = std::sin(static_cast<float>(i)) * 1e3F;
    }
    std::vector<float> reference;
    for_thread_counts(
        [&](int)
        {
            std::vector<float> partial(static_cast<std::size_t>((n + grain - 1) / grain));
            parallel_for(n, grain,
                [&](index_t first, index_t last)
                {
                    float sum = 0;
                    for (index_t i = first; i < last; ++i)
                    {
                        sum += x[static_cast<std::size_t>(i)];
                    }
                    partial[static_cast<std::size_t>(first / grain)] = sum;
                });
            if (reference.empty())
            {
                reference = partial;
            }
            CHECK(partial == reference);
        });
}

TEST_CASE("a loop inside a loop runs in its thread")
{
    for_thread_counts(
        [](int)
        {
            std::atomic<int> total{0};
            std::atomic<int> wide{0};
            parallel_for(8, 1,
                [&](index_t, index_t)
                {
                    parallel_for(10, 1,
                        [&](index_t first, index_t last)
                        {
                            total += static_cast<int>(last - first);
                        });
#ifdef _OPENMP
                    wide += omp_in_parallel() != 0 && thread_count() != 1 ? 1 : 0;
#endif
                });
            CHECK(total == 80);
            CHECK(wide == 0);
        });
}

TEST_CASE("thread_count follows OpenMP where the build has it")
{
    for_thread_counts(
        [](int threads)
        {
            CHECK(thread_count() == threads);
        });
}

#ifdef _OPENMP
TEST_CASE("more threads than one take part")
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(2);
    std::atomic<int> arrived{0};
    std::atomic<int> met{0};
    // Each of two chunks waits until the other one has begun; a single thread would wait in vain.
    parallel_for(2, 1,
        [&](index_t, index_t)
        {
            ++arrived;
            const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
            while (arrived < 2 && std::chrono::steady_clock::now() < end)
            {
            }
            met += arrived == 2 ? 1 : 0;
        });
    CHECK(met == 2);
    omp_set_num_threads(before);
}
#endif

} // namespace test_parallel
