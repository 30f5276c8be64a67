#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim.hpp>

#include "support/parameters_only.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace test_step
{

namespace
{

namespace nn = structopt::nn;
namespace optim = structopt::optim;
using structopt::index_t;
using structopt::shape;

/// One element of an optimizer in double, as its paper writes it.
struct scalar
{
    double w;
    double slot[3] = {};
};

/// Calls `check(optimizer, scalar update)` for every optimizer of the library.
template <class Check>
void for_each_optimizer(const Check& check)
{
    check(optim::sgd{.rate = 0.1, .weight_decay = 0.01},
        [](scalar& s, double g, double)
        {
            s.w -= 0.1 * (g + 0.01 * s.w);
        });
    check(optim::sgd{.rate = 0.1, .momentum = 0.9, .dampening = 0.2},
        [](scalar& s, double g, double t)
        {
            s.slot[0] = t == 1 ? g : 0.9 * s.slot[0] + 0.8 * g;
            s.w -= 0.1 * s.slot[0];
        });
    check(optim::nesterov{.rate = 0.1, .weight_decay = 0.02},
        [](scalar& s, double g, double)
        {
            g += 0.02 * s.w;
            s.slot[0] = 0.9 * s.slot[0] + g;
            s.w -= 0.1 * (g + 0.9 * s.slot[0]);
        });
    check(optim::adagrad{.rate = 0.1, .rate_decay = 0.1},
        [](scalar& s, double g, double t)
        {
            s.slot[0] += g * g;
            s.w -= 0.1 / (1 + (t - 1) * 0.1) * g / (std::sqrt(s.slot[0]) + 1e-10);
        });
    check(optim::adadelta{.rate = 0.7},
        [](scalar& s, double g, double)
        {
            s.slot[0] = 0.9 * s.slot[0] + 0.1 * g * g;
            const double d = std::sqrt(s.slot[1] + 1e-6) / std::sqrt(s.slot[0] + 1e-6) * g;
            s.slot[1] = 0.9 * s.slot[1] + 0.1 * d * d;
            s.w -= 0.7 * d;
        });
    const auto adam = [](scalar& s, double g, double t, bool largest)
    {
        s.slot[0] = 0.9 * s.slot[0] + 0.1 * g;
        s.slot[1] = 0.99 * s.slot[1] + 0.01 * g * g;
        s.slot[2] = std::max(s.slot[2], s.slot[1]);
        const double m = s.slot[0] / (1 - std::pow(0.9, t));
        const double v = s.slot[largest ? 2 : 1] / (1 - std::pow(0.99, t));
        s.w -= 0.01 * m / (std::sqrt(v) + 1e-8);
    };
    check(optim::adam{.rate = 0.01, .beta2 = 0.99},
        [adam](scalar& s, double g, double t)
        {
            adam(s, g, t, false);
        });
    check(optim::amsgrad{.rate = 0.01, .beta2 = 0.99},
        [adam](scalar& s, double g, double t)
        {
            adam(s, g, t, true);
        });
    check(optim::adamw{.rate = 0.01, .beta2 = 0.99, .weight_decay = 0.3},
        [adam](scalar& s, double g, double t)
        {
            s.w -= 0.01 * 0.3 * s.w;
            adam(s, g, t, false);
        });
    check(optim::rmsprop{.rate = 0.01, .alpha = 0.9, .centered = true, .momentum = 0.5},
        [](scalar& s, double g, double)
        {
            s.slot[0] = 0.9 * s.slot[0] + 0.1 * g * g;
            s.slot[1] = 0.9 * s.slot[1] + 0.1 * g;
            s.slot[2] = 0.5 * s.slot[2] + g / (std::sqrt(s.slot[0] - s.slot[1] * s.slot[1]) + 1e-8);
            s.w -= 0.01 * s.slot[2];
        });
    check(optim::rmsprop{.rate = 0.01},
        [](scalar& s, double g, double)
        {
            s.slot[0] = 0.99 * s.slot[0] + 0.01 * g * g;
            s.w -= 0.01 * g / (std::sqrt(s.slot[0]) + 1e-8);
        });
    check(optim::nadam{.rate = 0.01},
        [](scalar& s, double g, double t)
        {
            const auto mu = [](double n)
            {
                return 0.9 * (1 - 0.5 * std::pow(0.96, n * 0.004));
            };
            double product = 1;
            for (double n = 1; n <= t; ++n)
            {
                product *= mu(n);
            }
            s.slot[0] = 0.9 * s.slot[0] + 0.1 * g;
            s.slot[1] = 0.999 * s.slot[1] + 0.001 * g * g;
            const double root = std::sqrt(s.slot[1] / (1 - std::pow(0.999, t))) + 1e-8;
            s.w -= 0.01 * (1 - mu(t)) / (1 - product) * g / root +
                   0.01 * mu(t + 1) / (1 - product * mu(t + 1)) * s.slot[0] / root;
        });
}

template <class T>
support::parameters_only<T> vector_network(index_t n, std::uint64_t seed)
{
    structopt::random_engine rng(seed);
    return {support::random_tensor<T>(shape<2>{1, n}, rng)};
}

template <class X>
bool same_bytes(const X& a, const X& b)
{
    return a.size() == b.size() &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(*a.data())) == 0;
}

template <class T>
void check_against_scalar(double tolerance)
{
    for_each_optimizer(
        [&](const auto& o, const auto& update)
        {
            for (const index_t n : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100})
            {
                auto net = vector_network<T>(n, 11);
                std::vector<scalar> reference;
                for (index_t i = 0; i < n; ++i)
                {
                    reference.push_back({static_cast<double>(net.weight.data()[i])});
                }
                auto state = optim::make_state(o, net);
                for (index_t t = 1; t <= 4; ++t)
                {
                    auto gradients = vector_network<T>(n, static_cast<std::uint64_t>(100 + t));
                    for (index_t i = 0; i < n; ++i)
                    {
                        update(reference[static_cast<std::size_t>(i)],
                            static_cast<double>(gradients.weight.data()[i]),
                            static_cast<double>(t));
                    }
                    optim::step(o, net, gradients, state);
                }
                for (index_t i = 0; i < n; ++i)
                {
                    INFO("n " << n << ", element " << i);
                    REQUIRE(std::abs(static_cast<double>(net.weight.data()[i]) -
                                     reference[static_cast<std::size_t>(i)].w) < tolerance);
                }
            }
        });
}

} // namespace

