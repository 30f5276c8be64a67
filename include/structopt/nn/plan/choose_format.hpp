/// @file
/// The choice of a weight's format from its pattern, its use and a measured table.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/nn/plan/plan_table.hpp>

#include <charconv>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// What a plan makes small.
enum class objective
{
    latency,
    bytes ///< in memory
};

struct plan_options
{
    objective goal = objective::latency;
    /// A sparse format is chosen for latency only if its predicted time is below the dense one's by
    /// this share of it: what predictions are off by, so that nothing gets slower. 0 to 1.
    double margin = 0.1;

    friend bool operator==(const plan_options&, const plan_options&) = default;
};

/// What is known of one format for one weight.
struct plan_candidate
{
    weight_format format = weight_format::dense;
    double time_us = 0; ///< predicted; 0: not known
    std::size_t bytes = 0;

    friend bool operator==(const plan_candidate&, const plan_candidate&) = default;
};

/// What was chosen for one weight, and why.
struct plan_choice
{
    weight_format format = weight_format::dense;
    double time_us = 0;       ///< predicted; 0: not known
    double dense_time_us = 0; ///< predicted, of the fastest dense product; 0: not known
    std::size_t bytes = 0;    ///< in memory
    std::string reason;       ///< one line
    /// All formats that hold the matrix, best first: for latency those whose time is known.
    std::vector<plan_candidate> candidates;

    friend bool operator==(const plan_choice&, const plan_choice&) = default;
};

/// Chooses the format of a weight.
///
/// For latency: the format whose predicted time is the smallest, if it is below the dense format's by
/// `options.margin`, else the dense format. What the table does not know is not chosen; where it knows
/// nothing (another instruction set, elements of another size, a matrix below the measured extents),
/// weights stay dense. For bytes: the format that takes the fewest in memory; of equals the one that is
/// predicted to be faster, then the first of `weight_format`.
///
/// Throws `argument_error` for a batch or a number of images below 1 and a margin outside [0, 1).
plan_choice choose_format(const weight_pattern& pattern, const weight_use& use,
    const plan_options& options, const plan_table& table);

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Three significant digits.
inline std::string short_number(double value)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 3);
    return {text, end.ptr};
}

inline std::string bytes_text(std::size_t bytes)
{
    // Small numbers whole, larger ones in three digits.
    return bytes < 1000      ? std::to_string(bytes) + " bytes"
           : bytes < 1000000 ? short_number(static_cast<double>(bytes) / 1e3) + " kB"
                             : short_number(static_cast<double>(bytes) / 1e6) + " MB";
}

inline std::string time_text(double us)
{
    return us < 1000 ? short_number(us) + " us" : short_number(us / 1000) + " ms";
}

inline void check_plan(const weight_use& use, const plan_options& options)
{
    if (use.batch < 1 || use.images < 1)
    {
        structopt::detail::raise<argument_error>("plan", "a batch of at least 1",
            std::to_string(use.batch < 1 ? use.batch : use.images));
    }
    if (!(options.margin >= 0 && options.margin < 1))
    {
        structopt::detail::raise<argument_error>(
            "plan", "a margin from 0 to below 1", short_number(options.margin));
    }
}

/// Moves the best candidate to the front and sorts the rest behind it.
template <class Better>
void sort_candidates(std::vector<plan_candidate>& candidates, const Better& better)
{
    // A handful, and equals keep their order.
    for (std::size_t i = 1; i < candidates.size(); ++i)
    {
        for (std::size_t j = i; j > 0 && better(candidates[j], candidates[j - 1]); --j)
        {
            std::swap(candidates[j], candidates[j - 1]);
        }
    }
}

inline std::string describe_use(const weight_use& use)
{
    return use.kind == layer_kind::dense
               ? "batch " + std::to_string(use.batch)
               : std::to_string(use.batch) + " positions of " + std::to_string(use.images) +
                     (use.images == 1 ? " image" : " images");
}

inline std::string density_text(const weight_pattern& pattern)
{
    return short_number(100 * stored_density(pattern, weight_format::csr16)) + " % non-zeros";
}

} // namespace detail

