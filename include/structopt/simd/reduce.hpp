/// @file
/// The sum over the elements of one register.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Sum of the elements, always in the same order for one architecture.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE T reduce_add(const batch<T, Arch>& x) noexcept
{
#if defined(__AVX512F__)
    // Halves are added until one element is left; masked, as g++ 12 warns about the plain forms.
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        const __m512d all = _mm512_castps_pd(x);
        const __m256d lower = _mm512_maskz_extractf64x4_pd(static_cast<__mmask8>(-1), all, 0);
        const __m256d upper = _mm512_maskz_extractf64x4_pd(static_cast<__mmask8>(-1), all, 1);
        const __m256 eight = _mm256_add_ps(_mm256_castpd_ps(lower), _mm256_castpd_ps(upper));
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        const __m256d lower = _mm512_maskz_extractf64x4_pd(static_cast<__mmask8>(-1), x, 0);
        const __m256d upper = _mm512_maskz_extractf64x4_pd(static_cast<__mmask8>(-1), x, 1);
        const __m256d four = _mm256_add_pd(lower, upper);
        const __m128d two =
            _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
        return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    }
    else
#endif
    {
#if XSIMD_VERSION_MAJOR >= 10
        return xsimd::reduce_add(x);
#else
        return xsimd::hadd(x);
#endif
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
