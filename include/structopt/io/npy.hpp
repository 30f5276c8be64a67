/// @file
/// Reader and writer of NumPy's .npy files.
///
/// Format: NumPy enhancement proposal 1 ("A simple file format for NumPy arrays"), versions 1 to 3.
#pragma once

#include <structopt/io/atomic_file.hpp>
#include <structopt/io/read_elements.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

namespace detail
{

struct npy_header
{
    dtype type = dtype::f32;
    std::endian order = std::endian::little;
    bool fortran_order = false;
    std::vector<index_t> extents;
};

/// Parses the header's Python dictionary: exactly the keys descr, fortran_order and shape, of the
/// forms that NumPy writes. Everything else is refused.
class npy_header_parser
{
public:
    npy_header_parser(std::string_view text, const byte_source& source, std::uint64_t offset)
        : m_text(text)
        , m_source(source)
        , m_offset(offset)
    {
    }

    npy_header parse()
    {
        npy_header header;
        bool seen[3] = {};
        expect('{');
        while (!accept('}'))
        {
            const std::size_t start = m_at;
            const std::string key = string("a key");
            const int which = key == "descr"           ? 0
                              : key == "fortran_order" ? 1
                              : key == "shape"         ? 2
                                                       : 3;
            if (which == 3 || seen[which])
            {
                m_at = start;
                fail("each of the keys descr, fortran_order, shape once", in_quotes(key));
            }
            seen[which] = true;
            expect(':');
            switch (which)
            {
            case 0:
                parse_descr(header);
                break;
            case 1:
                header.fortran_order = boolean();
                break;
            default:
                parse_shape(header);
                break;
            }
            if (!accept(','))
            {
                expect('}');
                break;
            }
        }
        skip_spaces();
        if (m_at < m_text.size() && m_text[m_at] == '\n')
        {
            ++m_at;
        }
        if (m_at != m_text.size())
        {
            fail("spaces and a line end after the dictionary", found());
        }
        if (!seen[0] || !seen[1] || !seen[2])
        {
            fail("the keys descr, fortran_order and shape", "a header without one of them");
        }
        return header;
    }

private:
    [[noreturn]] void fail(std::string expected, std::string what) const
    {
        raise<format_error>(
            m_source.position(m_offset + m_at), std::move(expected), std::move(what));
    }

    std::string found() const
    {
        return m_at < m_text.size() ? in_quotes(m_text.substr(m_at, 20)) : "the end of the header";
    }

    void skip_spaces()
    {
        while (m_at < m_text.size() && m_text[m_at] == ' ')
        {
            ++m_at;
        }
    }

    bool accept(char c)
    {
        skip_spaces();
        if (m_at < m_text.size() && m_text[m_at] == c)
        {
            ++m_at;
            return true;
        }
        return false;
    }

    void expect(char c)
    {
        if (!accept(c))
        {
            fail(std::string("'") + c + "'", found());
        }
    }

    std::string string(const char* what)
    {
        skip_spaces();
        const char quote = m_at < m_text.size() ? m_text[m_at] : ' ';
        const std::size_t end =
            quote == '\'' || quote == '"' ? m_text.find(quote, m_at + 1) : std::string_view::npos;
        if (end == std::string_view::npos)
        {
            fail(std::string(what) + " in quotes", found());
        }
        const auto text = m_text.substr(m_at + 1, end - m_at - 1);
        if (text.find('\\') != std::string_view::npos)
        {
            fail(std::string(what) + " without escapes", in_quotes(text));
        }
        m_at = end + 1;
        return std::string(text);
    }

    bool boolean()
    {
        skip_spaces();
        for (const bool value : {false, true})
        {
            const std::string_view word = value ? "True" : "False";
            if (m_text.substr(m_at, word.size()) == word)
            {
                m_at += word.size();
                return value;
            }
        }
        fail("True or False", found());
    }

