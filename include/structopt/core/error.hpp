/// @file
/// Typed errors: what every function of the library throws, and how the message is built.
///
/// The types live in the version's namespace alone, so that a `catch` in a file compiled for one
/// instruction set catches what a file compiled for another one throws. All files of a program then
/// share one copy of their functions, whose code must not depend on the flags of the file it came
/// from: all but the destructors are always inlined, and the text lies in the standard library's
/// base class.
#pragma once

#include <structopt/config.hpp>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace structopt
{
inline namespace STRUCTOPT_VERSION_NAMESPACE
{

/// Base of all errors: where it happened, what was expected and what came.
///
/// `what()` reads `where: expected <expected>, got <found>`. A part with a zero byte ends there.
class error : public std::runtime_error
{
public:
    STRUCTOPT_ALWAYS_INLINE error(
        const std::string& where, const std::string& expected, const std::string& found)
        : std::runtime_error(std::string(where.c_str())
                                 .append(": expected ")
                                 .append(expected.c_str())
                                 .append(", got ")
                                 .append(found.c_str()))
        , m_where_length(static_cast<std::uint32_t>(std::strlen(where.c_str())))
        , m_expected_length(static_cast<std::uint32_t>(std::strlen(expected.c_str())))
    {
    }

    STRUCTOPT_ALWAYS_INLINE error(const error& other) noexcept
        : std::runtime_error(other)
        , m_where_length(other.m_where_length)
        , m_expected_length(other.m_expected_length)
    {
    }

    STRUCTOPT_ALWAYS_INLINE error& operator=(const error& other) noexcept
    {
        std::runtime_error::operator=(other);
        m_where_length = other.m_where_length;
        m_expected_length = other.m_expected_length;
        return *this;
    }

    /// The layer, argument, tensor or file the error is about.
    STRUCTOPT_ALWAYS_INLINE std::string where() const
    {
        return std::string(what(), m_where_length);
    }

    STRUCTOPT_ALWAYS_INLINE std::string expected() const
    {
        return std::string(what() + m_where_length + std::strlen(": expected "), m_expected_length);
    }

    STRUCTOPT_ALWAYS_INLINE std::string found() const
    {
        return std::string(what() + m_where_length + std::strlen(": expected ") +
                           m_expected_length + std::strlen(", got "));
    }

private:
    std::uint32_t m_where_length;
    std::uint32_t m_expected_length;
};

/// A tensor whose rank or extents do not fit.
class shape_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE shape_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

/// An option or argument outside its range.
class argument_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE argument_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

/// A file, header or packed buffer that is not what its format demands.
class format_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE format_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

} // namespace STRUCTOPT_VERSION_NAMESPACE
} // namespace structopt

STRUCTOPT_BEGIN_NAMESPACE
namespace detail
{

/// Throws out of line, so that the checks of hot functions stay one compare and branch.
template <class Error>
[[noreturn]]
#if defined(__GNUC__)
__attribute__((noinline, cold))
#endif
void raise(const std::string& where, const std::string& expected, const std::string& found)
{
    STRUCTOPT_THROW(Error(where, expected, found));
#if !STRUCTOPT_HAS_EXCEPTIONS && defined(__GNUC__)
    __builtin_unreachable();
#endif
}

} // namespace detail
STRUCTOPT_END_NAMESPACE
