// The kernels of one instruction set: compiled by structopt_target_kernels with its flags and
// STRUCTOPT_KERNEL_TARGET, its name.
#include <structopt/kernel.hpp>
#include <structopt/kernel/registry.hpp>
#include <structopt/simd/active_target.hpp>

#include <cstring>
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

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

namespace detail
{

template <class Rule, class T, bool Zero>
void update_by_bytes(const void* rule_bytes, index_t n, T* const* arrays) noexcept
{
    Rule rule;
    std::memcpy(&rule, rule_bytes, sizeof rule);
    update<simd::default_arch, Zero>(rule, n, arrays);
}

} // namespace detail

#define STRUCTOPT_TABLE_KERNEL(name, result, kernel, parameters, names)                            \
    table.name = &STRUCTOPT_KERNEL_NAME kernel;
#define STRUCTOPT_TABLE_SIZE(name, kernel, plain, parameters, names)                               \
    table.name = &STRUCTOPT_KERNEL_NAME kernel;
#define STRUCTOPT_TABLE_RULE(name, rule_type, T, Zero)                                             \
    table.name = &detail::update_by_bytes<STRUCTOPT_KERNEL_NAME rule_type, T, Zero>;

/// All rows of the registry.
constexpr shared::kernel_table make_table() noexcept
{
    shared::kernel_table table{};
    STRUCTOPT_KERNELS(STRUCTOPT_TABLE_KERNEL, STRUCTOPT_TABLE_SIZE)
    STRUCTOPT_OPTIMIZER_RULES(STRUCTOPT_TABLE_RULE)
    return table;
}

#undef STRUCTOPT_TABLE_KERNEL
#undef STRUCTOPT_TABLE_SIZE
#undef STRUCTOPT_TABLE_RULE

} // namespace kernel
STRUCTOPT_END_NAMESPACE

STRUCTOPT_BEGIN_SHARED_NAMESPACE

extern const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET);
constinit const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET) = kernel::make_table();

STRUCTOPT_END_SHARED_NAMESPACE
