/// @file
/// The inline namespace that keeps files of different compiler flags apart.
///
/// Two translation units compiled with different instruction sets, or different options of the
/// library, must not share a symbol whose bodies differ: the linker keeps one of them, and a baseline
/// program would execute the wider one. Everything therefore lives in an inline namespace named
/// after what changes code: `x2`, `x3` or `x4` for all of x86-64's level, and one letter per instruction
/// set that the compiler may use besides.
///
///   3 SSE3   s SSSE3   4 SSE4.1   5 SSE4.2   p POPCNT   a AVX   h F16C   f FMA   2 AVX2
///   1 BMI   b BMI2   z LZCNT   m MOVBE   F AVX-512F   W AVX-512BW   C AVX-512CD
///   D AVX-512DQ   L AVX-512VL   I AVX-512IFMA   V AVX-512VBMI   U AVX-512VBMI2
///   N AVX-512VNNI   P AVX-512VPOPCNTDQ   G AVX-512BITALG   B AVX-512BF16   H AVX-512FP16
///   E AVX-512ER   R AVX-512PF   v AVX-VNNI   w AVX-VNNI-INT8   y AVX-IFMA   g GFNI   q FMA4
///   x XOP   n NEON   d dot product   i int8 matrix multiply   k half-precision arithmetic
///   j BF16   c SVE   t SVE2
///   _omp OpenMP   _cblas CBLAS   _dispatch run-time dispatch   _noexc without exceptions
#pragma once

#include <structopt/version.hpp>

#if defined(__SSE3__) && defined(__SSSE3__) && defined(__SSE4_1__) && defined(__SSE4_2__) &&       \
    defined(__POPCNT__)
#define STRUCTOPT_X86_64_V2 1
#else
#define STRUCTOPT_X86_64_V2 0
#endif
#if STRUCTOPT_X86_64_V2 && defined(__AVX__) && defined(__F16C__) && defined(__FMA__) &&            \
    defined(__AVX2__) && defined(__BMI__) && defined(__BMI2__) && defined(__LZCNT__) &&            \
    defined(__MOVBE__)
#define STRUCTOPT_X86_64_V3 1
#else
#define STRUCTOPT_X86_64_V3 0
#endif
#if STRUCTOPT_X86_64_V3 && defined(__AVX512F__) && defined(__AVX512BW__) &&                        \
    defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define STRUCTOPT_X86_64_V4 1
#else
#define STRUCTOPT_X86_64_V4 0
#endif

#if STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_LEVEL x4
#elif STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_LEVEL x3
#elif STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_LEVEL x2
#else
#define STRUCTOPT_ABI_LEVEL
#endif

