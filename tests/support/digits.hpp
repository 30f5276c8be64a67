/// @file
/// The 8x8 digits that are committed with the library, and small made-up problems.
#pragma once

#include <structopt/core.hpp>
#include <structopt/io/csv.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace support
{

/// Whether the digits can be read: they are compressed.
#ifdef STRUCTOPT_HAS_ZLIB
inline constexpr bool digits_readable = true;
#else
inline constexpr bool digits_readable = false;
#endif

template <class T>
struct samples
{
    structopt::tensor<T, 2> x;
    std::vector<std::int32_t> labels;
};

/// data/<name> of the source tree.
inline std::string data_path(const std::string& name)
{
    const char* root = std::getenv("STRUCTOPT_SOURCE_DIR");
    if (root != nullptr && *root != '\0')
    {
        return std::string(root) + "/data/" + name;
    }
    const std::string here = __FILE__;
    return here.substr(0, here.rfind("tests/support/digits.hpp")) + "data/" + name;
}

/// Digits `first` ... `last` - 1: pixels from 0 to 1 in [n, 64], and classes.
template <class T>
samples<T> digits(structopt::index_t first = 0, structopt::index_t last = 1348)
{
    const auto table = structopt::io::read_csv<T>(data_path("digits8x8.csv.gz"));
    samples<T> all{structopt::make_tensor<T>(structopt::shape<2>{last - first, 64}), {}};
    for (structopt::index_t row = first; row < last; ++row)
    {
        const T* const from = table.data() + row * 65;
        for (structopt::index_t i = 0; i < 64; ++i)
        {
            all.x.data()[(row - first) * 64 + i] = from[i] / T(16);
        }
        all.labels.push_back(static_cast<std::int32_t>(from[64]));
    }
    return all;
}

/// Three clouds of points in the plane, 0.7 wide: easy, not trivial.
template <class T>
samples<T> clouds(structopt::index_t n, std::uint64_t seed)
{
    structopt::random_engine rng(seed);
    samples<T> all{structopt::make_tensor<T>(structopt::shape<2>{n, 2}), {}};
    const T centres[3][2] = {{T(2), T(0)}, {T(-1), T(2)}, {T(-1), T(-2)}};
    for (structopt::index_t row = 0; row < n; ++row)
    {
        const auto label = static_cast<std::int32_t>(structopt::uniform_index(rng, 3));
        all.labels.push_back(label);
        for (structopt::index_t i = 0; i < 2; ++i)
        {
            all.x.data()[row * 2 + i] = structopt::normal<T>(rng, centres[label][i], T(0.7));
        }
    }
    return all;
}

} // namespace support
