/// @file
/// Macros of the library: namespaces, exceptions, assertions, inlining.
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

#include <structopt/abi.hpp>

#if !defined(__cpp_concepts) || __cplusplus < 202002L
#if !(defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#error "structopt needs C++20: compile with -std=c++20 or later"
#endif
#endif

#define STRUCTOPT_BEGIN_NAMESPACE                                                                  \
    namespace structopt                                                                            \
    {                                                                                              \
    inline namespace STRUCTOPT_ABI_NAMESPACE                                                       \
    {
#define STRUCTOPT_END_NAMESPACE                                                                    \
    }                                                                                              \
    }

/// Plain data that files of different compiler flags hand to each other: one type in all of them.
/// All member functions are `STRUCTOPT_ALWAYS_INLINE`, so that no two files share their code.
#define STRUCTOPT_BEGIN_SHARED_NAMESPACE                                                           \
    namespace structopt                                                                            \
    {                                                                                              \
    inline namespace STRUCTOPT_VERSION_NAMESPACE                                                   \
    {                                                                                              \
    namespace shared                                                                               \
    {
#define STRUCTOPT_END_SHARED_NAMESPACE                                                             \
    }                                                                                              \
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

#if defined(__GNUC__)
#define STRUCTOPT_ALWAYS_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define STRUCTOPT_ALWAYS_INLINE __forceinline
#else
#define STRUCTOPT_ALWAYS_INLINE inline
#endif
