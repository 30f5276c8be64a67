// What every part of the program offers, whatever instruction set it was compiled for.
#pragma once

#include <stdexcept>
#include <string>

struct part_result
{
    std::string abi_namespace; // of the library, as this part sees it
    double sum = 0;            // of a tensor's elements, 15 in every part
    double product = 0;        // the output of a small network, 34 in every part
};

#define DECLARE_PART(name)                                                                         \
    namespace name                                                                                 \
    {                                                                                              \
    part_result run();                                                                             \
    void fail();                                                                                   \
    bool catches(void (*function)());                                                              \
    }

DECLARE_PART(baseline)
DECLARE_PART(avx2)
DECLARE_PART(avx512)