TEST_SUITE("smoke.step")
{
    TEST_CASE("every optimizer is its definition, for every length, in float and double")
    {
        check_against_scalar<double>(1e-13);
        // An Adadelta or centred RMSprop step divides numbers that almost vanish.
        check_against_scalar<float>(3e-5);
    }
}

TEST_CASE("an element's update does not depend on where it lies or on what is beside it")
{
    for_each_optimizer(
        [&](const auto& o, const auto&)
        {
            const index_t n = 37;
            auto whole = vector_network<float>(n, 1);
            auto state = optim::make_state(o, whole);
            std::vector<support::parameters_only<float>> single;
            std::vector<optim::state<support::parameters_only<float>>> states;
            for (index_t i = 0; i < n; ++i)
            {
                single.push_back({structopt::full<float>(shape<2>{1, 1}, whole.weight.data()[i])});
                states.push_back(optim::make_state(o, single.back()));
            }
            for (std::uint64_t t = 0; t < 3; ++t)
            {
                auto gradients = vector_network<float>(n, 50 + t);
                for (index_t i = 0; i < n; ++i)
                {
                    const auto at = static_cast<std::size_t>(i);
                    support::parameters_only<float> g{
                        structopt::full<float>(shape<2>{1, 1}, gradients.weight.data()[i])};
                    optim::step(o, single[at], g, states[at]);
                }
                optim::step(o, whole, gradients, state);
            }
            for (index_t i = 0; i < n; ++i)
            {
                INFO("element " << i);
                REQUIRE(
                    whole.weight.data()[i] == single[static_cast<std::size_t>(i)].weight.data()[0]);
            }
        });
}

TEST_CASE("results are bit-equal for every number of threads, and zeroing changes none")
{
    for_each_optimizer(
        [&](const auto& o, const auto&)
        {
            const index_t n = 3 * (1 << 15) + 77;
            const auto run = [&](int threads, bool zero)
            {
#ifdef _OPENMP
                omp_set_num_threads(threads);
#else
                static_cast<void>(threads);
#endif
                auto net = vector_network<float>(n, 3);
                auto state = optim::make_state(o, net);
                for (std::uint64_t t = 0; t < 2; ++t)
                {
                    auto gradients = vector_network<float>(n, 60 + t);
                    const auto before = gradients.weight;
                    optim::step(o, net, gradients, state, {.zero_gradients = zero});
                    if (zero)
                    {
                        bool all = true;
                        for (const float g : structopt::as_view(gradients.weight).flat())
                        {
                            all = all && g == 0.0f;
                        }
                        REQUIRE(all);
                    }
                    else
                    {
                        REQUIRE(same_bytes(gradients.weight, before));
                    }
                }
#ifdef _OPENMP
                omp_set_num_threads(1);
#endif
                return net.weight;
            };
            const auto one = run(1, false);
            CHECK(same_bytes(one, run(4, false)));
            CHECK(same_bytes(one, run(3, true)));
        });
}

