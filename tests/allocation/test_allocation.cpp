// The core forward form allocates nothing, and neither does a training step whose cache is warm.
// Replaces the global allocation functions of this program.
#include <doctest/doctest.h>

#include <structopt/nn.hpp>
#include <structopt/prune/lamp.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/units.hpp>

#include "support/random_tensor.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace
{

std::atomic<long> allocations{0};
std::atomic<std::size_t> live{0};
std::atomic<std::size_t> peak{0};

/// The number of bytes stands in front of what is given out.
void* counted(std::size_t bytes, std::size_t alignment)
{
    ++allocations;
    char* const p = static_cast<char*>(
        std::aligned_alloc(alignment, (bytes + 2 * alignment - 1) / alignment * alignment));
    if (p == nullptr)
    {
        throw std::bad_alloc();
    }
    std::memcpy(p, &bytes, sizeof(bytes));
    const std::size_t now = live += bytes;
    std::size_t before = peak;
    while (before < now && !peak.compare_exchange_weak(before, now))
    {
    }
    return p + alignment;
}

void release(void* p, std::size_t alignment) noexcept
{
    if (p != nullptr)
    {
        char* const start = static_cast<char*>(p) - alignment;
        std::size_t bytes = 0;
        std::memcpy(&bytes, start, sizeof(bytes));
        live -= bytes;
        std::free(start);
    }
}

} // namespace

void* operator new(std::size_t bytes)
{
    return counted(bytes, alignof(std::max_align_t));
}

void* operator new[](std::size_t bytes)
{
    return counted(bytes, alignof(std::max_align_t));
}

void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    return counted(bytes, static_cast<std::size_t>(alignment));
}

void* operator new[](std::size_t bytes, std::align_val_t alignment)
{
    return counted(bytes, static_cast<std::size_t>(alignment));
}

void operator delete(void* p) noexcept
{
    release(p, alignof(std::max_align_t));
}

void operator delete[](void* p) noexcept
{
    release(p, alignof(std::max_align_t));
}

void operator delete(void* p, std::size_t) noexcept
{
    release(p, alignof(std::max_align_t));
}

void operator delete[](void* p, std::size_t) noexcept
{
    release(p, alignof(std::max_align_t));
}

void operator delete(void* p, std::align_val_t alignment) noexcept
{
    release(p, static_cast<std::size_t>(alignment));
}

void operator delete[](void* p, std::align_val_t alignment) noexcept
{
    release(p, static_cast<std::size_t>(alignment));
}

void operator delete(void* p, std::size_t, std::align_val_t alignment) noexcept
{
    release(p, static_cast<std::size_t>(alignment));
}

void operator delete[](void* p, std::size_t, std::align_val_t alignment) noexcept
{
    release(p, static_cast<std::size_t>(alignment));
}

using namespace structopt;

