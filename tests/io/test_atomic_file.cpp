#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/atomic_file.hpp>
#include <structopt/io/safetensors_writer.hpp>

#include <filesystem>
#include <stdexcept>
#include <string>

#if STRUCTOPT_HAS_POSIX_FILES
#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#endif

namespace test_atomic_file
{

using namespace structopt;
using support::check_parts;
using support::message_of;

TEST_SUITE("smoke")
{
    TEST_CASE("atomic_file: the old content until commit, the new one after it")
    {
        const support::scratch_folder folder;
        const auto path = folder.path("model.bin");
        support::spill(path, support::to_bytes("old"));
        {
            io::atomic_file file(path);
            file.write("new ");
            file.write("content");
            CHECK(support::slurp(path) == support::to_bytes("old"));
            CHECK(file.path() == path);
            CHECK(std::filesystem::path(file.temporary_path()).parent_path() == folder.path());
            file.commit();
            CHECK(support::slurp(path) == support::to_bytes("new content"));
        }
        CHECK(support::slurp(path) == support::to_bytes("new content"));
        CHECK(folder.count() == 1);
    }
}

TEST_CASE("atomic_file: given up without commit, nothing has changed")
{
    const support::scratch_folder folder;
    const auto path = folder.path("model.bin");
    support::spill(path, support::to_bytes("old"));
    const auto give_up = [&]
    {
        io::atomic_file file(path);
        file.write("half of the");
        throw std::runtime_error("something else failed");
    };
    CHECK_THROWS_AS(give_up(), std::runtime_error);
    CHECK(support::slurp(path) == support::to_bytes("old"));
    CHECK(folder.count() == 1);
    {
        const io::atomic_file file(folder.path("never"));
    }
    CHECK(folder.count() == 1);
}

TEST_CASE("atomic_file: a second writer's file wins only when it commits")
{
    const support::scratch_folder folder;
    const auto path = folder.path("model.bin");
    io::atomic_file first(path);
    io::atomic_file second(path);
    CHECK(first.temporary_path() != second.temporary_path());
    first.write("first");
    second.write("second");
    second.commit();
    CHECK(support::slurp(path) == support::to_bytes("second"));
    first.commit();
    CHECK(support::slurp(path) == support::to_bytes("first"));
    CHECK(folder.count() == 1);
}

TEST_CASE("atomic_file: what cannot be replaced is refused with the reason")
{
    const support::scratch_folder folder;
    const auto nowhere = folder.path("no such folder/model.bin");
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::atomic_file file(nowhere);
                    }),
        {nowhere.c_str(), "a folder in which files can be created", "No such file"});
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::atomic_file file(folder.path());
                    }),
        {folder.path().c_str(), "a regular file to replace", "a directory"});
#if STRUCTOPT_HAS_POSIX_FILES
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::atomic_file file("/dev/null");
                    }),
        {"/dev/null", "a regular file to replace"});
#endif
    CHECK(folder.count() == 0);
}

#if STRUCTOPT_HAS_POSIX_FILES

namespace
{

/// Files may not grow beyond a size while it lives: writing fails as on a full disk.
class file_size_limit
{
public:
    explicit file_size_limit(rlim_t bytes)
    {
        m_handler = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &m_old) == 0);
        rlimit limit = m_old;
        limit.rlim_cur = bytes;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }

    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;

    ~file_size_limit()
    {
        ::setrlimit(RLIMIT_FSIZE, &m_old);
        std::signal(SIGXFSZ, m_handler);
    }

private:
    rlimit m_old{};
    void (*m_handler)(int) = nullptr;
};

} // namespace

TEST_CASE("atomic_file: a write that fails half-way leaves the old file and nothing else")
{
    const support::scratch_folder folder;
    const auto path = folder.path("model.safetensors");
    io::safetensors_writer small;
    small.add("w", full<float>(shape<1>{10}, 1.f));
    small.write(path);
    const auto before = support::slurp(path);

    io::safetensors_writer large;
    large.add("w", full<float>(shape<1>{100000}, 2.f));
    std::string message;
    {
        const file_size_limit limit(1u << 16);
        message = message_of<file_error>(
            [&]
            {
                large.write(path);
            });
    }
    check_parts(message, {path.c_str(), "to write the whole file", "File too large"});
    CHECK(support::slurp(path) == before);
    CHECK(folder.count() == 1);

    // The object is still there, its temporary file is not.
    io::atomic_file file(path);
    CHECK(folder.count() == 2);
    {
        const file_size_limit limit(1u << 16);
        CHECK_THROWS_AS(file.write(support::bytes(1u << 17)), file_error);
    }
    CHECK(folder.count() == 1);
    CHECK(support::slurp(path) == before);

    large.write(path);
    CHECK(support::slurp(path).size() == 400000 + 8 + 64);
}

TEST_CASE("atomic_file: keeps permissions, replaces links, does not disturb a mapping")
{
    const support::scratch_folder folder;
    const auto path = folder.path("model.bin");
    support::spill(path, support::to_bytes("old"));
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    const io::mapped_file mapped(path);
    io::write_file(path, "new");
    struct stat status = {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777u) == 0640u);
    CHECK(support::bytes(mapped.bytes().begin(), mapped.bytes().end()) == support::to_bytes("old"));

    const auto link = folder.path("link.bin");
    std::filesystem::create_symlink(path, link);
    io::write_file(link, "linked");
    CHECK(!std::filesystem::is_symlink(link));
    CHECK(support::slurp(link) == support::to_bytes("linked"));
    CHECK(support::slurp(path) == support::to_bytes("new"));
}

#endif

} // namespace test_atomic_file
