/// @file
/// Scratch files, raw bytes, gzip data and error messages for the tests of io/.
#pragma once

#include <doctest/doctest.h>
#include <structopt/core/error.hpp>
#include <structopt/core/tensor.hpp>

#include "support/message.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#ifdef STRUCTOPT_HAS_ZLIB
#include <zlib.h>
#endif

namespace support
{

using bytes = std::vector<std::byte>;

/// A folder of its own, removed at the end of the scope.
class scratch_folder
{
public:
    scratch_folder()
    {
        const auto base = std::filesystem::temp_directory_path();
        for (int i = 0;; ++i)
        {
            m_path =
                base / ("structopt-test-" + std::to_string(std::rand()) + "-" + std::to_string(i));
            if (std::filesystem::create_directory(m_path))
            {
                return;
            }
        }
    }

    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    ~scratch_folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(m_path, ignored);
    }

    std::string path(const std::string& name) const
    {
        return (m_path / name).string();
    }

    std::string path() const
    {
        return m_path.string();
    }

    /// Number of files in it.
    std::ptrdiff_t count() const
    {
        return std::distance(
            std::filesystem::directory_iterator(m_path), std::filesystem::directory_iterator());
    }

private:
    std::filesystem::path m_path;
};

inline bytes to_bytes(std::string_view text)
{
    const auto raw = std::as_bytes(std::span<const char>(text.data(), text.size()));
    return {raw.begin(), raw.end()};
}

/// Bytes from numbers 0..255.
inline bytes to_bytes(std::initializer_list<int> values)
{
    bytes result;
    for (const int value : values)
    {
        result.push_back(static_cast<std::byte>(value));
    }
    return result;
}

inline bytes operator+(bytes a, const bytes& b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

inline bytes slurp(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), path);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    return to_bytes(text);
}

inline void spill(const std::string& path, std::span<const std::byte> content)
{
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(content.data()),
        static_cast<std::streamsize>(content.size()));
    REQUIRE_MESSAGE(file.good(), path);
}

/// The path of real data: $variable/name, or "" with a message where it is absent.
inline std::string real_file(const char* variable, const std::string& name)
{
    const char* const folder = std::getenv(variable);
    const std::string path = folder == nullptr ? "" : std::string(folder) + "/" + name;
    if (path.empty() || !std::filesystem::exists(path))
    {
        MESSAGE("skipped: no " << name << " under $" << variable);
        return "";
    }
    return path;
}

#ifdef STRUCTOPT_HAS_ZLIB

/// One gzip member.
inline bytes gzip(std::span<const std::byte> content)
{
    z_stream stream{};
    REQUIRE(::deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    bytes result(::deflateBound(&stream, static_cast<uLong>(content.size())));
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(result.data());
    stream.avail_out = static_cast<uInt>(result.size());
    REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
    result.resize(stream.total_out);
    ::deflateEnd(&stream);
    return result;
}

#endif

} // namespace support