    void parse_descr(npy_header& header)
    {
        skip_spaces();
        const std::size_t start = m_at;
        if (m_at < m_text.size() && m_text[m_at] == '[')
        {
            fail("a plain element type such as '<f4'", "a structured one");
        }
        const std::string descr = string("the element type");
        // '|' is for types that have no byte order.
        const bool known = descr.size() == 3 && find_dtype(descr[1], descr[2], header.type) &&
                           (descr[0] == '<' || descr[0] == '>' || descr[0] == '=' ||
                               (descr[0] == '|' && bytes_of(header.type) == 1));
        if (!known)
        {
            m_at = start;
            fail("b1, i1..i8, u1..u8, f2, f4 or f8 after <, > or |", in_quotes(descr));
        }
        header.order = descr[0] == '>'   ? std::endian::big
                       : descr[0] == '=' ? std::endian::native
                                         : std::endian::little;
    }

    static bool find_dtype(char kind, char bytes, dtype& type) noexcept
    {
        for (const auto& row : element_types)
        {
            if (row.bits == 8 * (bytes - '0') && npy_kind(row.type) == kind)
            {
                type = row.type;
                return true;
            }
        }
        return false;
    }

    void parse_shape(npy_header& header)
    {
        expect('(');
        while (!accept(')'))
        {
            skip_spaces();
            const std::size_t start = m_at;
            index_t extent = 0;
            while (m_at < m_text.size() && m_text[m_at] >= '0' && m_text[m_at] <= '9')
            {
                const index_t digit = m_text[m_at] - '0';
                if (extent > (std::numeric_limits<index_t>::max() - digit) / 10)
                {
                    m_at = start;
                    fail("an extent that fits in memory", found());
                }
                extent = 10 * extent + digit;
                ++m_at;
            }
            if (m_at == start)
            {
                fail("a non-negative extent", found());
            }
            accept('L'); // Python 2 wrote long numbers so
            if (header.extents.size() == 64)
            {
                fail("at most 64 axes", "more");
            }
            header.extents.push_back(extent);
            if (!accept(','))
            {
                expect(')');
                break;
            }
        }
    }

public:
    /// NumPy's letter of an element type; a space where it has none.
    static constexpr char npy_kind(dtype type) noexcept
    {
        switch (type)
        {
        case dtype::boolean:
            return 'b';
        case dtype::u8:
        case dtype::u16:
        case dtype::u32:
        case dtype::u64:
            return 'u';
        case dtype::i8:
        case dtype::i16:
        case dtype::i32:
        case dtype::i64:
            return 'i';
        case dtype::f16:
        case dtype::f32:
        case dtype::f64:
            return 'f';
        default:
            return ' ';
        }
    }

private:
    std::string_view m_text;
    const byte_source& m_source;
    std::uint64_t m_offset;
    std::size_t m_at = 0;
};

inline npy_header read_npy_header(byte_source& source)
{
    constexpr std::array<unsigned char, 6> magic{0x93, 'N', 'U', 'M', 'P', 'Y'};
    std::array<std::byte, 8> start{};
    source.read_exactly(start, "npy header");
    for (std::size_t i = 0; i < magic.size(); ++i)
    {
        if (start[i] != std::byte{magic[i]})
        {
            raise<format_error>(source.position(0), "the npy magic \\x93NUMPY", "something else");
        }
    }
    const int major = std::to_integer<int>(start[6]);
    const int minor = std::to_integer<int>(start[7]);
    if (major < 1 || major > 3 || minor != 0)
    {
        raise<format_error>(source.position(6), "npy version 1.0, 2.0 or 3.0",
            std::to_string(major) + "." + std::to_string(minor));
    }
    std::array<std::byte, 4> raw{};
    const std::size_t length_bytes = major == 1 ? 2 : 4;
    source.read_exactly(std::span(raw).first(length_bytes), "npy header length");
    const auto length = detail::load_element<std::uint32_t>(raw.data(), std::endian::little);
    constexpr std::uint32_t longest = 1u << 16; // plain types need about a hundred
    if (length > longest)
    {
        raise<format_error>(source.position(8),
            "a header of at most " + std::to_string(longest) + " bytes", std::to_string(length));
    }
    const std::uint64_t offset = source.offset();
    std::string text(length, ' ');
    source.read_exactly(
        std::as_writable_bytes(std::span<char>(text.data(), text.size())), "npy header");
    return npy_header_parser(text, source, offset).parse();
}

} // namespace detail

