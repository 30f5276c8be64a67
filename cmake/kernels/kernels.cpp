// The kernels of one instruction set: compiled by structopt_target_kernels with its flags and
// STRUCTOPT_KERNEL_TARGET, its name.
#include <structopt/kernel/make_table.hpp>
#include <structopt/simd/active_target.hpp>

#include <string_view>

#ifdef STRUCTOPT_DISPATCH
#error "structopt: STRUCTOPT_DISPATCH is for the files that call kernels, not for the kernels"
#endif

#define STRUCTOPT_TABLE_OF_(target) kernels_##target
#define STRUCTOPT_TABLE_OF(target) STRUCTOPT_TABLE_OF_(target)
#define STRUCTOPT_TEXT_(text) #text
#define STRUCTOPT_TEXT(text) STRUCTOPT_TEXT_(text)

namespace
{

/// Whether the flags allow the instruction set of that name and no wider one.
constexpr bool flags_are_those_of(std::string_view target)
{
#if defined(__AVX512F__)
    constexpr std::string_view family = "avx512";
#elif defined(__AVX__)
    constexpr std::string_view family = "avx2_";
#else
    constexpr std::string_view family = "";
#endif
    return target == structopt::simd::detail::compiled_target() &&
           target.substr(0, family.size()) == family;
}

static_assert(flags_are_those_of(STRUCTOPT_TEXT(STRUCTOPT_KERNEL_TARGET)),
    "other flags reach the kernels: keep -m options out of CMAKE_CXX_FLAGS");

} // namespace

STRUCTOPT_BEGIN_SHARED_NAMESPACE

extern const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET);
constinit const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET) = kernel::make_table();

STRUCTOPT_END_SHARED_NAMESPACE