#if defined(__SSE3__) && !STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_3 3
#else
#define STRUCTOPT_ABI_3
#endif
#if defined(__SSSE3__) && !STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_s s
#else
#define STRUCTOPT_ABI_s
#endif
#if defined(__SSE4_1__) && !STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_4 4
#else
#define STRUCTOPT_ABI_4
#endif
#if defined(__SSE4_2__) && !STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_5 5
#else
#define STRUCTOPT_ABI_5
#endif
#if defined(__POPCNT__) && !STRUCTOPT_X86_64_V2
#define STRUCTOPT_ABI_p p
#else
#define STRUCTOPT_ABI_p
#endif
#if defined(__AVX__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_a a
#else
#define STRUCTOPT_ABI_a
#endif
#if defined(__F16C__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_h h
#else
#define STRUCTOPT_ABI_h
#endif
#if defined(__FMA__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_f f
#else
#define STRUCTOPT_ABI_f
#endif
#if defined(__AVX2__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_2 2
#else
#define STRUCTOPT_ABI_2
#endif
#if defined(__BMI__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_1 1
#else
#define STRUCTOPT_ABI_1
#endif
#if defined(__BMI2__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_b b
#else
#define STRUCTOPT_ABI_b
#endif
#if defined(__LZCNT__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_z z
#else
#define STRUCTOPT_ABI_z
#endif
#if defined(__MOVBE__) && !STRUCTOPT_X86_64_V3
#define STRUCTOPT_ABI_m m
#else
#define STRUCTOPT_ABI_m
#endif
#if defined(__AVX512F__) && !STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_F F
#else
#define STRUCTOPT_ABI_F
#endif
#if defined(__AVX512BW__) && !STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_W W
#else
#define STRUCTOPT_ABI_W
#endif
#if defined(__AVX512CD__) && !STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_C C
#else
#define STRUCTOPT_ABI_C
#endif
#if defined(__AVX512DQ__) && !STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_D D
#else
#define STRUCTOPT_ABI_D
#endif
#if defined(__AVX512VL__) && !STRUCTOPT_X86_64_V4
#define STRUCTOPT_ABI_L L
#else
#define STRUCTOPT_ABI_L
#endif
#ifdef __AVX512IFMA__
#define STRUCTOPT_ABI_I I
#else
#define STRUCTOPT_ABI_I
#endif
#ifdef __AVX512VBMI__
#define STRUCTOPT_ABI_V V
#else
#define STRUCTOPT_ABI_V
#endif
#ifdef __AVX512VBMI2__
#define STRUCTOPT_ABI_U U
#else
#define STRUCTOPT_ABI_U
#endif
#ifdef __AVX512VNNI__
#define STRUCTOPT_ABI_N N
#else
#define STRUCTOPT_ABI_N
#endif
#ifdef __AVX512VPOPCNTDQ__
#define STRUCTOPT_ABI_P P
#else
#define STRUCTOPT_ABI_P
#endif
#ifdef __AVX512BITALG__
#define STRUCTOPT_ABI_G G
#else
#define STRUCTOPT_ABI_G
#endif
#ifdef __AVX512BF16__
#define STRUCTOPT_ABI_B B
#else
#define STRUCTOPT_ABI_B
#endif
#ifdef __AVX512FP16__
#define STRUCTOPT_ABI_H H
#else
#define STRUCTOPT_ABI_H
#endif
#ifdef __AVX512ER__
#define STRUCTOPT_ABI_E E
#else
#define STRUCTOPT_ABI_E
#endif
#ifdef __AVX512PF__
#define STRUCTOPT_ABI_R R
#else
#define STRUCTOPT_ABI_R
#endif
#ifdef __AVXVNNI__
#define STRUCTOPT_ABI_v v
#else
#define STRUCTOPT_ABI_v
#endif
#ifdef __AVXVNNIINT8__
#define STRUCTOPT_ABI_w w
#else
#define STRUCTOPT_ABI_w
#endif
#ifdef __AVXIFMA__
#define STRUCTOPT_ABI_y y
#else
#define STRUCTOPT_ABI_y
#endif
#ifdef __GFNI__
#define STRUCTOPT_ABI_g g
#else
#define STRUCTOPT_ABI_g
#endif
#ifdef __FMA4__
#define STRUCTOPT_ABI_q q
#else
#define STRUCTOPT_ABI_q
#endif
#ifdef __XOP__
#define STRUCTOPT_ABI_x x
#else
#define STRUCTOPT_ABI_x
#endif
#ifdef __ARM_NEON
#define STRUCTOPT_ABI_n n
#else
#define STRUCTOPT_ABI_n
#endif
#ifdef __ARM_FEATURE_DOTPROD
#define STRUCTOPT_ABI_d d
#else
#define STRUCTOPT_ABI_d
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
#define STRUCTOPT_ABI_i i
#else
#define STRUCTOPT_ABI_i
#endif
#ifdef __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
#define STRUCTOPT_ABI_k k
#else
#define STRUCTOPT_ABI_k
#endif
#ifdef __ARM_FEATURE_BF16
#define STRUCTOPT_ABI_j j
#else
#define STRUCTOPT_ABI_j
#endif
#ifdef __ARM_FEATURE_SVE
#define STRUCTOPT_ABI_c c
#else
#define STRUCTOPT_ABI_c
#endif
#ifdef __ARM_FEATURE_SVE2
#define STRUCTOPT_ABI_t t
#else
#define STRUCTOPT_ABI_t
#endif
#ifdef _OPENMP
#define STRUCTOPT_ABI_OMP _omp
#else
#define STRUCTOPT_ABI_OMP
#endif
#ifdef STRUCTOPT_USE_CBLAS
#define STRUCTOPT_ABI_CBLAS _cblas
#else
#define STRUCTOPT_ABI_CBLAS
#endif
#ifdef STRUCTOPT_DISPATCH
#define STRUCTOPT_ABI_DISPATCH _dispatch
#else
#define STRUCTOPT_ABI_DISPATCH
#endif
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define STRUCTOPT_HAS_EXCEPTIONS 1
#define STRUCTOPT_ABI_NOEXC
#else
#define STRUCTOPT_HAS_EXCEPTIONS 0
#define STRUCTOPT_ABI_NOEXC _noexc
#endif

