/// @file
/// The library's version: the one place that states it (CMake and the packages read these lines).
#pragma once

#define STRUCTOPT_VERSION_MAJOR 0
#define STRUCTOPT_VERSION_MINOR 1
#define STRUCTOPT_VERSION_PATCH 0
