#include "support/golden.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/safetensors.hpp>

#include <array>
#include <string>

using namespace structopt;

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
