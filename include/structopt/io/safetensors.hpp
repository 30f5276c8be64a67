/// @file
/// safetensors, the format of models, checkpoints and compressed models: reader and writer.
#pragma once

#include <structopt/io/safetensors_file.hpp>
#include <structopt/io/safetensors_writer.hpp>