namespace
{

template <class T>
auto images_network(random_engine& rng)
{
    using conv = nn::conv2d<T>;
    return nn::sequential{conv({.in = 2, .out = 8, .kernel = 3, .padding = 1}, rng),
        nn::batch_norm<T>{{.features = 8}}, nn::relu{},
        nn::residual{nn::sequential{conv({.in = 8, .out = 8, .kernel = 3, .padding = 1}, rng),
            nn::hard_swish{}, conv({.in = 8, .out = 8, .kernel = 1}, rng)}},
        conv({.in = 8, .out = 8, .kernel = 3, .stride = 2, .padding = 1, .groups = 8}, rng),
        nn::concat{nn::max_pool2d{{.kernel = 2}}, nn::avg_pool2d{{.kernel = 2}}},
        nn::residual{conv({.in = 16, .out = 4, .kernel = 1}, rng),
            conv({.in = 16, .out = 4, .kernel = 3, .padding = 1, .groups = 2}, rng)},
        nn::layer_norm<T, 3>{{.features = {4, 4, 4}}}, nn::dropout{0.2},
        nn::concat{nn::global_avg_pool{}, nn::sequential{nn::flatten{}, nn::gelu{}}},
        nn::dense<T>({.in = 68, .out = 10}, rng), nn::softmax{}};
}

template <class T, std::size_t N, class L>
void allocates_nothing(const std::string& what, const L& network, const shape<N>& in)
{
    INFO(what << " on " << describe(in));
    random_engine rng(1);
    const auto x = support::random_tensor<T>(in, rng);
    const auto out = nn::output_shape(network, in);
    auto y = make_tensor<T>(out);
    buffer<std::byte> bytes(nn::scratch_bytes<T>(network, in));

    // A guard behind the scratch that was asked for.
    const std::size_t asked = bytes.size();
    bytes.resize(asked + 64, std::byte{0xa5});
    const nn::scratch space(bytes.data(), asked);
    const view<const T, N> from(x);
    const auto to = as_view(y);
    const long before = allocations;
    for (int i = 0; i < 3; ++i)
    {
        nn::forward(network, from, to, space);
    }
    CHECK(allocations == before);
    for (std::size_t i = asked; i < bytes.size(); ++i)
    {
        REQUIRE(bytes[i] == std::byte{0xa5});
    }
    CHECK(support::largest_difference(y, nn::forward(network, x)) == 0);
}

template <class T, std::size_t N, class L>
void trains_without_allocating(const std::string& what, const L& network, const shape<N>& in)
{
    INFO(what << " on " << describe(in));
    random_engine rng(1);
    const auto x = support::random_tensor<T>(in, rng);
    auto kept = nn::make_cache(network, x, rng);
    auto gradients = nn::zeros_like(network);
    auto dx = make_tensor<T>(in);
    const auto dy = support::random_tensor<T>(nn::output_shape(network, in), rng);
    nn::forward(network, x, kept);
    nn::backward(network, dy, kept, gradients, dx);
    const long before = allocations;
    for (int i = 0; i < 3; ++i)
    {
        nn::forward(network, x, kept);
        nn::backward(network, dy, kept, gradients, dx);
    }
    CHECK(allocations == before);
}

} // namespace

TEST_SUITE("smoke allocation")
{
    TEST_CASE("the counter counts")
    {
        const long before = allocations;
        const auto x = structopt::zeros<float>(shape<2>{3, 4});
        const std::string text(100, 'x');
        CHECK(allocations >= before + 2);
        CHECK(x(2, 3) == 0);
        CHECK(text.size() == 100);
    }

    TEST_CASE_TEMPLATE("a network of all kinds of layers allocates nothing", T, float, double)
    {
        random_engine rng(2);
        const auto network = images_network<T>(rng);
        for (const index_t batch : {1, 5, 64})
        {
            allocates_nothing<T>("network", network, shape<4>{batch, 2, 16, 16});
            trains_without_allocating<T>("network", network, shape<4>{batch + 1, 2, 16, 16});
        }
    }
}