TEST_CASE("weight decay can spare biases, and statistics are never touched")
{
    const auto run = [](const auto& o)
    {
        support::parameters_only<double> net{structopt::full<double>(shape<2>{1, 3}, 2.0),
            structopt::full<double>(shape<1>{3}, 2.0), structopt::full<double>(shape<1>{3}, 2.0)};
        auto gradients = nn::zeros_like(net);
        auto state = optim::make_state(o, net);
        optim::step(o, net, gradients, state);
        CHECK(net.mean(1) == 2.0);
        CHECK(net.weight(0, 1) != 2.0);
        return net.bias(1);
    };
    CHECK(run(optim::sgd{.rate = 0.1, .weight_decay = 0.5}) == doctest::Approx(1.9));
    CHECK(run(optim::sgd{.rate = 0.1, .weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::adamw{.rate = 0.1, .weight_decay = 0.5}) == doctest::Approx(1.9));
    CHECK(run(optim::adamw{.rate = 0.1, .weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::momentum{.rate = 0.1, .weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::rmsprop{.weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::nadam{.weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::adagrad{.weight_decay = 0.5, .decay_biases = false}) == 2.0);
    CHECK(run(optim::adadelta{.weight_decay = 0.5, .decay_biases = false}) == 2.0);
}

TEST_CASE("centred RMSprop survives a gradient that never changes")
{
    support::parameters_only<float> net{structopt::full<float>(shape<2>{1, 5}, 1.0f)};
    const optim::rmsprop o{.rate = 1e-6, .alpha = 0.5, .centered = true};
    auto state = optim::make_state(o, net);
    for (int t = 0; t < 200; ++t)
    {
        support::parameters_only<float> gradients{structopt::full<float>(shape<2>{1, 5}, 0.1f)};
        optim::step(o, net, gradients, state);
    }
    for (const float w : structopt::as_view(net.weight).flat())
    {
        CHECK(std::isfinite(w));
    }
}

TEST_CASE("a step checks options, rate, gradients and state before it changes anything")
{
    structopt::random_engine rng(1);
    nn::sequential net{
        nn::dense{{.in = 4, .out = 3}, rng}, nn::relu{}, nn::dense{{.in = 3, .out = 2}, rng}};
    nn::sequential other{
        nn::dense{{.in = 4, .out = 5}, rng}, nn::relu{}, nn::dense{{.in = 5, .out = 2}, rng}};
    const auto before = net.layer<0>().weight;
    const optim::adam o;
    auto state = optim::make_state(o, net);
    auto gradients = nn::zeros_like(net);
    auto wrong = nn::zeros_like(other);
    CHECK_THROWS_AS(optim::step(o, net, wrong, state), structopt::shape_error);
    auto wrong_state = optim::make_state(o, other);
    CHECK_THROWS_AS(optim::step(o, net, gradients, wrong_state), structopt::shape_error);
    auto few = optim::make_state(optim::momentum{}, net);
    CHECK_THROWS_WITH_AS(optim::step(o, net, gradients, few),
        "optim::step state: expected 2 slots (optim::make_state of this optimizer), got 1",
        structopt::argument_error);
    CHECK_THROWS_AS(optim::step(o, net, gradients, state, -0.1), structopt::argument_error);
    CHECK_THROWS_AS(optim::step(o, net, gradients, state, std::numeric_limits<double>::quiet_NaN()),
        structopt::argument_error);
    CHECK_THROWS_WITH_AS(optim::make_state(optim::adam{.beta1 = 1}, net),
        "optim::adam.beta1: expected a number from 0 to below 1, got 1", structopt::argument_error);
    CHECK_THROWS_AS(
        optim::make_state(optim::sgd{.nesterov = true}, net), structopt::argument_error);
    CHECK_THROWS_AS(optim::make_state(optim::momentum{.beta = 0}, net), structopt::argument_error);
    CHECK_THROWS_AS(optim::make_state(optim::adadelta{.rho = 2}, net), structopt::argument_error);
    CHECK_THROWS_AS(optim::make_state(optim::rmsprop{.alpha = -1}, net), structopt::argument_error);
    CHECK_THROWS_AS(optim::make_state(optim::adagrad{.eps = -1}, net), structopt::argument_error);
    CHECK_THROWS_AS(optim::make_state(optim::nadam{.beta2 = 1}, net), structopt::argument_error);
    CHECK_THROWS_AS(
        optim::make_state(optim::adamw{.weight_decay = -1}, net), structopt::argument_error);
    CHECK(same_bytes(net.layer<0>().weight, before));
    CHECK(state.step == 0);
}

TEST_CASE("a state is a plain value: a copy goes on bit for bit")
{
    for_each_optimizer(
        [&](const auto& o, const auto&)
        {
            auto net = vector_network<float>(19, 3);
            auto state = optim::make_state(o, net);
            const auto go = [&](auto& network, auto& kept, std::uint64_t t)
            {
                auto gradients = vector_network<float>(19, 70 + t);
                optim::step(o, network, gradients, kept);
            };
            go(net, state, 0);
            go(net, state, 1);
            auto copy = net;
            auto copied_state = state;
            go(net, state, 2);
            go(copy, copied_state, 2);
            CHECK(same_bytes(net.weight, copy.weight));
            CHECK(state.step == 3);
        });
}

namespace
{

/// The optimizer of the documentation's "your own optimizer".
struct sign_descent
{
    static constexpr std::size_t slots = 1;
    double rate = 0.01;
    double beta = 0.5;

    template <class T>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const optim::update_step& at) const noexcept
    {
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            kept[0][i] = static_cast<T>(beta) * kept[0][i] + gradients[i];
            values[i] -= static_cast<T>(at.rate) * (kept[0][i] > 0 ? T(1) : T(-1));
        }
    }
};

/// Needs whole tensors: the step has the length of the weights.
struct trust_ratio
{
    static constexpr std::size_t slots = 0;
    static constexpr bool elementwise = false;
    double rate = 0.5;

    template <class T>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>>,
        const optim::update_step& at) const noexcept
    {
        T w = 0;
        T g = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            w += values[i] * values[i];
            g += gradients[i] * gradients[i];
        }
        const T scale = static_cast<T>(at.rate) * std::sqrt(w / g);
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            values[i] -= scale * gradients[i];
        }
    }
};

struct no_slots
{
    double rate = 1;

    template <class T>
    void update(std::span<T>, std::span<T>, std::span<const std::span<T>>,
        const optim::update_step&) const noexcept
    {
    }
};

static_assert(optim::optimizer<sign_descent> && optim::optimizer<trust_ratio>);
static_assert(!optim::optimizer<no_slots> && !optim::optimizer<optim::l1>);
static_assert(optim::optimizer<optim::sgd> && optim::optimizer<optim::momentum> &&
              optim::optimizer<optim::nesterov> && optim::optimizer<optim::adagrad> &&
              optim::optimizer<optim::adadelta> && optim::optimizer<optim::adam> &&
              optim::optimizer<optim::amsgrad> && optim::optimizer<optim::adamw> &&
              optim::optimizer<optim::rmsprop> && optim::optimizer<optim::nadam>);

} // namespace

