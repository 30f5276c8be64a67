/// @file
/// A number of OpenMP threads for the length of a scope.
#pragma once

#ifdef _OPENMP
#include <omp.h>
#endif

namespace support
{

/// Sets the number of threads and puts it back; nothing happens without OpenMP.
class with_threads
{
public:
    explicit with_threads(int n)
    {
#ifdef _OPENMP
        m_before = omp_get_max_threads();
        omp_set_num_threads(n);
#else
        static_cast<void>(n);
#endif
    }

    with_threads(const with_threads&) = delete;
    with_threads& operator=(const with_threads&) = delete;

    ~with_threads()
    {
#ifdef _OPENMP
        omp_set_num_threads(m_before);
#endif
    }

private:
#ifdef _OPENMP
    int m_before = 1;
#endif
};

} // namespace support
