// What a program computes, of every kernel and of small networks: compiled twice, with PART naming the
// way that kernels are called.
#pragma once

#include <string>
#include <vector>

/// Results under one name. Exact ones have the same bits on every instruction set; of others the
/// numbers differ by a few hundred roundings of the largest.
struct outcome
{
    std::string name;
    std::vector<double> values;
    double epsilon = 0; ///< 0: exact
};

#define DECLARE_PART(name)                                                                         \
    namespace name                                                                                 \
    {                                                                                              \
    std::vector<outcome> outcomes();                                                               \
    }

DECLARE_PART(plain)
DECLARE_PART(dispatched)
