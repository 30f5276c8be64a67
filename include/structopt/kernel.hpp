/// @file
/// Kernels: dense and integer products, im2col; raw pointers, no allocation, no exceptions.
#pragma once

#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/convolution_packed.hpp>
#include <structopt/kernel/convolution_s8.hpp>
#include <structopt/kernel/csr_transposed.hpp>
#include <structopt/kernel/depthwise.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/kernel/im2col.hpp>
#include <structopt/kernel/image_s8.hpp>
#include <structopt/kernel/low_rank.hpp>
#include <structopt/kernel/operand.hpp>
#include <structopt/kernel/optimizer_update.hpp>
#include <structopt/kernel/pack.hpp>
#include <structopt/kernel/patches.hpp>
#include <structopt/kernel/pool.hpp>
#include <structopt/kernel/quantize_rows.hpp>
#include <structopt/kernel/sddmm_csr.hpp>
#include <structopt/kernel/spmm_bitmask.hpp>
#include <structopt/kernel/spmm_bsr.hpp>
#include <structopt/kernel/spmm_csr.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>
#include <structopt/kernel/spmm_nm.hpp>
#include <structopt/kernel/spmm_sliced.hpp>
#include <structopt/kernel/spmm_tiled.hpp>
