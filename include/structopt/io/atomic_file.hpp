/// @file
/// `atomic_file`: a file that appears whole or not at all.
#pragma once

#include <structopt/io/mapped_file.hpp>
#include <structopt/io/message.hpp>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#if !STRUCTOPT_HAS_POSIX_FILES
#include <filesystem>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Writes to a temporary name in the target's folder; `commit()` makes it durable and renames.
///
/// Until then, and for ever if something fails, the target keeps its old content; the temporary
/// file is removed by the destructor or by the write that fails. An existing file's permissions
/// are kept. A symbolic link is replaced by the file, not followed. Readers that have the old file
/// open or mapped keep it. Not thread-safe; different objects are independent, even for one path
/// (the last commit wins).
class atomic_file
{
public:
    /// Creates the temporary file; `file_error` where that fails, or where the target exists and
    /// is something else than a regular file (a folder, a device).
    explicit atomic_file(std::string path);

    atomic_file(const atomic_file&) = delete;
    atomic_file& operator=(const atomic_file&) = delete;

    ~atomic_file()
    {
        discard();
    }

    /// Appends; `file_error` where the system refuses (a full disk).
    void write(std::span<const std::byte> bytes);

    void write(std::string_view text)
    {
        write(std::as_bytes(std::span<const char>(text.data(), text.size())));
    }

    /// Puts the file in place. Nothing may be written afterwards.
    void commit();

    const std::string& path() const noexcept
    {
        return m_path;
    }

    /// The name that the bytes are under until `commit()`.
    const std::string& temporary_path() const noexcept
    {
        return m_temporary;
    }

private:
    [[noreturn]] void fail(const char* expected, int code)
    {
        discard();
        detail::raise<file_error>(m_path, expected, detail::system_message(code));
    }

    void discard() noexcept;
    bool create() noexcept;

    std::string m_path;
    std::string m_temporary;
#if STRUCTOPT_HAS_POSIX_FILES
    int m_file = -1;
#else
    std::FILE* m_file = nullptr;
#endif
};

/// Writes a whole file in one go, as `atomic_file` does.
inline void write_file(const std::string& path, std::span<const std::byte> bytes)
{
    atomic_file file(path);
    file.write(bytes);
    file.commit();
}

inline void write_file(const std::string& path, std::string_view text)
{
    write_file(path, std::as_bytes(std::span<const char>(text.data(), text.size())));
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// A number that no other atomic_file of this process has.
inline unsigned next_temporary() noexcept
{
    static std::atomic<unsigned> counter{0};
    return counter.fetch_add(1, std::memory_order_relaxed);
}

} // namespace detail

#if STRUCTOPT_HAS_POSIX_FILES

inline bool atomic_file::create() noexcept
{
    m_file = ::open(m_temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return m_file >= 0;
}

inline void atomic_file::discard() noexcept
{
    if (m_file >= 0)
    {
        ::close(std::exchange(m_file, -1));
        ::unlink(m_temporary.c_str());
    }
}

inline atomic_file::atomic_file(std::string path)
    : m_path(std::move(path))
{
    struct stat status = {};
    const bool exists = ::stat(m_path.c_str(), &status) == 0;
    if (exists && !S_ISREG(status.st_mode))
    {
        detail::raise<file_error>(m_path, "a regular file to replace",
            S_ISDIR(status.st_mode) ? "a directory" : "something else");
    }
    const std::string stem = m_path + ".tmp-" + std::to_string(::getpid()) + "-";
    do
    {
        m_temporary = stem + std::to_string(detail::next_temporary());
    } while (!create() && errno == EEXIST);
    if (m_file < 0)
    {
        fail("a folder in which files can be created", errno);
    }
    if (exists)
    {
        // Best effort: a file system without permissions is no reason to lose the data.
        static_cast<void>(::fchmod(m_file, status.st_mode & 07777u));
    }
}

inline void atomic_file::write(std::span<const std::byte> bytes)
{
    STRUCTOPT_ASSERT(m_file >= 0);
    while (!bytes.empty())
    {
        constexpr std::size_t most = std::size_t(1) << 30; // one call may not take more than 2^31
        const ::ssize_t n =
            ::write(m_file, bytes.data(), bytes.size() < most ? bytes.size() : most);
        if (n < 0 && errno == EINTR)
        {
            continue;
        }
        if (n <= 0)
        {
            fail("to write the whole file", n < 0 ? errno : EIO);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

inline void atomic_file::commit()
{
    STRUCTOPT_ASSERT(m_file >= 0);
    // Some file systems have no fsync and say so: nothing more can be done there.
    if (::fsync(m_file) != 0 && errno != EINVAL && errno != ENOTSUP && errno != ENOSYS)
    {
        fail("to write the file to the disk", errno);
    }
    if (::rename(m_temporary.c_str(), m_path.c_str()) != 0)
    {
        fail("to rename the finished file", errno);
    }
    // The name is the new file's now. A delayed write error of a network file system shows here.
    if (::close(std::exchange(m_file, -1)) != 0 && errno != EINTR)
    {
        detail::raise<file_error>(
            m_path, "to close the finished file", detail::system_message(errno));
    }
    // The folder's entry becomes durable too; not every system lets a folder be synced.
    const std::size_t slash = m_path.rfind('/');
    const std::string folder =
        slash == std::string::npos ? "." : m_path.substr(0, slash == 0 ? 1 : slash);
    const int directory = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC);
    if (directory >= 0)
    {
        static_cast<void>(::fsync(directory));
        ::close(directory);
    }
}

#else

inline bool atomic_file::create() noexcept
{
    m_file = std::fopen(m_temporary.c_str(), "wbx"); // x: fails if the name exists (C11)
    return m_file != nullptr;
}

inline void atomic_file::discard() noexcept
{
    if (m_file != nullptr)
    {
        std::fclose(std::exchange(m_file, nullptr));
        std::remove(m_temporary.c_str());
    }
}

inline atomic_file::atomic_file(std::string path)
    : m_path(std::move(path))
{
    std::error_code code;
    const auto status = std::filesystem::status(m_path, code);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    {
        detail::raise<file_error>(m_path, "a regular file to replace",
            std::filesystem::is_directory(status) ? "a directory" : "something else");
    }
    do
    {
        m_temporary = m_path + ".tmp-" + std::to_string(detail::next_temporary());
    } while (!create() && errno == EEXIST);
    if (m_file == nullptr)
    {
        fail("a folder in which files can be created", errno);
    }
}

inline void atomic_file::write(std::span<const std::byte> bytes)
{
    STRUCTOPT_ASSERT(m_file != nullptr);
    if (std::fwrite(bytes.data(), 1, bytes.size(), m_file) != bytes.size())
    {
        fail("to write the whole file", errno);
    }
}

inline void atomic_file::commit()
{
    STRUCTOPT_ASSERT(m_file != nullptr);
    if (std::fflush(m_file) != 0)
    {
        fail("to write the file to the disk", errno);
    }
    const bool closed = std::fclose(std::exchange(m_file, nullptr)) == 0;
    std::error_code code;
    if (closed)
    {
        std::filesystem::rename(m_temporary, m_path, code); // replaces, on Windows too
    }
    if (!closed || code)
    {
        std::remove(m_temporary.c_str());
        detail::raise<file_error>(
            m_path, "to rename the finished file", closed ? code.message() : "a failed close");
    }
}

#endif

} // namespace io
STRUCTOPT_END_NAMESPACE
