/// @file
/// `byte_source`: the bytes of a file or of memory, in order, inflated where they are gzip data.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/gzip.hpp>
#include <structopt/io/mapped_file.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// What the readers of plain formats (idx, npy, csv, CIFAR) read from.
///
/// Whether data is compressed is told by its first two bytes, not by its name. Keeps the place for
/// error messages, and answers whether a number of bytes that a header claims is really there
/// before memory is asked for.
class byte_source
{
public:
    /// A file, plain or .gz.
    explicit byte_source(const std::string& path)
        : m_file(path)
        , m_bytes(m_file.bytes())
        , m_name(path)
    {
        open();
    }

    /// Bytes in memory, plain or gzip, that must outlive the source; `name` is for messages.
    byte_source(std::span<const std::byte> bytes, std::string name)
        : m_bytes(bytes)
        , m_name(std::move(name))
    {
        open();
    }

    byte_source(const byte_source&) = delete;
    byte_source& operator=(const byte_source&) = delete;

    const std::string& name() const noexcept
    {
        return m_name;
    }

    bool compressed() const noexcept
    {
        return m_stream != nullptr;
    }

    /// Bytes read so far, counted after inflating.
    std::uint64_t offset() const noexcept
    {
        return m_offset;
    }

    /// "name at byte 16", with "(inflated)" for gzip data: the `where` of an error.
    std::string position() const
    {
        return position(m_offset);
    }

    std::string position(std::uint64_t offset) const
    {
        return detail::at_byte(m_name, offset) + (compressed() ? " (inflated)" : "");
    }

    /// Fills `to` from its beginning; fewer bytes than asked for only at the end.
    std::size_t read(std::span<std::byte> to);

    /// Fills `to`, or a `format_error` that says how many bytes of `what` are missing.
    void read_exactly(std::span<std::byte> to, const std::string& what);

    /// Throws a `format_error` unless this many more bytes are there; reads none of them.
    ///
    /// The test before memory is asked for. In gzip data, up to 16 times the compressed size passes
    /// (`read_exactly` decides later); more is counted by inflating once without storing.
    void require(std::uint64_t bytes, const std::string& what);

    /// Throws a `format_error` unless all has been read; in gzip data this checks its checksum too.
    void expect_end();

    /// All that is left. More than `limit` bytes are a `format_error`, found before they are kept.
    buffer<std::byte> read_rest(std::uint64_t limit);

private:
    void open()
    {
        if (is_gzip(m_bytes))
        {
            m_stream = std::make_unique<gzip_stream>(m_bytes, m_name);
        }
    }

    mapped_file m_file;
    std::span<const std::byte> m_bytes;
    std::string m_name;
    std::unique_ptr<gzip_stream> m_stream;
    std::uint64_t m_offset = 0;
};

/// The whole content of a file, plain or .gz (inflated), of at most `limit` bytes.
inline buffer<std::byte> read_file(const std::string& path, std::uint64_t limit)
{
    return byte_source(path).read_rest(limit);
}

// ---------------------------------------------------------------------------------------------

inline std::size_t byte_source::read(std::span<std::byte> to)
{
    std::size_t n = 0;
    if (compressed())
    {
        n = m_stream->read(to);
    }
    else
    {
        n = std::min(to.size(), m_bytes.size() - static_cast<std::size_t>(m_offset));
        if (n > 0)
        {
            std::memcpy(to.data(), m_bytes.data() + m_offset, n);
        }
    }
    m_offset += n;
    return n;
}

inline void byte_source::read_exactly(std::span<std::byte> to, const std::string& what)
{
    const std::string here = position();
    const std::size_t n = read(to);
    if (n < to.size())
    {
        detail::raise<format_error>(here, std::to_string(to.size()) + " bytes of " + what,
            std::to_string(n) + " until the end of the file");
    }
}

inline void byte_source::require(std::uint64_t bytes, const std::string& what)
{
    constexpr std::uint64_t usual_ratio = 16;
    std::uint64_t there = 0;
    if (!compressed())
    {
        there = m_bytes.size() - m_offset;
    }
    else if (bytes / usual_ratio < m_bytes.size())
    {
        return;
    }
    else
    {
        gzip_stream again(m_bytes, m_name);
        buffer<std::byte> scratch(std::size_t(1) << 16);
        std::uint64_t total = 0;
        while (total < m_offset || total - m_offset < bytes)
        {
            const std::size_t n = again.read(scratch);
            total += n;
            if (n == 0)
            {
                break;
            }
        }
        there = total - m_offset;
    }
    if (there < bytes)
    {
        detail::raise<format_error>(position(), std::to_string(bytes) + " bytes of " + what,
            std::to_string(there) + " until the end of the file");
    }
}

inline void byte_source::expect_end()
{
    const std::string here = position();
    std::array<std::byte, 1> more{};
    if (read(more) != 0)
    {
        detail::raise<format_error>(here, "the end of the file",
            compressed() ? std::string("more bytes")
                         : std::to_string(m_bytes.size() - m_offset + 1) + " more bytes");
    }
}

inline buffer<std::byte> byte_source::read_rest(std::uint64_t limit)
{
    limit = std::min(limit, std::uint64_t(std::numeric_limits<index_t>::max()));
    buffer<std::byte> content;
    const auto refuse = [&]
    {
        detail::raise<format_error>(m_name, "at most " + std::to_string(limit) + " bytes", "more");
    };
    if (!compressed())
    {
        const std::uint64_t rest = m_bytes.size() - m_offset;
        if (rest > limit)
        {
            refuse();
        }
        content.resize(static_cast<std::size_t>(rest));
        read(content);
        return content;
    }
    constexpr std::uint64_t first_chunk = std::uint64_t(1) << 16;
    std::size_t size = 0;
    for (;;)
    {
        // Doubles with what has really come; one byte more than the limit shows that it is passed.
        content.resize(static_cast<std::size_t>(
            std::min(std::max(2 * std::uint64_t(size), first_chunk), limit + 1)));
        size += read(std::span(content).subspan(size));
        if (size > limit)
        {
            refuse();
        }
        if (size < content.size())
        {
            content.resize(size);
            return content;
        }
    }
}

} // namespace io
STRUCTOPT_END_NAMESPACE
