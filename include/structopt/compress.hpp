/// @file
/// What compression is worth: reports of size, memory and time, as tables, JSON and pictures.
#pragma once

#include <structopt/compress/chart.hpp>
#include <structopt/compress/comparison.hpp>
#include <structopt/compress/curves.hpp>
#include <structopt/compress/latency.hpp>
#include <structopt/compress/picture.hpp>
#include <structopt/compress/planned_cost.hpp>
#include <structopt/compress/report.hpp>
#include <structopt/compress/table.hpp>
