/// @file
/// Where the golden files lie, and the reader of the schedules' series.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace support
{

/// The path of tests/golden/<name>: under STRUCTOPT_SOURCE_DIR where the environment has it, beside
/// this file's folder otherwise.
inline std::string golden_path(const std::string& name)
{
    const char* root = std::getenv("STRUCTOPT_SOURCE_DIR");
    if (root != nullptr && *root != '\0')
    {
        return std::string(root) + "/tests/golden/" + name;
    }
    const std::string here = __FILE__;
    return here.substr(0, here.rfind("support/golden.hpp")) + "golden/" + name;
}

/// The values of one line of schedules.csv; fails the test where there is none.
inline std::vector<double> golden_series(const std::string& name)
{
    std::ifstream file(golden_path("schedules.csv"));
    std::string line;
    while (std::getline(file, line))
    {
        std::istringstream cells(line);
        std::string cell;
        if (!std::getline(cells, cell, ',') || cell != name)
        {
            continue;
        }
        std::vector<double> values;
        while (std::getline(cells, cell, ','))
        {
            values.push_back(std::strtod(cell.c_str(), nullptr));
        }
        return values;
    }
    FAIL("no series ", name, " in ", golden_path("schedules.csv"));
    return {};
}

/// Compares a schedule with every value of a series, to rounding: PyTorch multiplies step by step,
/// the library's closed forms do not.
template <class Rate>
void check_series(const std::string& name, const Rate& rate)
{
    const auto expected = golden_series(name);
    REQUIRE(expected.size() >= 10);
    for (std::size_t i = 0; i < expected.size(); ++i)
    {
        const double found = rate(static_cast<std::ptrdiff_t>(i));
        INFO(name << " step " << i << ": expected " << expected[i] << ", found " << found);
        CHECK(std::abs(found - expected[i]) <= 1e-12 * std::abs(expected[i]) + 1e-16);
    }
}

} // namespace support
