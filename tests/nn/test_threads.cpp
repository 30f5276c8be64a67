#include <doctest/doctest.h>

#include <structopt/nn.hpp>

#include "support/random_tensor.hpp"

#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace test_threads
{

using namespace structopt;
using support::random_tensor;

namespace
{

void use_threads(int n)
{
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    static_cast<void>(n);
#endif
}

/// Everything a training step computes, in a row.
template <class T, std::size_t N, class L>
std::vector<T> training_step(L network, const tensor<T, N>& x)
{
    random_engine rng(1);
    auto kept = nn::make_cache(network, x, rng);
    std::vector<T> all;
    const auto add = [&](const auto& values)
    {
        all.insert(all.end(), values.data(), values.data() + values.size());
    };
    add(nn::forward(network, x));
    add(nn::forward(network, x, kept));
    const auto dy = random_tensor<T>(nn::output_shape(network, shape_of(x)), rng);
    auto gradients = nn::zeros_like(network);
    auto dx = make_tensor<T>(shape_of(x));
    nn::backward(network, dy, kept, gradients, dx);
    add(dx);
    for (const auto& parameter : nn::trainable_parameters<T>(gradients))
    {
        all.insert(all.end(), parameter.values.begin(), parameter.values.end());
    }
    nn::update_statistics(network, kept);
    nn::visit_parameters(network,
        [&](const nn::parameter_name&, const auto& values, nn::role)
        {
            add(values);
        });
    return all;
}

template <class T, std::size_t N, class L>
void same_for_all_threads(const L& network, const shape<N>& in)
{
    INFO(describe(in));
    random_engine rng(2);
    const auto x = random_tensor<T>(in, rng);
    use_threads(1);
    const auto one = training_step(network, x);
    for (const int n : {2, 3, 4})
    {
        INFO(n << " threads");
        use_threads(n);
        CHECK((training_step(network, x) == one));
    }
#ifdef _OPENMP
    use_threads(omp_get_num_procs());
#endif
}

template <class T>
void all_layers()
{
    random_engine rng(3);
    using conv = nn::conv2d<T>;
    const nn::sequential images{conv({.in = 3, .out = 16, .kernel = 3, .padding = 1}, rng),
        nn::batch_norm<T>{{.features = 16}}, nn::relu{},
        conv({.in = 16, .out = 16, .kernel = 3, .padding = 1, .groups = 16}, rng),
        nn::max_pool2d{{.kernel = 2}},
        nn::concat{conv({.in = 16, .out = 8, .kernel = 1}, rng),
            conv({.in = 16, .out = 8, .kernel = 3, .padding = 1, .groups = 4}, rng)},
        nn::silu{}, nn::avg_pool2d{{.kernel = 2}}, nn::dropout{0.3},
        nn::residual{conv({.in = 16, .out = 16, .kernel = 3, .padding = 1}, rng)},
        nn::global_avg_pool{}, nn::dense<T>({.in = 16, .out = 10}, rng), nn::log_softmax{}};
    same_for_all_threads<T>(images, shape<4>{50, 3, 24, 20});
    same_for_all_threads<T>(images, shape<4>{3, 3, 64, 64});

    const nn::sequential rows{nn::dense<T>({.in = 200, .out = 300}, rng), nn::elu{},
        nn::layer_norm<T>{{.features = 300}}, nn::dropout{0.5},
        nn::dense<T>({.in = 300, .out = 120}, rng), nn::batch_norm<T>{{.features = 120}},
        nn::softmax{}};
    same_for_all_threads<T>(rows, shape<2>{300, 200});
}

} // namespace

TEST_SUITE("threads")
{
    TEST_CASE("training and inference give the same bits for every number of threads")
    {
#ifndef _OPENMP
        MESSAGE("compiled without OpenMP: one thread in any case");
#endif
        all_layers<float>();
        all_layers<double>();
    }

    TEST_CASE("one network serves several threads of the caller at once")
    {
        random_engine rng(4);
        const nn::sequential net{nn::conv2d<float>({.in = 2, .out = 8, .kernel = 3}, rng),
            nn::batch_norm<float>{{.features = 8}}, nn::relu{}, nn::max_pool2d{{.kernel = 2}},
            nn::flatten{}, nn::dense<float>({.in = 8 * 5 * 5, .out = 10}, rng), nn::softmax{}};
        constexpr std::size_t callers = 4;
        std::vector<tensor<float, 4>> x;
        std::vector<tensor<float, 2>> expected;
        for (std::size_t i = 0; i < callers; ++i)
        {
            x.push_back(
                random_tensor<float>(shape<4>{static_cast<index_t>(i) + 1, 2, 12, 12}, rng));
            expected.push_back(net(x.back()));
        }
        std::vector<int> same(callers, 0);
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < callers; ++i)
        {
            threads.emplace_back(
                [&, i]
                {
                    for (int round = 0; round < 50; ++round)
                    {
                        same[i] += net(x[i]) == expected[i] ? 1 : 0;
                    }
                });
        }
        for (auto& thread : threads)
        {
            thread.join();
        }
        CHECK(same == std::vector<int>(callers, 50));
    }
}

} // namespace test_threads
