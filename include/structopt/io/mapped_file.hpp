/// @file
/// `mapped_file`: the bytes of a file, read-only, without copying them.
///
/// Memory-mapped on POSIX systems; read into memory elsewhere.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/message.hpp>

#include <cstddef>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <utility>

#ifndef STRUCTOPT_HAS_POSIX_FILES
#if defined(__unix__) || defined(__APPLE__)
#define STRUCTOPT_HAS_POSIX_FILES 1
#else
#define STRUCTOPT_HAS_POSIX_FILES 0
#endif
#endif

#if STRUCTOPT_HAS_POSIX_FILES
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// The bytes of a regular file. Move-only; the bytes stay where they are when it is moved.
///
/// The file must not be shortened by others while it is mapped: the operating system then ends the
/// program when the lost part is read (SIGBUS). Replacing it by renaming, as `atomic_file` does,
/// is safe: the mapping keeps the old content.
class mapped_file
{
public:
    /// No file, no bytes.
    mapped_file() noexcept = default;

    /// Opens and maps; `file_error` where that fails or the path is no regular file.
    explicit mapped_file(std::string path);

    mapped_file(mapped_file&& other) noexcept
        : m_path(std::move(other.m_path))
        , m_read(std::move(other.m_read))
        , m_data(std::exchange(other.m_data, nullptr))
        , m_size(std::exchange(other.m_size, 0))
    {
    }

    mapped_file& operator=(mapped_file&& other) noexcept
    {
        if (this != &other)
        {
            unmap();
            m_path = std::move(other.m_path);
            m_read = std::move(other.m_read);
            m_data = std::exchange(other.m_data, nullptr);
            m_size = std::exchange(other.m_size, 0);
        }
        return *this;
    }

    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;

    ~mapped_file()
    {
        unmap();
    }

    std::span<const std::byte> bytes() const noexcept
    {
        return {m_data, m_size};
    }

    const std::string& path() const noexcept
    {
        return m_path;
    }

private:
    void unmap() noexcept
    {
#if STRUCTOPT_HAS_POSIX_FILES
        if (m_data != nullptr)
        {
            ::munmap(const_cast<std::byte*>(m_data), m_size);
        }
#endif
        m_data = nullptr;
        m_size = 0;
    }

    std::string m_path;
    buffer<std::byte> m_read; // the content where nothing is mapped
    const std::byte* m_data = nullptr;
    std::size_t m_size = 0;
};

// ---------------------------------------------------------------------------------------------

#if STRUCTOPT_HAS_POSIX_FILES

inline mapped_file::mapped_file(std::string path)
    : m_path(std::move(path))
{
    // O_NONBLOCK: opening a pipe must not wait for its other end; it is refused just below.
    const int file = ::open(m_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
    {
        detail::raise<file_error>(m_path, "a readable file", detail::system_message(errno));
    }
    struct stat status = {};
    if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
    {
        ::close(file);
        detail::raise<file_error>(
            m_path, "a regular file", S_ISDIR(status.st_mode) ? "a directory" : "something else");
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > static_cast<std::uint64_t>(std::numeric_limits<index_t>::max()))
    {
        ::close(file);
        detail::raise<file_error>(
            m_path, "a file that fits in the address space", std::to_string(size) + " bytes");
    }
    if (size > 0) // an empty range cannot be mapped
    {
        void* const data =
            ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
        {
            const int code = errno;
            ::close(file);
            detail::raise<file_error>(
                m_path, "a file that can be mapped", detail::system_message(code));
        }
        m_data = static_cast<const std::byte*>(data);
        m_size = static_cast<std::size_t>(size);
    }
    ::close(file);
}

#else

inline mapped_file::mapped_file(std::string path)
    : m_path(std::move(path))
{
    std::FILE* const file = std::fopen(m_path.c_str(), "rb");
    if (file == nullptr)
    {
        detail::raise<file_error>(m_path, "a readable file", detail::system_message(errno));
    }
    constexpr std::size_t chunk = 1u << 20;
    std::size_t size = 0;
    for (;;)
    {
        if (m_read.size() - size < chunk)
        {
            m_read.resize(2 * m_read.size() + chunk);
        }
        const std::size_t more = std::fread(m_read.data() + size, 1, chunk, file);
        size += more;
        if (more < chunk)
        {
            break;
        }
    }
    const bool failed = std::ferror(file) != 0;
    const int code = errno;
    std::fclose(file);
    if (failed)
    {
        detail::raise<file_error>(m_path, "a file that can be read", detail::system_message(code));
    }
    m_read.resize(size);
    m_data = m_read.data();
    m_size = size;
}

#endif

} // namespace io
STRUCTOPT_END_NAMESPACE
