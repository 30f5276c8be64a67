#include "support/golden.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/safetensors.hpp>

#include <array>
#include <string>

namespace test_load_report
{

using namespace structopt;

TEST_CASE("names from a hostile file cannot write into a terminal, hide others or fill memory")
{
    io::load_report report;
    const std::vector<index_t> extents{2};
    report.unexpected(std::string_view("a\x1b[2J\nb\0c", 9), io::dtype::f32, extents);
    report.missing("weight", extents);
    CHECK(report.text() == "1 missing: weight [2]; 1 unexpected: a\\x1b[2J\\x0ab\\x00c F32 [2]");
    io::load_report many;
    for (int i = 0; i < 3000; ++i)
    {
        many.unexpected(std::string(300, 'x'), io::dtype::f32, extents);
    }
    CHECK(many.text().size() < 10'000);
    CHECK(many.text().find("... and 2950 more") != std::string::npos);
}

TEST_CASE("load_report: everything that does not fit, in one message")
{
    const io::safetensors_file file(support::golden_path("io/dtypes.safetensors"));
    io::load_report report;
    const std::array<index_t, 2> two_by_three{2, 3};
    const std::array<index_t, 1> five{5};
    CHECK(file.check<float>("all.F32", two_by_three, report) == file.find("all.F32"));
    CHECK(file.check<float>("all.BF16", two_by_three, report) == file.find("all.BF16"));
    CHECK(report.empty());
    report.raise_if_any("nothing", "nothing");

    CHECK(file.check<float>("bias", five, report) == nullptr);
    CHECK(file.check<float>("weight", two_by_three, report) == nullptr);
    CHECK(file.check<float>("all.F64", five, report) == nullptr);
    CHECK(file.check<float>("scalar", {}, report) == file.find("scalar"));
    CHECK(file.check<float>("all.I64", two_by_three, report) == nullptr);
    report.unexpected("all.U8", io::dtype::u8, two_by_three);
    CHECK(report.text() == "2 missing: bias [5], weight [2, 3]; 1 unexpected: all.U8 U8 [2, 3]; "
                           "1 mis-shaped: all.F64 expected [5] got [2, 3]; "
                           "1 mis-typed: all.I64 expected F32 got I64");
    support::check_parts(support::message_of<format_error>(
                             [&]
                             {
                                 report.raise_if_any(file.name(), "the network's tensors");
                             }),
        {"dtypes.safetensors: expected the network's tensors, got 2 missing: bias [5]"});
}

} // namespace test_load_report