/// Reads an array of N axes; one in Fortran order comes out transposed to row-major, same indices.
///
/// `T` is the file's element type or one that holds its values (see `readable_as`). Either byte
/// order; bool, the integers, float16, float32 and float64. One array per file.
/// `shape_error` for another number of axes; `format_error` for everything else that does not fit.
template <element T, std::size_t N>
tensor<T, N> read_npy(byte_source& source)
{
    const auto header = detail::read_npy_header(source);
    if (header.extents.size() != N)
    {
        detail::raise<shape_error>(
            source.name(), std::to_string(N) + " axes", detail::describe_extents(header.extents));
    }
    if (!readable_as<T>(header.type))
    {
        detail::raise<format_error>(source.name(),
            "elements readable as " + std::string(name_of(dtype_of<T>())),
            std::string(name_of(header.type)));
    }
    const auto n = detail::checked_count(header.extents, bytes_of(header.type));
    if (!n)
    {
        detail::raise<format_error>(source.name(), "extents whose product fits in memory",
            detail::describe_extents(header.extents));
    }
    source.require(static_cast<std::uint64_t>(*n) * bytes_of(header.type),
        "elements for extents " + detail::describe_extents(header.extents));
    shape<N> extents{};
    for (std::size_t i = 0; i < N; ++i)
    {
        extents[i] = header.extents[i];
    }
    auto x = make_tensor<T>(extents);
    detail::read_elements(source, header.type, header.order, *n, x.data());
    source.expect_end();
    if constexpr (N > 1)
    {
        if (header.fortran_order && *n > 0)
        {
            // The first index runs fastest in the file: its memory seen with other strides.
            shape<N> strides{};
            index_t step = 1;
            for (std::size_t i = 0; i < N; ++i)
            {
                strides[i] = step;
                step *= extents[i];
            }
            return structopt::copy(view<const T, N>(x.data(), extents, strides));
        }
    }
    return x;
}

/// Reads an array of N axes from a file, plain or .gz.
template <element T, std::size_t N>
tensor<T, N> read_npy(const std::string& path)
{
    byte_source source(path);
    return read_npy<T, N>(source);
}

/// The bytes of an .npy file, version 1.0, little-endian, C order. Not for the formats that NumPy
/// lacks (BF16, F8): a compile error.
template <class T, std::size_t N>
buffer<std::byte> npy_bytes(const view<T, N>& x)
{
    using value_type = std::remove_const_t<T>;
    constexpr dtype type = dtype_of<value_type>();
    constexpr char kind = detail::npy_header_parser::npy_kind(type);
    static_assert(kind != ' ', "NumPy has no such element type: convert to float first");
    std::string header = "{'descr': '";
    header += bytes_of(type) == 1 ? '|' : '<';
    header += kind;
    header += std::to_string(bytes_of(type)) + "', 'fortran_order': False, 'shape': (";
    for (std::size_t i = 0; i < N; ++i)
    {
        header += std::to_string(x.shape(i)) + (N == 1 ? "," : i + 1 < N ? ", " : "");
    }
    header += "), }";
    // Magic, version, length, header and its line end fill a multiple of 64 bytes.
    constexpr std::size_t prefix = 10;
    header.append(63 - (prefix + header.size()) % 64, ' ');
    header += '\n';
    constexpr char magic[] = "\x93NUMPY\x01";
    buffer<std::byte> bytes(
        prefix + header.size() + static_cast<std::size_t>(x.size()) * bytes_of(type));
    std::memcpy(bytes.data(), magic, 8); // with the closing zero, the minor version
    bytes[8] = static_cast<std::byte>(header.size() & 255);
    bytes[9] = static_cast<std::byte>(header.size() >> 8);
    std::memcpy(bytes.data() + prefix, header.data(), header.size());
    detail::store_elements<value_type>(x, bytes.data() + prefix + header.size());
    return bytes;
}

template <class T, std::size_t N>
buffer<std::byte> npy_bytes(const tensor<T, N>& x)
{
    return npy_bytes(as_view(x));
}

/// Writes an .npy file, whole or not at all.
template <class T, std::size_t N>
void write_npy(const std::string& path, const view<T, N>& x)
{
    write_file(path, npy_bytes(x));
}

template <class T, std::size_t N>
void write_npy(const std::string& path, const tensor<T, N>& x)
{
    write_file(path, npy_bytes(as_view(x)));
}

} // namespace io
STRUCTOPT_END_NAMESPACE
