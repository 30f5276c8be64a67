#include <structopt/io/safetensors_file.hpp>
#include <structopt/quantize.hpp>

#include <doctest/doctest.h>

#include "support/golden.hpp"

#include <cstdint>
#include <string>

namespace test_quantize_golden
{

using namespace structopt;

namespace
{

template <std::size_t N>
tensor<float, N> input(const io::safetensors_file& file, const std::string& name)
{
    return file.read<float, N>(name + "/input");
}

/// Compares parameters with the observer's, and what codes stand for with fake quantization.
template <class Q>
void check_result(const io::safetensors_file& file, const std::string& name, const Q& q)
{
    CAPTURE(name);
    const auto scales = file.read<double, 1>(name + "/scale");
    const auto zeros = file.read<std::int64_t, 1>(name + "/zero_point");
    REQUIRE(q.parameters().size() == scales.size());
    for (std::size_t i = 0; i < scales.size(); ++i)
    {
        CHECK(static_cast<double>(q.parameters()[i].scale) == scales(i));
        if constexpr (requires { q.parameters()[i].zero; })
        {
            CHECK(q.parameters()[i].zero == zeros(i));
        }
    }
    const auto expected = file.read<float, Q::rank>(name + "/output");
    CHECK(q.dequantize() == expected);
}

template <class Scheme>
void check_scheme(const io::safetensors_file& file, const std::string& scheme)
{
    for (const char* const kind : {"/normal", "/positive", "/negative"})
    {
        const auto x = input<3>(file, scheme + kind);
        check_result(file, scheme + kind, quantize::encode(x, Scheme{}));
    }
    check_result(file, scheme + "/axis0",
        quantize::encode(input<3>(file, scheme + "/axis0"), Scheme{}, quantize::per_channel<0>{}));
    check_result(file, scheme + "/axis1",
        quantize::encode(input<3>(file, scheme + "/axis1"), Scheme{}, quantize::per_channel<1>{}));
}

} // namespace

TEST_CASE("scales, zero points and results are PyTorch's, to the bit")
{
    const io::safetensors_file file(support::golden_path("quantize.safetensors"));
    check_scheme<quantize::symmetric<8>>(file, "symmetric8");
    check_scheme<quantize::symmetric<8, true>>(file, "symmetric8_full");
    check_scheme<quantize::symmetric<4>>(file, "symmetric4");
    check_scheme<quantize::affine<8>>(file, "affine8");
    check_scheme<quantize::affine<8, true>>(file, "affine8_signed");
    check_scheme<quantize::affine<4>>(file, "affine4");
    check_result(file, "clipped/affine8",
        quantize::encode_with(input<2>(file, "clipped/affine8"),
            {quantize::scale_and_zero{0.0078125f, 101}}, quantize::affine<8>{}));
}

} // namespace test_quantize_golden
