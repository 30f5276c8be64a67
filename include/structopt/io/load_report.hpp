/// @file
/// What a file of named tensors lacks for a network, collected into one error.
#pragma once

#include <structopt/io/dtype.hpp>
#include <structopt/io/message.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Everything that does not fit between the tensors of a file and those that a reader wants.
///
/// Fill it while comparing, before anything is written, then call `raise_if_any`: the user sees all
/// names that need mapping at once instead of one per attempt.
class load_report
{
public:
    /// The reader wants it, the file lacks it.
    void missing(std::string_view name, std::span<const index_t> expected)
    {
        m_missing.push_back(detail::printable(name) + " " + detail::describe_extents(expected));
    }

    /// The file has it, the reader has no place for it.
    void unexpected(std::string_view name, dtype type, std::span<const index_t> found)
    {
        m_unexpected.push_back(detail::printable(name) + " " + std::string(name_of(type)) + " " +
                               detail::describe_extents(found));
    }

    /// Both have it, with different extents.
    void misshaped(
        std::string_view name, std::span<const index_t> expected, std::span<const index_t> found)
    {
        m_misshaped.push_back(detail::printable(name) + " expected " +
                              detail::describe_extents(expected) + " got " +
                              detail::describe_extents(found));
    }

    /// Both have it; elements of type `found` cannot be read as `expected` (see `readable_as`).
    void mistyped(std::string_view name, dtype expected, dtype found)
    {
        m_mistyped.push_back(detail::printable(name) + " expected " +
                             std::string(name_of(expected)) + " got " +
                             std::string(name_of(found)));
    }

    /// Both have it; the reader cannot use what the file has, for this reason.
    void unusable(std::string_view name, std::string_view reason)
    {
        m_unusable.push_back(detail::printable(name) + " (" + std::string(reason) + ")");
    }

    bool empty() const noexcept
    {
        return m_missing.empty() && m_unexpected.empty() && m_misshaped.empty() &&
               m_mistyped.empty() && m_unusable.empty();
    }

    /// Names as they can be printed, at most 50 of a kind:
    /// "2 missing: a [3], b [4, 5]; 1 mis-shaped: c expected [3] got [4]"
    std::string text() const
    {
        std::string all;
        append(all, "missing", m_missing);
        append(all, "unexpected", m_unexpected);
        append(all, "mis-shaped", m_misshaped);
        append(all, "mis-typed", m_mistyped);
        append(all, "unusable", m_unusable);
        return all;
    }

    /// Throws a `format_error` with `text()` unless nothing was reported.
    void raise_if_any(const std::string& source, const std::string& expected) const
    {
        if (!empty())
        {
            detail::raise<format_error>(source, expected, text());
        }
    }

private:
    static constexpr std::size_t most_listed = 50;

    static void append(
        std::string& all, std::string_view what, const std::vector<std::string>& entries)
    {
        if (entries.empty())
        {
            return;
        }
        all += (all.empty() ? "" : "; ") + std::to_string(entries.size()) + " ";
        all += what;
        for (std::size_t i = 0; i < entries.size() && i < most_listed; ++i)
        {
            all += (i == 0 ? ": " : ", ") + entries[i];
        }
        if (entries.size() > most_listed)
        {
            all += ", ... and " + std::to_string(entries.size() - most_listed) + " more";
        }
    }

    std::vector<std::string> m_missing;
    std::vector<std::string> m_unexpected;
    std::vector<std::string> m_misshaped;
    std::vector<std::string> m_mistyped;
    std::vector<std::string> m_unusable;
};

} // namespace io
STRUCTOPT_END_NAMESPACE
