/// @file
/// The tables that the library brings along.
#pragma once

#include <structopt/nn/plan/measured_times.hpp>
#include <structopt/nn/plan/plan_table.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// What was measured for floats of one instruction set, on one machine (`nn/plan/measured_times.hpp`);
/// by default for the one that kernels run on. Empty for other sets: nothing sparse is then
/// chosen for latency, until `measure_plan` has measured.
inline plan_table built_in_plan_table(instruction_set set = current_instruction_set())
{
    const std::string name = "built-in table";
    switch (set)
    {
    case instruction_set::sse2:
        return plan_table::parse(detail::measured_sse2, name);
    case instruction_set::avx2:
        return plan_table::parse(detail::measured_avx2, name);
    case instruction_set::avx512:
        return plan_table::parse(detail::measured_avx512, name);
    default:
        return {};
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