inline plan_choice choose_format(const weight_pattern& pattern, const weight_use& use,
    const plan_options& options, const plan_table& table)
{
    detail::check_plan(use, options);
    constexpr weight_format dense = fastest_dense;
    const bool known = !table.empty() && table.element_bytes() == pattern.element_bytes;
    const double dense_us = known ? table.dense_us(pattern, use) : 0;
    const bool for_bytes = options.goal == objective::bytes;
    plan_choice choice;
    choice.dense_time_us = dense_us;
    for (const weight_format format : every_weight_format)
    {
        if (!holds(pattern, format))
        {
            continue;
        }
        const double time = known ? dense_us * table.ratio(pattern, format, use) : 0;
        if (for_bytes || time > 0 || format == dense)
        {
            choice.candidates.push_back({format, time, bytes_in(pattern, format)});
        }
    }
    const auto faster = [](const plan_candidate& a, const plan_candidate& b)
    {
        return a.time_us > 0 && (!(b.time_us > 0) || a.time_us < b.time_us);
    };
    detail::sort_candidates(choice.candidates,
        [&](const plan_candidate& a, const plan_candidate& b)
        {
            return for_bytes ? a.bytes < b.bytes || (a.bytes == b.bytes && faster(a, b))
                             : faster(a, b);
        });
    const auto take = [&](const plan_candidate& candidate)
    {
        choice.format = candidate.format;
        choice.time_us = candidate.time_us;
        choice.bytes = candidate.bytes;
    };
    const plan_candidate& best = choice.candidates.front();
    const plan_candidate& other =
        choice.candidates.size() > 1 ? choice.candidates[1] : choice.candidates.front();
    if (for_bytes)
    {
        take(best);
        choice.reason = std::string(name_of(best.format)) + ": " + detail::bytes_text(best.bytes) +
                        ", the fewest; then " + std::string(name_of(other.format)) + " with " +
                        detail::bytes_text(other.bytes) + ", dense " +
                        detail::bytes_text(bytes_in(pattern, weight_format::dense)) + "; " +
                        detail::density_text(pattern);
        return choice;
    }
    plan_candidate plain{dense, dense_us, bytes_in(pattern, dense)};
    if (!is_dense(best.format) && best.time_us <= (1 - options.margin) * dense_us)
    {
        take(best);
        choice.reason = std::string(name_of(best.format)) + ": " + detail::time_text(best.time_us) +
                        " predicted for " + detail::describe_use(use) + ", " +
                        detail::short_number(dense_us / best.time_us) + " times as fast as " +
                        std::string(name_of(dense)) + " with " + detail::time_text(dense_us);
        if (!is_dense(other.format))
        {
            choice.reason += "; then " + std::string(name_of(other.format)) + " with " +
                             detail::time_text(other.time_us);
        }
        choice.reason += "; " + detail::density_text(pattern);
        return choice;
    }
    take(plain);
    choice.reason = std::string(name_of(dense)) + ": ";
    if (table.empty())
    {
        choice.reason +=
            "no times were measured for this instruction set, so nothing else is chosen";
    }
    else if (!known)
    {
        choice.reason += "the times were measured for elements of " +
                         std::to_string(table.element_bytes()) + " bytes and not of " +
                         std::to_string(pattern.element_bytes);
    }
    else if (choice.candidates.size() == 1)
    {
        choice.reason += !plan_table::covers(pattern.rows, pattern.columns)
                             ? "smaller or more slender than what was measured (" +
                                   std::to_string(plan_table::least_rows) + " rows, " +
                                   std::to_string(plan_table::least_columns) + " columns, " +
                                   std::to_string(plan_table::most_slender) + " times as long)"
                         : !(dense_us > 0)
                             ? std::string("no matrix of this size was measured")
                             : "no sparse format was measured at " + detail::density_text(pattern);
    }
    else
    {
        const plan_candidate& sparse = is_dense(best.format) ? other : best;
        choice.reason +=
            detail::time_text(dense_us) + " predicted for " + detail::describe_use(use) +
            "; the best sparse format, " + std::string(name_of(sparse.format)) + " with " +
            detail::time_text(sparse.time_us) + ", is not faster by " +
            detail::short_number(100 * options.margin) + " %; " + detail::density_text(pattern);
    }
    return choice;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
