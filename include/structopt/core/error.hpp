/// @file
/// Typed errors: what every function of the library throws, and how the message is built.
///
/// The types live in the version's namespace alone, so that a `catch` in a file compiled for one
/// instruction set catches what a file compiled for another one throws.
#pragma once

#include <structopt/config.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace structopt
{
inline namespace STRUCTOPT_VERSION_NAMESPACE
{

/// Base of all errors: where it happened, what was expected and what came.
///
/// `what()` reads `where: expected <expected>, got <found>`.
class error : public std::runtime_error
{
public:
    error(std::string where, std::string expected, std::string found)
        : std::runtime_error(where + ": expected " + expected + ", got " + found)
        , m_where(std::move(where))
        , m_expected(std::move(expected))
        , m_found(std::move(found))
    {
    }

    /// The layer, argument, tensor or file the error is about.
    const std::string& where() const noexcept
    {
        return m_where;
    }

    const std::string& expected() const noexcept
    {
        return m_expected;
    }

    const std::string& found() const noexcept
    {
        return m_found;
    }

private:
    std::string m_where;
    std::string m_expected;
    std::string m_found;
};

/// A tensor whose rank or extents do not fit.
class shape_error : public error
{
public:
    using error::error;
};

/// An option or argument outside its range.
class argument_error : public error
{
public:
    using error::error;
};

/// A file, header or packed buffer that is not what its format demands.
class format_error : public error
{
public:
    using error::error;
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
void raise(std::string where, std::string expected, std::string found)
{
    STRUCTOPT_THROW(Error(std::move(where), std::move(expected), std::move(found)));
#if !STRUCTOPT_HAS_EXCEPTIONS && defined(__GNUC__)
    __builtin_unreachable();
#endif
}

} // namespace detail
STRUCTOPT_END_NAMESPACE