#define STRUCTOPT_CONCAT4_(a, b, c, d) a##b##c##d
#define STRUCTOPT_CONCAT4(a, b, c, d) STRUCTOPT_CONCAT4_(a, b, c, d)
#define STRUCTOPT_CONCAT6_(a, b, c, d, e, f) a##b##c##d##e##f
#define STRUCTOPT_CONCAT6(a, b, c, d, e, f) STRUCTOPT_CONCAT6_(a, b, c, d, e, f)

/// The inline namespace of everything that does not depend on compiler flags: error types.
#define STRUCTOPT_VERSION_NAMESPACE                                                                \
    STRUCTOPT_CONCAT4(v, STRUCTOPT_VERSION_MAJOR, _, STRUCTOPT_VERSION_MINOR)

#define STRUCTOPT_ABI_ISA_1                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_3, STRUCTOPT_ABI_s, STRUCTOPT_ABI_4, STRUCTOPT_ABI_5,          \
        STRUCTOPT_ABI_p, STRUCTOPT_ABI_a)
#define STRUCTOPT_ABI_ISA_2                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_h, STRUCTOPT_ABI_f, STRUCTOPT_ABI_2, STRUCTOPT_ABI_1,          \
        STRUCTOPT_ABI_b, STRUCTOPT_ABI_z)
#define STRUCTOPT_ABI_ISA_3                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_m, STRUCTOPT_ABI_F, STRUCTOPT_ABI_W, STRUCTOPT_ABI_C,          \
        STRUCTOPT_ABI_D, STRUCTOPT_ABI_L)
#define STRUCTOPT_ABI_ISA_4                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_I, STRUCTOPT_ABI_V, STRUCTOPT_ABI_U, STRUCTOPT_ABI_N,          \
        STRUCTOPT_ABI_P, STRUCTOPT_ABI_G)
#define STRUCTOPT_ABI_ISA_5                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_B, STRUCTOPT_ABI_H, STRUCTOPT_ABI_E, STRUCTOPT_ABI_R,          \
        STRUCTOPT_ABI_v, STRUCTOPT_ABI_w)
#define STRUCTOPT_ABI_ISA_6                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_y, STRUCTOPT_ABI_g, STRUCTOPT_ABI_q, STRUCTOPT_ABI_x,          \
        STRUCTOPT_ABI_n, STRUCTOPT_ABI_d)
#define STRUCTOPT_ABI_ISA_7                                                                        \
    STRUCTOPT_CONCAT6(                                                                             \
        STRUCTOPT_ABI_i, STRUCTOPT_ABI_k, STRUCTOPT_ABI_j, STRUCTOPT_ABI_c, STRUCTOPT_ABI_t, )
#define STRUCTOPT_ABI_ISA_A                                                                        \
    STRUCTOPT_CONCAT4(                                                                             \
        STRUCTOPT_ABI_ISA_1, STRUCTOPT_ABI_ISA_2, STRUCTOPT_ABI_ISA_3, STRUCTOPT_ABI_ISA_4)
#define STRUCTOPT_ABI_ISA_B                                                                        \
    STRUCTOPT_CONCAT4(STRUCTOPT_ABI_ISA_5, STRUCTOPT_ABI_ISA_6, STRUCTOPT_ABI_ISA_7, )
#define STRUCTOPT_ABI_OPTIONS                                                                      \
    STRUCTOPT_CONCAT4(                                                                             \
        STRUCTOPT_ABI_OMP, STRUCTOPT_ABI_CBLAS, STRUCTOPT_ABI_DISPATCH, STRUCTOPT_ABI_NOEXC)

/// The inline namespace of everything else, for example `v0_1_x3_omp`.
#define STRUCTOPT_ABI_NAMESPACE                                                                    \
    STRUCTOPT_CONCAT6(STRUCTOPT_VERSION_NAMESPACE, _, STRUCTOPT_ABI_LEVEL, STRUCTOPT_ABI_ISA_A,    \
        STRUCTOPT_ABI_ISA_B, STRUCTOPT_ABI_OPTIONS)
