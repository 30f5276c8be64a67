/// @file
/// Reads hostile input to the last element, for the mutation test and the fuzzers.
#pragma once

#include <structopt/core/error.hpp>

#include <cstddef>

namespace support
{

/// Keeps the compiler from dropping a read.
template <class T>
void touch(const T* first, std::size_t n)
{
    static volatile unsigned char sink = 0;
    unsigned char sum = 0;
    for (std::size_t i = 0; i < n * sizeof(T); ++i)
    {
        sum = static_cast<unsigned char>(sum + reinterpret_cast<const unsigned char*>(first)[i]);
    }
    sink = sum;
    static_cast<void>(sink);
}

/// True if `read` takes its input, false if it refuses it as the library promises.
template <class Read>
bool consume(const Read& read)
{
    try
    {
        read();
        return true;
    }
    catch (const structopt::format_error&)
    {
    }
    catch (const structopt::shape_error&)
    {
    }
    return false;
}

} // namespace support
