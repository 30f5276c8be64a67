/// @file
/// Messages of errors.
#pragma once

#include <doctest/doctest.h>
#include <structopt/core/error.hpp>

#include <initializer_list>
#include <string>

namespace support
{

/// The message of the `Error` that `function` throws; "" if it throws nothing.
template <class Error, class Function>
std::string message_of(Function&& function)
{
    try
    {
        function();
    }
    catch (const Error& e)
    {
        return e.what();
    }
    return "";
}

/// Checks that a message has all these parts.
inline void check_parts(const std::string& message, std::initializer_list<const char*> parts)
{
    for (const char* const part : parts)
    {
        CHECK_MESSAGE(message.find(part) != std::string::npos, "no \"", part, "\" in: ", message);
    }
}

} // namespace support
