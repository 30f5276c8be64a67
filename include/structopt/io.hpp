/// @file
/// Files: safetensors in and out, npy in and out; idx, csv, CIFAR, Matrix Market and .smtx in; each
/// of them plain or .gz except safetensors, which is memory-mapped.
#pragma once

#include <structopt/io/atomic_file.hpp>
#include <structopt/io/byte_source.hpp>
#include <structopt/io/cifar.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/csv.hpp>
#include <structopt/io/dtype.hpp>
#include <structopt/io/gzip.hpp>
#include <structopt/io/half.hpp>
#include <structopt/io/idx.hpp>
#include <structopt/io/load_report.hpp>
#include <structopt/io/mapped_file.hpp>
#include <structopt/io/matrix_market.hpp>
#include <structopt/io/message.hpp>
#include <structopt/io/npy.hpp>
#include <structopt/io/read_elements.hpp>
#include <structopt/io/safetensors.hpp>
#include <structopt/io/smtx.hpp>
#include <structopt/io/text_lines.hpp>
