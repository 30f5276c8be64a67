/// @file
/// `parallel_for`: OpenMP where the program is compiled with it, a plain loop otherwise.
#pragma once

#include <structopt/core/shape.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE

/// Threads that `parallel_for` may use: OpenMP's number, or 1 without OpenMP.
inline int thread_count() noexcept
{
#ifdef _OPENMP
    return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

/// Calls `body(first, last)` over consecutive chunks of at most `grain` positions of [0, n).
///
/// The chunks depend on `n` and `grain` alone, never on the number of threads: a body that writes
/// only its own positions gives bit-equal results for every thread count. `body` must not throw.
/// One chunk, or one thread, runs in the caller without touching OpenMP.
template <class Body>
void parallel_for(index_t n, index_t grain, const Body& body) noexcept
{
    if (n <= 0)
    {
        return;
    }
    STRUCTOPT_ASSERT(grain > 0);
    const index_t chunks = (n + grain - 1) / grain;
    const auto run = [&](index_t chunk)
    {
        const index_t first = chunk * grain;
        body(first, first + grain < n ? first + grain : n);
    };
#ifdef _OPENMP
    if (chunks > 1 && thread_count() > 1)
    {
#pragma omp parallel for schedule(dynamic, 1)
        for (index_t chunk = 0; chunk < chunks; ++chunk)
        {
            run(chunk);
        }
        return;
    }
#endif
    for (index_t chunk = 0; chunk < chunks; ++chunk)
    {
        run(chunk);
    }
}

STRUCTOPT_END_NAMESPACE