TEST_CASE("an optimizer of the user's own gets slots, threads and zeroed gradients")
{
    const index_t n = (1 << 15) + 3; // two pieces
    support::parameters_only<double> net{structopt::full<double>(shape<2>{1, n}, 1.0)};
    const sign_descent o;
    auto state = optim::make_state(o, net);
    support::parameters_only<double> gradients{structopt::full<double>(shape<2>{1, n}, 2.0)};
    optim::step(o, net, gradients, state, {.zero_gradients = true});
    CHECK(gradients.weight(0, n - 1) == 0.0);
    optim::step(o, net, gradients, state, 0.1);
    CHECK(net.weight(0, 0) == doctest::Approx(1 - 0.01 - 0.1));
    CHECK(net.weight(0, n - 1) == net.weight(0, 0));
    CHECK(state.slots[0].weight(0, n - 1) == 1.0);

    support::parameters_only<double> whole{structopt::full<double>(shape<2>{1, n}, 1.0)};
    gradients.weight = structopt::full<double>(shape<2>{1, n}, 4.0);
    auto none = optim::make_state(trust_ratio{}, whole);
    optim::step(trust_ratio{}, whole, gradients, none);
    CHECK(whole.weight(0, 5) == doctest::Approx(0.5));
    CHECK(whole.weight(0, n - 1) == whole.weight(0, 5));
}

} // namespace test_step
