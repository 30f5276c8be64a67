#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/mapped_file.hpp>

#include <type_traits>
#include <utility>

#if STRUCTOPT_HAS_POSIX_FILES
#include <sys/stat.h>
#endif

namespace test_mapped_file
{

using namespace structopt;
using support::check_parts;
using support::message_of;

static_assert(!std::is_copy_constructible_v<io::mapped_file>);
static_assert(std::is_nothrow_move_constructible_v<io::mapped_file>);

TEST_CASE("mapped_file: content, empty files, moves")
{
    const support::scratch_folder folder;
    support::bytes content(3u << 20);
    for (std::size_t i = 0; i < content.size(); ++i)
    {
        content[i] = static_cast<std::byte>(i * 7 + i / 256);
    }
    support::spill(folder.path("large"), content);
    support::spill(folder.path("empty"), {});

    io::mapped_file large(folder.path("large"));
    REQUIRE(large.bytes().size() == content.size());
    CHECK(std::equal(content.begin(), content.end(), large.bytes().begin()));
    CHECK(large.path() == folder.path("large"));

    const auto* const where = large.bytes().data();
    io::mapped_file moved(std::move(large));
    CHECK(moved.bytes().data() == where);
    CHECK(large.bytes().empty()); // NOLINT: the moved-from state is defined
    io::mapped_file empty(folder.path("empty"));
    CHECK(empty.bytes().empty());
    empty = std::move(moved);
    CHECK(empty.bytes().data() == where);
    CHECK(empty.bytes()[5] == std::byte{35});
    CHECK(io::mapped_file().bytes().empty());
}

TEST_CASE("mapped_file: what is no readable file is refused with its name")
{
    const support::scratch_folder folder;
    const auto absent = folder.path("absent");
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::mapped_file file(absent);
                    }),
        {absent.c_str(), "a readable file", "No such file"});
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::mapped_file file(folder.path());
                    }),
        {folder.path().c_str(), "irectory"});
#if STRUCTOPT_HAS_POSIX_FILES
    const auto pipe = folder.path("pipe");
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    check_parts(message_of<file_error>(
                    [&]
                    {
                        io::mapped_file file(pipe);
                    }),
        {pipe.c_str(), "a regular file"});
#endif
}

} // namespace test_mapped_file
