/// @file
/// How readers word their errors: file, byte offset, names quoted so that a hostile file cannot
/// put control characters into a log. Also `file_error`, for what the operating system refuses.
#pragma once

#include <structopt/core/shape.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace structopt
{
inline namespace STRUCTOPT_VERSION_NAMESPACE
{

/// A file that the operating system does not let us open, read, write or rename.
///
/// What is wrong *inside* a file is a `format_error`.
class file_error : public error
{
public:
    STRUCTOPT_ALWAYS_INLINE file_error(
        const std::string& where, const std::string& expected, const std::string& found)
        : error(where, expected, found)
    {
    }
};

} // namespace STRUCTOPT_VERSION_NAMESPACE
} // namespace structopt

STRUCTOPT_BEGIN_NAMESPACE
namespace io::detail
{

using structopt::detail::raise;

/// The text of an `errno` value.
inline std::string system_message(int code)
{
    return std::generic_category().message(code);
}

/// "weights.safetensors at byte 8".
inline std::string at_byte(const std::string& source, std::uint64_t offset)
{
    return source + " at byte " + std::to_string(offset);
}

/// The text with control and non-ASCII bytes as \xNN, `quote` on either side, cut after 80
/// characters.
inline std::string printable(std::string_view text, std::string_view quote = "")
{
    constexpr std::size_t longest = 80;
    constexpr char digits[] = "0123456789abcdef";
    std::string result(quote);
    for (const char c : text.substr(0, longest))
    {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte >= 0x7f)
        {
            result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
        else
        {
            result += c;
        }
    }
    result += quote;
    if (text.size() > longest)
    {
        result += "... (" + std::to_string(text.size()) + " bytes)";
    }
    return result;
}

inline std::string in_quotes(std::string_view text)
{
    return printable(text, "'");
}

/// "[64, 3, 5, 5]" for extents whose number is known at run time only; -1 reads "any".
inline std::string describe_extents(std::span<const index_t> extents)
{
    std::string text = "[";
    for (std::size_t i = 0; i < extents.size(); ++i)
    {
        if (i == 8 && extents.size() > 9)
        {
            return text + ", ... (" + std::to_string(extents.size()) + " axes)]";
        }
        text += (i > 0 ? ", " : "");
        text += extents[i] == -1 ? std::string("any") : std::to_string(extents[i]);
    }
    return text + "]";
}

/// Elements of a tensor of these extents, or nothing where a header claims more than can exist.
///
/// Zero extents are left out of the test product, because strides are products of the others.
inline std::optional<index_t> checked_count(
    std::span<const index_t> extents, std::size_t element_bytes) noexcept
{
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index_t>::max());
    std::uint64_t product = 1;
    bool empty = false;
    for (const index_t extent : extents)
    {
        if (extent < 0)
        {
            return std::nullopt;
        }
        const auto factor = static_cast<std::uint64_t>(extent);
        if (factor == 0)
        {
            empty = true;
        }
        else if (product > most / factor)
        {
            return std::nullopt;
        }
        else
        {
            product *= factor;
        }
    }
    // 8: the widest element that a tensor may be converted to.
    if (product > most / (element_bytes > 8 ? element_bytes : 8))
    {
        return std::nullopt;
    }
    return empty ? 0 : static_cast<index_t>(product);
}

/// Whether the text is well-formed UTF-8: no overlong forms, no surrogates (Unicode, table 3-7).
inline bool is_utf8(std::string_view text) noexcept
{
    std::size_t i = 0;
    while (i < text.size())
    {
        const auto lead = static_cast<unsigned char>(text[i++]);
        if (lead < 0x80)
        {
            continue;
        }
        if (lead < 0xc2 || lead > 0xf4)
        {
            return false;
        }
        const int more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        unsigned low = 0x80;
        unsigned high = 0xbf;
        switch (lead)
        {
        case 0xe0:
            low = 0xa0;
            break;
        case 0xed:
            high = 0x9f;
            break;
        case 0xf0:
            low = 0x90;
            break;
        case 0xf4:
            high = 0x8f;
            break;
        default:
            break;
        }
        for (int k = 0; k < more; ++k)
        {
            const unsigned next = i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
            if (next < low || next > high)
            {
                return false;
            }
            ++i;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

} // namespace io::detail
STRUCTOPT_END_NAMESPACE
