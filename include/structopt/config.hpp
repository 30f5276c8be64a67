/// @file
/// Macros of the library: the ABI namespace, exceptions, assertions.
///
/// What a user may define before including any header (the same in every file of a program, or let
/// the CMake target do it):
///
/// | macro | effect |
/// |---|---|
/// | `STRUCTOPT_USE_CBLAS` | dense products call `cblas_sgemm` / `cblas_dgemm` |
/// | `STRUCTOPT_THROW(e)` | what to do with an error object; default `throw e`, or `std::abort()` under `-fno-exceptions` |
/// | `STRUCTOPT_ASSERT(c)` | internal checks of the kernels; default nothing with `NDEBUG`, else `assert` |
#pragma once

#include <structopt/version.hpp>

#if !defined(__cpp_concepts) || __cplusplus < 202002L
#if !(defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#error "structopt needs C++20: compile with -std=c++20 or later"
#endif
#endif

// ---------------------------------------------------------------------------------------------
// ABI namespace. Two translation units compiled with different instruction sets, or different
// options below, must not share a symbol whose bodies differ: the linker keeps one of them, and a
// baseline program would execute the wider one. Everything therefore lives in an inline namespace
// named after what changes code: one letter per instruction set that the compiler may use.
//
//   4 SSE4.1   a AVX   h F16C   f FMA   2 AVX2   b BMI2   F AVX-512F   W AVX-512BW   L AVX-512VL
//   D AVX-512DQ   V AVX-512VBMI   N AVX-512VNNI   B AVX-512BF16   v AVX-VNNI
//   n NEON   d dot product   i int8 matrix multiply   s SVE
//   _omp OpenMP   _cblas CBLAS   _dispatch run-time dispatch   _noexc without exceptions
// ---------------------------------------------------------------------------------------------

#ifdef __SSE4_1__
#define STRUCTOPT_ABI_4 4
#else
#define STRUCTOPT_ABI_4
#endif
#ifdef __AVX__
#define STRUCTOPT_ABI_a a
#else
#define STRUCTOPT_ABI_a
#endif
#ifdef __F16C__
#define STRUCTOPT_ABI_h h
#else
#define STRUCTOPT_ABI_h
#endif
#ifdef __FMA__
#define STRUCTOPT_ABI_f f
#else
#define STRUCTOPT_ABI_f
#endif
#ifdef __AVX2__
#define STRUCTOPT_ABI_2 2
#else
#define STRUCTOPT_ABI_2
#endif
#ifdef __BMI2__
#define STRUCTOPT_ABI_b b
#else
#define STRUCTOPT_ABI_b
#endif
#ifdef __AVX512F__
#define STRUCTOPT_ABI_F F
#else
#define STRUCTOPT_ABI_F
#endif
#ifdef __AVX512BW__
#define STRUCTOPT_ABI_W W
#else
#define STRUCTOPT_ABI_W
#endif
#ifdef __AVX512VL__
#define STRUCTOPT_ABI_L L
#else
#define STRUCTOPT_ABI_L
#endif
#ifdef __AVX512DQ__
#define STRUCTOPT_ABI_D D
#else
#define STRUCTOPT_ABI_D
#endif
#ifdef __AVX512VBMI__
#define STRUCTOPT_ABI_V V
#else
#define STRUCTOPT_ABI_V
#endif
#ifdef __AVX512VNNI__
#define STRUCTOPT_ABI_N N
#else
#define STRUCTOPT_ABI_N
#endif
#ifdef __AVX512BF16__
#define STRUCTOPT_ABI_B B
#else
#define STRUCTOPT_ABI_B
#endif
#ifdef __AVXVNNI__
#define STRUCTOPT_ABI_v v
#else
#define STRUCTOPT_ABI_v
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
#ifdef __ARM_FEATURE_SVE
#define STRUCTOPT_ABI_s s
#else
#define STRUCTOPT_ABI_s
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
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_4, STRUCTOPT_ABI_a, STRUCTOPT_ABI_h, STRUCTOPT_ABI_f,          \
        STRUCTOPT_ABI_2, STRUCTOPT_ABI_b)
#define STRUCTOPT_ABI_ISA_2                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_F, STRUCTOPT_ABI_W, STRUCTOPT_ABI_L, STRUCTOPT_ABI_D,          \
        STRUCTOPT_ABI_V, STRUCTOPT_ABI_N)
#define STRUCTOPT_ABI_ISA_3                                                                        \
    STRUCTOPT_CONCAT6(STRUCTOPT_ABI_B, STRUCTOPT_ABI_v, STRUCTOPT_ABI_n, STRUCTOPT_ABI_d,          \
        STRUCTOPT_ABI_i, STRUCTOPT_ABI_s)
#define STRUCTOPT_ABI_OPTIONS                                                                      \
    STRUCTOPT_CONCAT4(                                                                             \
        STRUCTOPT_ABI_OMP, STRUCTOPT_ABI_CBLAS, STRUCTOPT_ABI_DISPATCH, STRUCTOPT_ABI_NOEXC)

/// The inline namespace of everything else, for example `v0_1_4ahf2b_omp`.
#define STRUCTOPT_ABI_NAMESPACE                                                                    \
    STRUCTOPT_CONCAT6(STRUCTOPT_VERSION_NAMESPACE, _, STRUCTOPT_ABI_ISA_1, STRUCTOPT_ABI_ISA_2,    \
        STRUCTOPT_ABI_ISA_3, STRUCTOPT_ABI_OPTIONS)

#define STRUCTOPT_BEGIN_NAMESPACE                                                                  \
    namespace structopt                                                                            \
    {                                                                                              \
    inline namespace STRUCTOPT_ABI_NAMESPACE                                                       \
    {
#define STRUCTOPT_END_NAMESPACE                                                                    \
    }                                                                                              \
    }

// ---------------------------------------------------------------------------------------------
// Errors and assertions
// ---------------------------------------------------------------------------------------------

#ifndef STRUCTOPT_THROW
#if STRUCTOPT_HAS_EXCEPTIONS
#define STRUCTOPT_THROW(...) throw __VA_ARGS__
#else
#include <cstdlib>
#define STRUCTOPT_THROW(...) (static_cast<void>(__VA_ARGS__), ::std::abort())
#endif
#endif

#ifndef STRUCTOPT_ASSERT
#include <cassert>
#define STRUCTOPT_ASSERT(...) assert((__VA_ARGS__))
#endif
