/// @file
/// Vector operations of the kernels: the only headers that name xsimd.
#pragma once

#include <structopt/simd/active_target.hpp>
#include <structopt/simd/broadcast.hpp>
#include <structopt/simd/compat.hpp>
#include <structopt/simd/cpu.hpp>
#include <structopt/simd/deal.hpp>
#include <structopt/simd/dot.hpp>
#include <structopt/simd/dot_decoded.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/expand.hpp>
#include <structopt/simd/fields.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/load_pair.hpp>
#include <structopt/simd/lookup.hpp>
#include <structopt/simd/part.hpp>
#include <structopt/simd/pick.hpp>
#include <structopt/simd/prefetch.hpp>
#include <structopt/simd/reduce.hpp>
#include <structopt/simd/repeat.hpp>
#include <structopt/simd/sqrt.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>
#include <structopt/simd/transpose.hpp>
#include <structopt/simd/widen.hpp>