TEST_SUITE("allocation")
{
    TEST_CASE("every layer on its own allocates nothing")
    {
        random_engine rng(3);
        const shape<4> images{3, 8, 13, 11};
        const shape<2> rows{9, 8};
        const auto both = [&](const std::string& what, const auto& layer)
        {
            allocates_nothing<float>(what, layer, images);
            trains_without_allocating<float>(what, layer, images);
        };
        for (const nn::conv2d_options& options :
            {nn::conv2d_options{.in = 8, .out = 5, .kernel = 3, .stride = 2, .padding = 1},
                nn::conv2d_options{.in = 8, .out = 20, .kernel = 1},
                nn::conv2d_options{.in = 8, .out = 16, .kernel = 3, .groups = 2},
                nn::conv2d_options{.in = 8, .out = 16, .kernel = 3, .dilation = 2, .groups = 8}})
        {
            both("conv2d", nn::conv2d(options, rng));
        }
        both("max_pool2d", nn::max_pool2d{{.kernel = 3, .stride = 2, .padding = 1}});
        both("avg_pool2d", nn::avg_pool2d{{.kernel = 3, .stride = 2, .padding = 1}});
        both("global_avg_pool", nn::global_avg_pool{});
        both("flatten", nn::flatten{});
        both("batch_norm", nn::batch_norm{{.features = 8}});
        both("layer_norm", nn::layer_norm{{.features = 11}});
        both("dropout", nn::dropout{0.5});
        both("softmax", nn::softmax{});
        both("log_softmax", nn::log_softmax{});
        both("gelu", nn::gelu{});
        both("identity", nn::identity{});

        const nn::dense layer{{.in = 8, .out = 30}, rng};
        allocates_nothing<float>("dense", layer, rows);
        trains_without_allocating<float>("dense", layer, rows);
        const nn::batch_norm norm{{.features = 8}};
        allocates_nothing<float>("batch_norm", norm, rows);
        trains_without_allocating<float>("batch_norm", norm, rows);
    }

    TEST_CASE("other weight storage allocates nothing either")
    {
        random_engine rng(4);
        const nn::conv2d conv{{.in = 4, .out = 6, .kernel = 3, .padding = 1}, rng};
        const auto matrix = nn::storage_traits<tensor<float, 4>>::unpack(conv.weight);
        const nn::conv2d<tensor<float, 2>> other(conv.options(), matrix, conv.bias);
        allocates_nothing<float>("conv2d over a matrix", other, shape<4>{3, 4, 9, 9});
        trains_without_allocating<float>("conv2d over a matrix", other, shape<4>{3, 4, 9, 9});
        const nn::sequential net{
            conv, nn::flatten{}, nn::dense{{.in = 6 * 81, .out = 10}, rng}, nn::relu{}};
        allocates_nothing<float>("packed", nn::pack(net), shape<4>{3, 4, 9, 9});
        allocates_nothing<float>("packed", nn::pack(net), shape<4>{1, 4, 9, 9});
    }

    TEST_CASE("units are removed in the place of the network and its largest layer")
    {
        random_engine rng(5);
        nn::sequential net{nn::dense{{.in = 256, .out = 512}, rng}, nn::relu{},
            nn::dense{{.in = 512, .out = 512}, rng}, nn::relu{},
            nn::dense{{.in = 512, .out = 10}, rng}};
        const shape<2> sample{1, 256};
        const auto choose = [&]
        {
            return prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.25});
        };
        const std::size_t largest = sizeof(float) * 512 * 512;
        const auto extra = [](const auto& work)
        {
            const std::size_t before = live;
            peak = before;
            work();
            return peak - before;
        };
        CHECK(extra(
                  [&]
                  {
                      static_cast<void>(choose());
                  }) < largest / 4);
        const auto kept = choose();
        const std::size_t weights = sizeof(float) * (256 * 512 + 512 * 512 + 512 * 10);
        const std::size_t before = live;
        CHECK(extra(
                  [&]
                  {
                      net = prune::compact(std::move(net), sample, kept);
                  }) <= largest);
        CHECK(live < before - weights / 4);
    }

    TEST_CASE("masks by magnitude and LAMP are chosen in the place of the largest layer")
    {
        random_engine rng(6);
        const nn::sequential net{nn::dense{{.in = 784, .out = 1200}, rng}, nn::relu{},
            nn::dense{{.in = 1200, .out = 1200}, rng}};
        const std::size_t largest = sizeof(float) * 1200 * 1200;
        const auto extra = [&](const auto& criterion, const auto& how_many)
        {
            const std::size_t before = live;
            peak = before;
            static_cast<void>(prune::make_mask(net, criterion, how_many));
            return peak - before;
        };
        const prune::mask_options one{.sparsity = 0.9, .scope = prune::scope::global, .minimum = 1};
        CHECK(extra(prune::magnitude{}, prune::mask_options{.sparsity = 0.5}) <= largest);
        CHECK(extra(prune::magnitude{}, one) <= largest);
        CHECK(extra(prune::lamp{}, one) <= largest);
    }
}
