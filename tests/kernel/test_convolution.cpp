// Convolutions of one image, and of single planes (depthwise), against the definition in double. Other
// instruction sets: this file compiled with other flags.

#include <doctest/doctest.h>

#include <structopt/core/random.hpp>
#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/convolution_packed.hpp>
#include <structopt/kernel/depthwise.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace test_convolution
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::window;
namespace k = structopt::kernel;

namespace
{

using native = structopt::simd::default_arch;

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

template <class T>
std::vector<T> values(index_t n, random_engine& rng)
{
    std::vector<T> list(at(n));
    for (T& value : list)
    {
        value = structopt::normal<T>(rng);
    }
    return list;
}

/// What the definition gives, and the sum of the sizes of its terms.
struct reference
{
    std::vector<double> value;
    std::vector<double> size;

    explicit reference(index_t n)
        : value(at(n), 0.0)
        , size(at(n), 0.0)
    {
    }

    void add(index_t i, double term)
    {
        value[at(i)] += term;
        size[at(i)] += std::abs(term);
    }
};

/// Errors of sums are bounded by terms * epsilon * their sizes.
template <class T>
bool agree(const std::vector<T>& found, const reference& expected, index_t terms)
{
    bool right = found.size() >= expected.value.size();
    for (std::size_t i = 0; i < expected.value.size(); ++i)
    {
        const double bound = static_cast<double>(terms + 4) *
                             static_cast<double>(std::numeric_limits<T>::epsilon()) *
                             (expected.size[i] + 1e-30);
        right = right && std::abs(static_cast<double>(found[i]) - expected.value[i]) <= bound;
    }
    return right;
}

/// Calls f(output row * out + filter's position within the sums) for every term of the convolution.
template <class F>
void each_term(const window& g, index_t out, const F& f)
{
    const index_t positions = g.out_h * g.out_w;
    for (index_t o = 0; o < out; ++o)
    {
        for (index_t p = 0; p < positions; ++p)
        {
            for (index_t row = 0; row < g.rows(); ++row)
            {
                const index_t c = row / (g.kernel_h * g.kernel_w);
                const index_t a = row / g.kernel_w % g.kernel_h;
                const index_t b = row % g.kernel_w;
                const index_t y = p / g.out_w * g.stride_h - g.pad_top + a * g.dilation_h;
                const index_t x = p % g.out_w * g.stride_w - g.pad_left + b * g.dilation_w;
                if (y >= 0 && y < g.height && x >= 0 && x < g.width)
                {
                    f(o * positions + p, o * g.rows() + row, (c * g.height + y) * g.width + x);
                }
            }
        }
    }
}

/// The bits of the product of the patches with the packed filters.
template <class T, class Arch>
void check_packed(const window& g, index_t out, const std::vector<T>& image,
    const std::vector<T>& w, const std::vector<T>& bias)
{
    const index_t depth = g.rows();
    const index_t positions = g.columns();
    std::vector<T> packed(at(k::packed_size<T, Arch>(out, depth)));
    k::pack_b<T, Arch>(out, depth, w.data(), depth, packed.data());
    std::vector<T> patches(at(depth * positions));
    k::im2col<T, Arch>(g, image.data(), patches.data());
    std::vector<T> expected(at(positions * out));
    std::vector<std::byte> scratch(k::gemm_packed_scratch_bytes<T, Arch>(positions, out, depth));
    k::gemm_packed<T, Arch>(positions, out, depth, {patches.data(), 1, positions}, packed.data(),
        expected.data(), out, {.bias = bias.data()}, scratch.data());

    std::vector<T> found(at(out * positions), T(99));
    scratch.assign(k::convolution_packed_bytes<T, Arch>(g, out, 1), std::byte{0x7f});
    k::convolution_packed<T, Arch>(
        g, out, 1, image.data(), packed.data(), bias.data(), found.data(), scratch.data());
    bool equal = true;
    for (index_t o = 0; o < out; ++o)
    {
        for (index_t p = 0; p < positions; ++p)
        {
            equal = equal && found[at(o * positions + p)] == expected[at(p * out + o)];
        }
    }
    CHECK(equal);
}

template <class T, class Arch>
void check_packed(const window& g, index_t out, random_engine& rng)
{
    check_packed<T, Arch>(g, out, values<T>(g.channels * g.height * g.width, rng),
        values<T>(out * g.rows(), rng), values<T>(out, rng));
}

template <class T, class Arch>
void check_groups(const window& g, index_t out, index_t groups, random_engine& rng)
{
    INFO("groups " << groups << " of " << g.channels << " channels and " << out << " filters");
    const index_t depth = g.rows();
    const auto image = values<T>(groups * g.channels * g.height * g.width, rng);
    const auto w = values<T>(groups * out * depth, rng);
    std::vector<T> packed(at(k::packed_size<T, Arch>(groups * out, depth)));
    k::pack_b<T, Arch>(groups * out, depth, w.data(), depth, packed.data());
    std::vector<T> found(at(groups * out * g.columns()), T(99));
    std::vector<std::byte> scratch(k::convolution_packed_bytes<T, Arch>(g, out, groups));
    k::convolution_packed<T, Arch>(
        g, out, groups, image.data(), packed.data(), nullptr, found.data(), scratch.data());

    reference y(groups * out * g.columns());
    for (index_t group = 0; group < groups; ++group)
    {
        each_term(g, out,
            [&](index_t to, index_t weight, index_t pixel)
            {
                y.add(group * out * g.columns() + to,
                    static_cast<double>(w[at(group * out * depth + weight)]) *
                        static_cast<double>(
                            image[at(group * g.channels * g.height * g.width + pixel)]));
            });
    }
    CHECK(agree(found, y, depth));
}

template <class T, class Arch>
void check(const window& g, index_t out, random_engine& rng)
{
    INFO("channels " << g.channels << " image " << g.height << "x" << g.width << " kernel "
                     << g.kernel_h << "x" << g.kernel_w << " stride " << g.stride_h << "x"
                     << g.stride_w << " padding " << g.pad_top << "," << g.pad_left << " dilation "
                     << g.dilation_h << "x" << g.dilation_w << " out " << out << "x" << g.out_h
                     << "x" << g.out_w);
    const index_t pixels = g.channels * g.height * g.width;
    const index_t positions = g.out_h * g.out_w;
    // Exactly as long as they have to be: the sanitizer sees what is read or written past them.
    const auto image = values<T>(pixels, rng);
    const auto w = values<T>(out * g.rows(), rng);
    const auto bias = values<T>(out, rng);
    const auto dy = values<T>(out * positions, rng);

    reference y(out * positions);
    reference dw(out * g.rows());
    reference dimage(pixels);
    for (index_t i = 0; i < out * positions; ++i)
    {
        y.add(i, static_cast<double>(bias[at(i / positions)]));
    }
    for (index_t i = 0; i < out * g.rows(); ++i)
    {
        dw.add(i, 0.5);
    }
    each_term(g, out,
        [&](index_t to, index_t weight, index_t pixel)
        {
            const auto a = static_cast<double>(image[at(pixel)]);
            const auto b = static_cast<double>(w[at(weight)]);
            const auto d = static_cast<double>(dy[at(to)]);
            y.add(to, a * b);
            dw.add(weight, a * d);
            dimage.add(pixel, b * d);
        });

    std::vector<T> found(at(out * positions), T(99));
    std::vector<std::byte> scratch(k::convolution_forward_bytes<T, Arch>(g, out));
    k::convolution_forward<T, Arch>(
        g, out, image.data(), w.data(), bias.data(), found.data(), scratch.data());
    CHECK(agree(found, y, g.rows()));

    check_packed<T, Arch>(g, out, image, w, bias);

    std::vector<T> found_dw(at(out * g.rows()), T(0.5));
    std::vector<T> found_dimage(at(pixels), T(99));
    scratch.assign(k::convolution_backward_bytes<T, Arch>(g, out), std::byte{0x7f});
    k::convolution_backward<T, Arch>(g, out, image.data(), w.data(), dy.data(), found_dw.data(),
        found_dimage.data(), scratch.data());
    CHECK(agree(found_dw, dw, positions));
    CHECK(agree(found_dimage, dimage, out * g.kernel_h * g.kernel_w));

    if (g.channels == 1 && out == 1)
    {
        std::fill(found.begin(), found.end(), T(99));
        k::depthwise_forward<T, Arch>(g, image.data(), w.data(), bias[0], found.data());
        CHECK(agree(found, y, g.rows()));
        std::fill(found_dw.begin(), found_dw.end(), T(0.5));
        k::depthwise_backward_weight<T, Arch>(g, dy.data(), image.data(), found_dw.data());
        CHECK(agree(found_dw, dw, positions));
        std::fill(found_dimage.begin(), found_dimage.end(), T(0));
        k::depthwise_backward_input<T, Arch>(g, dy.data(), w.data(), found_dimage.data());
        CHECK(agree(found_dimage, dimage, g.kernel_h * g.kernel_w));
    }
}

template <class T, class Arch>
void sweep(int rounds)
{
    random_engine rng(3);
    const auto below = [&](index_t n)
    {
        return structopt::uniform_index(rng, n);
    };
    for (int round = 0; round < rounds; ++round)
    {
        window g;
        g.channels = 1 + (round % 2) * below(4);
        g.height = 1 + below(9);
        g.width = 1 + below(40);
        g.kernel_h = 1 + below(4);
        g.kernel_w = 1 + below(6);
        g.stride_h = 1 + below(3);
        g.stride_w = 1 + below(3);
        g.pad_top = below(3);
        g.pad_left = below(3);
        g.dilation_h = 1 + below(2);
        g.dilation_w = 1 + below(2);
        // Any output extents are allowed: windows beyond the image read zeros.
        g.out_h = 1 + below(9);
        g.out_w = 1 + below(40);
        check<T, Arch>(g, round % 4 < 2 ? 1 : 1 + below(35), rng);
    }
    // The image itself is the matrix; and one wide enough for several blocks.
    check<T, Arch>({.channels = 5, .height = 4, .width = 9, .out_h = 4, .out_w = 9}, 7, rng);
    check<T, Arch>({.channels = 3,
                       .height = 30,
                       .width = 64,
                       .kernel_h = 5,
                       .kernel_w = 5,
                       .pad_top = 2,
                       .pad_left = 2,
                       .out_h = 30,
                       .out_w = 64},
        8, rng);
    // Several blocks in strips, the last one smaller; in patches; and dilated too far for strips.
    window blocks{.channels = 64,
        .height = 31,
        .width = 33,
        .kernel_h = 3,
        .kernel_w = 3,
        .pad_top = 1,
        .pad_left = 1,
        .out_h = 31,
        .out_w = 33};
    check_packed<T, Arch>(blocks, 5, rng);
    blocks.stride_h = 2;
    blocks.out_h = 16;
    check_packed<T, Arch>(blocks, 5, rng);
    blocks.stride_h = 1;
    blocks.dilation_h = blocks.pad_top = 12;
    blocks.out_h = 31;
    check_packed<T, Arch>(blocks, 5, rng);
    // Rows of the image that lie 4096 bytes apart, and more filters than two tiles take.
    check<T, Arch>({.channels = 3, .height = 32, .width = 32, .out_h = 32, .out_w = 32}, 33, rng);
    const window small{.channels = 2,
        .height = 5,
        .width = 7,
        .kernel_h = 2,
        .kernel_w = 3,
        .out_h = 4,
        .out_w = 5};
    check_groups<T, Arch>(small, 19, 3, rng);
    window flat = small;
    flat.kernel_h = flat.kernel_w = 1;
    flat.out_h = 5;
    flat.out_w = 7;
    check_groups<T, Arch>(flat, 21, 2, rng);
    window one = small;
    one.channels = 1;
    check_groups<T, Arch>(one, 2, 37, rng);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("convolutions and their gradients agree with the definition")
    {
        sweep<float, native>(60);
    }
}

TEST_CASE("convolutions and their gradients agree with the definition: double")
{
    sweep<double, native>(40);
}

} // namespace test_convolution
