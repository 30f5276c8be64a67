/// @file
/// Inflates .gz data piece by piece, with zlib where the program is built with it.
///
/// `STRUCTOPT_HAS_ZLIB` (set by the CMake target where zlib is found; the same in every file of a
/// program) makes the readers of `io/` accept .gz files.
#pragma once

#include <structopt/io/message.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#ifdef STRUCTOPT_HAS_ZLIB
#if !STRUCTOPT_HAS_ZLIB
#undef STRUCTOPT_HAS_ZLIB
#endif
#endif

#ifdef STRUCTOPT_HAS_ZLIB
#include <zlib.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Whether the bytes begin as gzip data does (RFC 1952: 1f 8b).
inline bool is_gzip(std::span<const std::byte> bytes) noexcept
{
    return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

/// A stream of inflated bytes out of gzip data that somebody else keeps alive.
///
/// Memory does not depend on what the data claims: the caller asks for as much as it has room for.
/// Several members in a row are one stream (as `gzip` itself reads them); anything else after the
/// last one, a wrong checksum and a missing end are a `format_error` with the compressed offset.
class gzip_stream
{
public:
    gzip_stream(std::span<const std::byte> compressed, std::string source);

    gzip_stream(const gzip_stream&) = delete;
    gzip_stream& operator=(const gzip_stream&) = delete;
    ~gzip_stream();

    /// Fills `to` from its beginning; fewer bytes than asked for only at the end of the stream.
    std::size_t read(std::span<std::byte> to);

private:
#ifdef STRUCTOPT_HAS_ZLIB
    std::size_t consumed() const noexcept
    {
        return m_fed - m_stream.avail_in;
    }

    z_stream m_stream{};
#endif
    std::span<const std::byte> m_compressed;
    std::string m_source;
    std::size_t m_fed = 0; // compressed bytes handed to zlib
    bool m_finished = false;
};

// ---------------------------------------------------------------------------------------------

#ifdef STRUCTOPT_HAS_ZLIB

inline gzip_stream::gzip_stream(std::span<const std::byte> compressed, std::string source)
    : m_compressed(compressed)
    , m_source(std::move(source))
{
    if (!is_gzip(compressed))
    {
        detail::raise<format_error>(
            detail::at_byte(m_source, 0), "gzip data (1f 8b)", "something else");
    }
    constexpr int gzip_header = 16; // asks for the gzip wrapper and its checksum
    if (::inflateInit2(&m_stream, MAX_WBITS + gzip_header) != Z_OK)
    {
        detail::raise<file_error>(m_source, "memory to inflate", "none");
    }
}

inline gzip_stream::~gzip_stream()
{
    ::inflateEnd(&m_stream);
}

inline std::size_t gzip_stream::read(std::span<std::byte> to)
{
    constexpr std::size_t most = std::size_t(1) << 30; // zlib counts in unsigned int
    std::size_t produced = 0;
    while (produced < to.size() && !m_finished)
    {
        if (m_stream.avail_in == 0 && m_fed < m_compressed.size())
        {
            const std::size_t rest = m_compressed.size() - m_fed;
            const std::size_t chunk = rest < most ? rest : most;
            // zlib does not write to its input; its prototype is older than const.
            m_stream.next_in =
                const_cast<Bytef*>(reinterpret_cast<const Bytef*>(m_compressed.data() + m_fed));
            m_stream.avail_in = static_cast<uInt>(chunk);
            m_fed += chunk;
        }
        const std::size_t room = to.size() - produced < most ? to.size() - produced : most;
        m_stream.next_out = reinterpret_cast<Bytef*>(to.data() + produced);
        m_stream.avail_out = static_cast<uInt>(room);
        const int result = ::inflate(&m_stream, Z_NO_FLUSH);
        produced += room - m_stream.avail_out;
        if (result == Z_STREAM_END)
        {
            const auto rest = m_compressed.subspan(consumed());
            if (rest.empty())
            {
                m_finished = true;
            }
            else if (is_gzip(rest))
            {
                ::inflateReset(&m_stream);
            }
            else
            {
                detail::raise<format_error>(detail::at_byte(m_source, consumed()),
                    "the end of the file after the gzip data",
                    std::to_string(rest.size()) + " more bytes");
            }
        }
        else if (result == Z_MEM_ERROR)
        {
            detail::raise<file_error>(m_source, "memory to inflate", "none");
        }
        else if (result != Z_OK && result != Z_BUF_ERROR)
        {
            detail::raise<format_error>(detail::at_byte(m_source, consumed()), "valid gzip data",
                m_stream.msg != nullptr ? m_stream.msg : "a preset dictionary");
        }
        else if (m_stream.avail_out != 0 && consumed() == m_compressed.size())
        {
            detail::raise<format_error>(detail::at_byte(m_source, consumed()),
                "more compressed data", "the end of the file (truncated?)");
        }
    }
    return produced;
}

#else

inline gzip_stream::gzip_stream(std::span<const std::byte> compressed, std::string source)
    : m_compressed(compressed)
    , m_source(std::move(source))
    , m_finished(true)
{
    detail::raise<format_error>(m_source, "a file that is not compressed",
        "gzip data (build with zlib and STRUCTOPT_HAS_ZLIB=1 to read it)");
}

inline gzip_stream::~gzip_stream() = default;

inline std::size_t gzip_stream::read(std::span<std::byte>)
{
    return 0;
}

#endif

} // namespace io
STRUCTOPT_END_NAMESPACE
