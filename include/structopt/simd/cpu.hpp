/// @file
/// What the processor and its operating system run, and the instruction sets that kernels can be
/// compiled for.
#pragma once

#include <structopt/config.hpp>

#include <cstdint>
#include <initializer_list>
#include <string_view>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// What instruction sets ask of a machine, one bit each.
enum cpu_feature : std::uint32_t
{
    cpu_baseline = 0,      ///< x86-64 with SSE2, or aarch64 with NEON
    cpu_v3 = 1U << 0,      ///< x86-64-v3: AVX2, FMA, F16C, BMI, LZCNT, MOVBE
    cpu_v4 = 1U << 1,      ///< x86-64-v4: AVX-512 F, BW, CD, DQ, VL
    cpu_vnni = 1U << 2,    ///< AVX512-VNNI
    cpu_avxvnni = 1U << 3, ///< AVX-VNNI
    cpu_dotprod = 1U << 4  ///< aarch64's dot product
};

/// An instruction set that kernels can be compiled for, and what it needs.
struct known_target
{
    const char* name;
    std::uint32_t needs;
};

/// All of them; a later one is preferred. cmake/kernels/structopt-kernels.cmake has their flags.
inline constexpr known_target known_targets[] = {
#if defined(__aarch64__)
    {"neon", cpu_baseline},
    {"neon_dotprod", cpu_dotprod},
#else
    {"sse2", cpu_baseline},
    {"avx2_fma", cpu_v3},
    {"avx2_vnni", cpu_v3 | cpu_avxvnni},
    {"avx512", cpu_v3 | cpu_v4},
    {"avx512_vnni", cpu_v3 | cpu_v4 | cpu_vnni},
#endif
};

namespace detail
{

#if defined(__x86_64__) && defined(__GNUC__)

/// The registers that the operating system saves (XCR0). Only where CPUID reports OSXSAVE.
inline std::uint64_t saved_registers() noexcept
{
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (std::uint64_t{high} << 32) | low;
}

/// Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID; levels as in the psABI.
inline std::uint32_t find_cpu_features() noexcept
{
    const auto all = [](std::uint32_t value, std::initializer_list<int> bits)
    {
        for (const int bit : bits)
        {
            if (((value >> bit) & 1U) == 0)
            {
                return false;
            }
        }
        return true;
    };
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    std::uint32_t c = 0;
    std::uint32_t d = 0;
    // SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, OSXSAVE, AVX, F16C.
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || !all(c, {0, 9, 12, 13, 19, 20, 22, 23, 27, 28, 29}))
    {
        return cpu_baseline;
    }
    const std::uint64_t saved = saved_registers();
    constexpr std::uint64_t avx_state = 0x06;
    constexpr std::uint64_t avx512_state = 0xe6;
    if ((saved & avx_state) != avx_state)
    {
        return cpu_baseline;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) == 0 || !all(c, {0, 5})) // LAHF, LZCNT
    {
        return cpu_baseline;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || !all(b, {3, 5, 8})) // BMI1, AVX2, BMI2
    {
        return cpu_baseline;
    }
    const std::uint32_t leaves = a;
    std::uint32_t found = cpu_v3;
    if ((saved & avx512_state) == avx512_state && all(b, {16, 17, 28, 30, 31})) // F, DQ, CD, BW, VL
    {
        found |= cpu_v4;
        found |= all(c, {11}) ? std::uint32_t{cpu_vnni} : 0;
    }
    if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && all(a, {4}))
    {
        found |= cpu_avxvnni;
    }
    return found;
}

#elif defined(__aarch64__) && defined(__linux__)

inline std::uint32_t find_cpu_features() noexcept
{
    constexpr unsigned long dot_product = 1UL << 20; // HWCAP_ASIMDDP
    return (getauxval(AT_HWCAP) & dot_product) != 0 ? std::uint32_t{cpu_dotprod}
                                                    : std::uint32_t{cpu_baseline};
}

#elif defined(__aarch64__) && defined(__APPLE__)

inline std::uint32_t find_cpu_features() noexcept
{
    return cpu_dotprod;
}

#else

inline std::uint32_t find_cpu_features() noexcept
{
    return cpu_baseline;
}

#endif

} // namespace detail

/// The bits of `cpu_feature` that this machine has; found once.
inline std::uint32_t cpu_features() noexcept
{
    static const std::uint32_t found = detail::find_cpu_features();
    return found;
}

/// Whether this machine runs the instruction set of that name. False for unknown names.
inline bool cpu_runs(std::string_view target) noexcept
{
    for (const known_target& t : known_targets)
    {
        if (target == t.name)
        {
            return (t.needs & ~cpu_features()) == 0;
        }
    }
    return false;
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
