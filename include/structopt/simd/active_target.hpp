/// @file
/// The instruction set that kernels run on: which ones there are, which one is used, and a choice for
/// tests.
///
/// Without run-time dispatch there is one, that of the compiler's flags. See docs/dispatch.md.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/simd/cpu.hpp>

#include <string>
#include <string_view>
#include <vector>

#ifdef STRUCTOPT_DISPATCH
STRUCTOPT_BEGIN_SHARED_NAMESPACE

struct kernel_table;

/// Kernels that were compiled for one instruction set.
struct kernel_target
{
    const char* name;
    const kernel_table* kernels;
};

/// What `structopt_target_kernels` compiled for this program, ends with a null name. Not found by the
/// linker: STRUCTOPT_DISPATCH is defined by hand.
extern const kernel_target kernel_targets[];

/// The one that is used; null until the first use.
inline const kernel_target* chosen_target = nullptr;

STRUCTOPT_END_SHARED_NAMESPACE
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

namespace detail
{

/// The name of what the compiler's flags allow, among `known_targets`.
constexpr const char* compiled_target() noexcept
{
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#if defined(__AVX512VNNI__)
    return "avx512_vnni";
#else
    return "avx512";
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#if defined(__AVXVNNI__)
    return "avx2_vnni";
#else
    return "avx2_fma";
#endif
#elif defined(__ARM_NEON)
#if defined(__ARM_FEATURE_DOTPROD)
    return "neon_dotprod";
#else
    return "neon";
#endif
#else
    return "sse2";
#endif
}

#ifdef STRUCTOPT_DISPATCH

/// What was compiled under that name, or null.
inline const shared::kernel_target* find_target(std::string_view name) noexcept
{
    for (const shared::kernel_target* t = shared::kernel_targets; t->name != nullptr; ++t)
    {
        if (name == t->name)
        {
            return t;
        }
    }
    return nullptr;
}

/// The best one that this machine runs. The first one in the list runs everywhere.
inline const shared::kernel_target* best_target() noexcept
{
    const shared::kernel_target* best = shared::kernel_targets;
    for (const known_target& known : known_targets)
    {
        const shared::kernel_target* const found = detail::find_target(known.name);
        best = found != nullptr && cpu_runs(known.name) ? found : best;
    }
    return best;
}

/// Several threads may find the same at once.
#if defined(__GNUC__)
__attribute__((noinline, cold))
#endif
inline const shared::kernel_target&
choose_target() noexcept
{
    const shared::kernel_target* const best = detail::best_target();
    const shared::kernel_target* before = nullptr;
    __atomic_compare_exchange_n(
        &shared::chosen_target, &before, best, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return before == nullptr ? *best : *before;
}

inline const shared::kernel_target& target() noexcept
{
    const shared::kernel_target* const chosen =
        __atomic_load_n(&shared::chosen_target, __ATOMIC_ACQUIRE);
    return chosen != nullptr ? *chosen : detail::choose_target();
}

#endif

} // namespace detail

/// The name of the instruction set that kernels run on, for example "avx2_fma".
inline std::string_view active_target() noexcept
{
#ifdef STRUCTOPT_DISPATCH
    return detail::target().name;
#else
    return detail::compiled_target();
#endif
}

/// The names of those that this program has kernels for and this machine runs, the best one last.
inline std::vector<std::string_view> available_targets()
{
#ifdef STRUCTOPT_DISPATCH
    std::vector<std::string_view> names;
    for (const known_target& known : known_targets)
    {
        if (detail::find_target(known.name) != nullptr && cpu_runs(known.name))
        {
            names.emplace_back(known.name);
        }
    }
    return names;
#else
    return {detail::compiled_target()};
#endif
}

/// Kernels run on another instruction set as long as this lives: for tests and measurements.
///
/// For the whole program: no kernel may run while it begins or ends. Packed weights
/// (`nn::packed_matrix`, `quantize::int8_matrix`) belong to the target that packed them: pack after it
/// begins, drop before it ends. `argument_error` for a name that is not among
/// `available_targets`.
class use_target
{
public:
    explicit use_target(std::string_view name)
    {
        bool found = false;
        std::string names;
        for (const std::string_view available : available_targets())
        {
            found = found || name == available;
            names.append(names.empty() ? "" : ", ").append(available);
        }
        if (!found)
        {
            structopt::detail::raise<argument_error>(
                "use_target", "one of " + names, std::string(name));
        }
#ifdef STRUCTOPT_DISPATCH
        m_before = &detail::target();
        __atomic_store_n(&shared::chosen_target, detail::find_target(name), __ATOMIC_RELEASE);
#endif
    }

    use_target(const use_target&) = delete;
    use_target& operator=(const use_target&) = delete;

    ~use_target()
    {
#ifdef STRUCTOPT_DISPATCH
        __atomic_store_n(&shared::chosen_target, m_before, __ATOMIC_RELEASE);
#endif
    }

#ifdef STRUCTOPT_DISPATCH
private:
    const shared::kernel_target* m_before;
#endif
};

} // namespace simd
STRUCTOPT_END_NAMESPACE
