/// @file
/// The small floating-point formats under the names that files use: F16, BF16, F8_E4M3, F8_E5M2.
#pragma once

#include <structopt/core/small_float.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

using structopt::bfloat16;
using structopt::float8_e4m3;
using structopt::float8_e5m2;
using structopt::half;
using structopt::small_float;

} // namespace io
STRUCTOPT_END_NAMESPACE
