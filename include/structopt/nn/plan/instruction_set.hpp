/// @file
/// Instruction sets as plans tell them apart.
#pragma once

#include <structopt/simd/active_target.hpp>

#include <array>
#include <cstddef>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// What the float kernels' speed depends on. Integer dot products (VNNI) do not matter to them.
enum class instruction_set
{
    other, ///< none of the following: aarch64, AVX without AVX2
    sse2,  ///< 128-bit registers, up to SSE4.2
    avx2,  ///< 256-bit registers and fused multiply-add
    avx512 ///< 512-bit registers
};

constexpr std::string_view name_of(instruction_set set) noexcept
{
    constexpr std::array<std::string_view, 4> names{"other", "sse2", "avx2", "avx512"};
    return names[static_cast<std::size_t>(set)];
}

/// From a name as `simd::active_target` or xsimd spells it: "avx2_fma", "avx512vnni<avx512vbmi2>".
constexpr instruction_set instruction_set_of(std::string_view target) noexcept
{
    const auto has = [target](std::string_view part)
    {
        return target.find(part) != std::string_view::npos;
    };
    if (has("avx512"))
    {
        return instruction_set::avx512;
    }
    // Without a fused multiply-add it is another machine.
    if (has("avxvnni") || (has("avx2") && (has("fma") || has("vnni"))))
    {
        return instruction_set::avx2;
    }
    return has("sse") && !has("avx") ? instruction_set::sse2 : instruction_set::other;
}

/// That of the kernels: what the program is compiled for or, with run-time dispatch, what it runs on.
inline instruction_set current_instruction_set() noexcept
{
    return instruction_set_of(simd::active_target());
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
