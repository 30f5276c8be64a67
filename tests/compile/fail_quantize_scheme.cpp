// expect: a scheme has bits, is_signed, name, parameters
// No decode.
#include <structopt/quantize.hpp>

using namespace structopt;

struct half_a_scheme
{
    static constexpr int bits = 4;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = "half";
    using parameters = quantize::scale_only;

    parameters fit(quantize::value_range) const;
    template <quantize::rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const;
};

auto encode(view<const float, 2> w)
{
    return quantize::encode(w, half_a_scheme{});
}
