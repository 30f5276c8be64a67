#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim.hpp>
#include <structopt/schedule/one_cycle.hpp>
#include <structopt/schedule/step_decay.hpp>
#include <structopt/train.hpp>

#include "support/digits.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace test_fit
{

namespace
{

namespace nn = structopt::nn;
namespace optim = structopt::optim;
namespace schedule = structopt::schedule;
namespace train = structopt::train;
using structopt::index_t;
using structopt::shape;

template <class T = float>
auto small_network(std::uint64_t seed = 1)
{
    structopt::random_engine rng(seed);
    return nn::sequential{
        nn::dense<T>{{.in = 2, .out = 8}, rng}, nn::relu{}, nn::dense<T>{{.in = 8, .out = 3}, rng}};
}

template <class Net>
bool same_network(Net& a, Net& b)
{
    using T = optim::element_type<Net>;
    const auto x = nn::trainable_parameters<T>(a);
    const auto y = nn::trainable_parameters<T>(b);
    bool same = x.size() == y.size();
    for (std::size_t p = 0; same && p < x.size(); ++p)
    {
        same = x[p].values.size() == y[p].values.size() &&
               std::memcmp(
                   x[p].values.data(), y[p].values.data(), x[p].values.size() * sizeof(T)) == 0;
    }
    return same;
}

} // namespace

TEST_SUITE("smoke.fit")
{
    TEST_CASE("a small problem is learnt, in float and double")
    {
        const auto run = [](auto zero)
        {
            using T = decltype(zero);
            const auto cloud = support::clouds<T>(600, 1);
            const auto other = support::clouds<T>(300, 2);
            auto net = small_network<T>();
            structopt::random_engine rng(3);
            const auto history = train::fit(net, train::labelled{cloud.x, cloud.labels},
                nn::cross_entropy{}, optim::adam{.rate = 0.02}, {.epochs = 5, .batch = 32}, rng,
                train::validate_on(train::labelled{other.x, other.labels}), train::accuracy{},
                train::confusion_matrix{});
            CHECK(history.epochs.size() == 5);
            CHECK(history.last().at("validation.accuracy") > 0.95);
            CHECK(history.last().at("validation.accuracy") ==
                  history.last().at("validation.confusion_accuracy"));
            CHECK(history.last().loss < history.epochs.front().loss);
            CHECK(history.last().steps == 5 * 19);
            CHECK_FALSE(history.stopped);
        };
        run(float());
        run(double());
    }
}

TEST_CASE("real digits: more than 95 % of a validation split")
{
    if (!support::digits_readable)
    {
        MESSAGE("skipped: built without zlib, the digits are compressed");
        return;
    }
    const auto all = support::digits<float>();
    structopt::random_engine rng(1);
    nn::sequential net{
        nn::dense{{.in = 64, .out = 48}, rng}, nn::relu{}, nn::dense{{.in = 48, .out = 10}, rng}};
    const auto parts = train::split(train::labelled{all.x, all.labels}, 0.2, rng);
    const auto history =
        train::fit(net, parts.training, nn::cross_entropy{}, optim::adam{.rate = 3e-3},
            {.epochs = 25, .batch = 32}, rng, train::validate_on(parts.validation),
            train::accuracy{}, train::top_k{.k = 2}, optim::l2{1e-4});
    CHECK(history.last().at("validation.accuracy") > 0.95);
    CHECK(history.last().at("validation.top_k") >= history.last().at("validation.accuracy"));
    train::accuracy again;
    train::evaluate(net, parts.validation, again);
    CHECK(again.value() == history.last().at("validation.accuracy"));
}

TEST_CASE("images of rank 4, another loss, momentum with decay, clipping and constraints")
{
    if (!support::digits_readable)
    {
        MESSAGE("skipped: built without zlib, the digits are compressed");
        return;
    }
    const auto all = support::digits<float>(0, 400);
    auto x = structopt::make_tensor<float>(shape<4>{400, 1, 8, 8});
    std::copy(all.x.data(), all.x.data() + all.x.size(), x.data());
    auto targets = structopt::zeros<float>(shape<2>{400, 10});
    for (std::size_t i = 0; i < all.labels.size(); ++i)
    {
        targets(i, all.labels[i]) = 1;
    }
    structopt::random_engine rng(2);
    nn::sequential net{nn::conv2d{{.in = 1, .out = 6, .kernel = 3, .stride = 2, .padding = 1}, rng},
        nn::relu{}, nn::flatten{}, nn::dense{{.in = 6 * 16, .out = 10}, rng}};
    const train::paired data{x, targets};
    const auto history = train::fit(net, data, nn::bce_with_logits{},
        optim::momentum{.rate = 0.5, .weight_decay = 1e-4}, {.epochs = 12, .batch = 40}, rng,
        train::validate_on(data, "training"), train::accuracy{}, optim::clip_norm{.max_norm = 1},
        optim::max_norm{.max = 3}, train::per_epoch(schedule::step_decay{.rate = 0.5, .every = 6}));
    CHECK(history.last().at("training.accuracy") > 0.9);
    CHECK(history.epochs[5].rate == 0.5);
    CHECK(history.epochs[6].rate == doctest::Approx(0.05));
}

TEST_CASE("one epoch is what its parts do by hand")
{
    const auto cloud = support::clouds<double>(50, 4);
    const train::labelled data{cloud.x, cloud.labels};
    const optim::nadam o{.rate = 0.01};
    auto net = small_network<double>();
    auto expected = net;
    structopt::random_engine rng(5);
    const auto history =
        train::fit(net, data, nn::cross_entropy{}, o, {.epochs = 1, .batch = 20, .shuffle = false},
            rng, optim::l2{0.1}, optim::clip_norm{.max_norm = 0.5}, optim::max_norm{.max = 1},
            train::per_batch(
                [](index_t step)
                {
                    return 0.01 / static_cast<double>(step + 1);
                }));

    auto state = optim::make_state(o, expected);
    auto gradients = nn::zeros_like(expected);
    double loss = 0;
    double penalty = 0;
    for (const auto& [first, last] : {std::pair<index_t, index_t>{0, 20}, {20, 40}, {40, 50}})
    {
        const auto part = data.slice(first, last);
        structopt::random_engine unused(1);
        auto kept = nn::make_cache(expected, part.x, unused);
        const auto& y = nn::forward(expected, part.x, kept);
        const auto result = nn::value_and_gradient(nn::cross_entropy{}, y, part.target);
        nn::backward(expected, result.gradient, kept, gradients);
        loss += result.value * static_cast<double>(last - first);
        penalty += optim::regularize(expected, gradients, optim::l2{0.1}) *
                   static_cast<double>(last - first);
        optim::clip_norm{.max_norm = 0.5}(gradients);
        optim::step(o, expected, gradients, state, 0.01 / static_cast<double>(state.step + 1),
            {.zero_gradients = true});
        optim::constrain(expected, 0.0, optim::max_norm{.max = 1});
    }
    CHECK(same_network(net, expected));
    CHECK(history.last().loss == loss / 50);
    CHECK(history.last().penalty == penalty / 50);
    CHECK(history.last().rate == doctest::Approx(0.01 / 3));
}

TEST_CASE("every epoch takes every sample once, in a new order; or leaves a rest out")
{
    auto x = structopt::make_tensor<float>(shape<2>{23, 2});
    std::vector<std::int32_t> labels(23, 0);
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        x.data()[i] = static_cast<float>(i / 2);
    }
    // A dataset that tells what is asked for.
    struct spy
    {
        using batch_type = train::batch<float, 2, std::vector<std::int32_t>>;
        train::labelled<float, 2> data;
        std::vector<std::vector<index_t>>* seen;

        index_t size() const
        {
            return data.size();
        }

        void gather(std::span<const index_t> rows, batch_type& into) const
        {
            seen->push_back({rows.begin(), rows.end()});
            data.gather(rows, into);
        }
    };
    const auto run = [&](train::options how)
    {
        std::vector<std::vector<index_t>> seen;
        auto net = small_network();
        structopt::random_engine rng(7);
        train::fit(net, spy{train::labelled{x, labels}, &seen}, nn::cross_entropy{}, optim::sgd{},
            how, rng);
        return seen;
    };
    const auto kept = run({.epochs = 2, .batch = 10});
    REQUIRE(kept.size() == 6);
    CHECK(kept[2].size() == 3);
    for (const std::size_t epoch : {0u, 1u})
    {
        std::vector<index_t> all;
        for (std::size_t b = 0; b < 3; ++b)
        {
            const auto& batch = kept[3 * epoch + b];
            all.insert(all.end(), batch.begin(), batch.end());
        }
        CHECK_FALSE(std::is_sorted(all.begin(), all.end()));
        std::sort(all.begin(), all.end());
        for (index_t i = 0; i < 23; ++i)
        {
            CHECK(all[static_cast<std::size_t>(i)] == i);
        }
    }
    CHECK(kept[0] != kept[3]);
    const auto dropped = run({.epochs = 1, .batch = 10, .shuffle = false, .drop_last = true});
    REQUIRE(dropped.size() == 2);
    CHECK(dropped[1] == std::vector<index_t>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
}

TEST_CASE("a dataset may disturb its samples, from the training's own randomness")
{
    const auto cloud = support::clouds<float>(64, 6);
    struct noisy
    {
        using batch_type = train::batch<float, 2, std::vector<std::int32_t>>;
        train::labelled<float, 2> data;

        index_t size() const
        {
            return data.size();
        }

        void gather(std::span<const index_t> rows, batch_type& into) const
        {
            data.gather(rows, into);
        }

        void gather(
            std::span<const index_t> rows, batch_type& into, structopt::random_engine& rng) const
        {
            data.gather(rows, into);
            for (float& v : structopt::as_view(into.x).flat())
            {
                v += structopt::normal<float>(rng, 0.0f, 0.1f);
            }
        }
    };
    const noisy data{train::labelled{cloud.x, cloud.labels}};
    const auto run = [&](const auto& set, std::uint64_t seed)
    {
        auto net = small_network();
        structopt::random_engine rng(seed);
        train::fit(net, set, nn::cross_entropy{}, optim::adam{},
            {.epochs = 2, .batch = 16, .shuffle = false}, rng);
        return net;
    };
    auto a = run(data, 1);
    auto b = run(data, 1);
    auto c = run(data, 2);
    auto plain = run(data.data, 1);
    auto part = run(train::range(data, 0, 64), 1); // subsets pass the engine on
    CHECK(same_network(a, b));
    CHECK_FALSE(same_network(a, c));
    CHECK_FALSE(same_network(a, plain));
    CHECK(same_network(a, part));
}

TEST_CASE("equal seeds give bit-equal networks for every number of threads")
{
    if (!support::digits_readable)
    {
        MESSAGE("skipped: built without zlib, the digits are compressed");
        return;
    }
    const auto all = support::digits<float>(0, 512);
    const auto run = [&](int threads)
    {
#ifdef _OPENMP
        omp_set_num_threads(threads);
#else
        static_cast<void>(threads);
#endif
        structopt::random_engine rng(8);
        nn::sequential net{nn::dense{{.in = 64, .out = 600}, rng}, nn::relu{},
            nn::dense{{.in = 600, .out = 10}, rng}};
        train::fit(net, train::labelled{all.x, all.labels}, nn::cross_entropy{}, optim::adam{},
            {.epochs = 1, .batch = 128}, rng, optim::clip_norm{});
#ifdef _OPENMP
        omp_set_num_threads(1);
#endif
        return net;
    };
    auto one = run(1);
    auto four = run(4);
    CHECK(same_network(one, four));
}

TEST_CASE("a penalty on activations is reported and trained")
{
    const auto cloud = support::clouds<double>(200, 9);
    const train::labelled data{cloud.x, cloud.labels};
    const auto run = [&](double strength)
    {
        structopt::random_engine rng(1);
        nn::sequential net{nn::dense<double>{{.in = 2, .out = 8}, rng}, nn::relu{},
            nn::activity_regularizer{.l1 = strength}, nn::dense<double>{{.in = 8, .out = 3}, rng}};
        return train::fit(
            net, data, nn::cross_entropy{}, optim::adam{.rate = 0.02}, {.epochs = 10}, rng)
            .last();
    };
    const double light = run(1e-3).penalty / 1e-3;
    const double heavy = run(1e-1).penalty / 1e-1;
    CHECK(light > 0);
    CHECK(heavy < 0.7 * light);
    CHECK(run(0).penalty == 0.0);
}

TEST_CASE("a loss that is not finite raises, stops or is ignored; the network keeps its last step")
{
    auto cloud = support::clouds<float>(40, 10);
    cloud.x(25, 0) = std::numeric_limits<float>::quiet_NaN();
    const train::labelled data{cloud.x, cloud.labels};
    const auto run = [&](auto& net, train::nonfinite wish, index_t epochs = 3)
    {
        structopt::random_engine rng(1);
        return train::fit(net, data, nn::cross_entropy{}, optim::sgd{.rate = 0.1},
            {.epochs = epochs, .batch = 10, .shuffle = false, .nonfinite = wish}, rng);
    };
    auto raised = small_network();
    CHECK_THROWS_WITH_AS(run(raised, train::nonfinite::raise),
        "train::fit: expected a finite loss, got nan in epoch 1, batch 3",
        structopt::nonfinite_error);
    auto stopped = small_network();
    const auto history = run(stopped, train::nonfinite::stop);
    CHECK(history.stopped);
    CHECK(history.epochs.empty());
    CHECK(same_network(raised, stopped));
    auto start = small_network();
    CHECK_FALSE(same_network(raised, start));
    auto ignored = small_network();
    CHECK(run(ignored, train::nonfinite::ignore).epochs.size() == 3);
    CHECK(std::isnan(ignored.template layer<0>().weight(0, 0)));
}

TEST_CASE("what is wrong is said before anything changes")
{
    const auto cloud = support::clouds<float>(20, 11);
    const train::labelled data{cloud.x, cloud.labels};
    const auto none = train::range(data, 0, 0);
    auto net = small_network();
    auto before = net;
    structopt::random_engine rng(1);
    const auto fit = [&](const auto& set, train::options how, auto... extras)
    {
        train::fit(net, set, nn::cross_entropy{}, optim::sgd{}, how, rng, extras...);
    };
    CHECK_THROWS_WITH_AS(fit(none, {}),
        "train::fit data: expected at least one sample, got 0 samples", structopt::argument_error);
    CHECK_THROWS_WITH_AS(fit(data, {.batch = 32, .drop_last = true}),
        "train::fit data: expected at least one batch of 32 samples, got 20 samples",
        structopt::argument_error);
    CHECK_THROWS_WITH_AS(fit(data, {.batch = 0}),
        "train::options.batch: expected at least 1, got 0", structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {.epochs = -1}), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {.evaluation_batch = 0}), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, train::validate_on(none)), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, optim::l1{-1}), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, optim::clip_norm{-1}), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, optim::max_norm{-1}), structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, train::per_batch(schedule::step_decay{.every = 0})),
        structopt::argument_error);
    CHECK_THROWS_AS(fit(data, {}, train::early_stopping{.patience = 0}), structopt::argument_error);
    CHECK_THROWS_WITH_AS(fit(data, {}, train::early_stopping{.watch = "validation.loss"}),
        "train::early_stopping.watch: expected one of loss, penalty, got validation.loss",
        structopt::argument_error);
    const auto three_columns = structopt::zeros<float>(shape<2>{20, 3});
    CHECK_THROWS_AS(fit(train::labelled{three_columns, cloud.labels}, {}), structopt::shape_error);
    const std::vector<std::int32_t> far(20, 3);
    CHECK_THROWS_AS(fit(train::labelled{cloud.x, far}, {}), structopt::argument_error);
    auto last = cloud.labels;
    last.back() = 4;
    const train::labelled one_wrong{cloud.x, last};
    CHECK_THROWS_WITH_AS(fit(one_wrong, {.batch = 4}),
        "train::labelled labels: expected classes from 0 to 2, got 4 of sample 19",
        structopt::argument_error);
    CHECK_THROWS_AS(
        fit(data, {.batch = 4}, train::validate_on(one_wrong)), structopt::argument_error);
    fit(train::range(one_wrong, 0, 19), {.epochs = 0});
    // What is used after the first epoch only is tried out before it too.
    const auto valid = train::validate_on(data);
    CHECK_THROWS_WITH_AS(fit(data, {.batch = 4}, valid, train::top_k{.k = 0}),
        "train::top_k.k: expected at least 1, got 0", structopt::argument_error);
    const auto four_columns = structopt::zeros<float>(shape<2>{20, 4});
    CHECK_THROWS_AS(
        fit(data, {.batch = 4}, train::validate_on(train::paired{cloud.x, four_columns})),
        structopt::shape_error);
    const schedule::one_cycle no_momentum{.max_rate = 0.1, .steps = 20, .base_momentum = 0.0};
    CHECK_THROWS_AS(
        train::fit(net, data, nn::cross_entropy{}, optim::sgd{.momentum = 0.9},
            {.epochs = 4, .batch = 4}, rng, train::per_batch(no_momentum, train::with_momentum{})),
        structopt::argument_error);
    const schedule::one_cycle all_momentum{.max_rate = 0.1, .steps = 20, .max_momentum = 1.0};
    CHECK_THROWS_AS(
        train::fit(net, data, nn::cross_entropy{}, optim::adam{}, {.epochs = 4, .batch = 4}, rng,
            train::per_batch(all_momentum, train::with_momentum{})),
        structopt::argument_error);
    CHECK(same_network(net, before));
    fit(data, {.epochs = 0});
    CHECK(same_network(net, before));
}

TEST_CASE("a last batch of one sample that a layer does not take is found before the first step")
{
    const auto cloud = support::clouds<float>(21, 11);
    const train::labelled data{cloud.x, cloud.labels};
    structopt::random_engine rng(1);
    nn::sequential net{nn::dense{{.in = 2, .out = 4}, rng}, nn::batch_norm<float>{{.features = 4}},
        nn::dense{{.in = 4, .out = 3}, rng}};
    const auto before = net;
    const auto fit = [&](const train::options& how)
    {
        train::fit(net, data, nn::cross_entropy{}, optim::sgd{}, how, rng);
    };
    CHECK_THROWS_AS(fit({.epochs = 1, .batch = 5}), structopt::argument_error);
    CHECK_THROWS_AS(fit({.epochs = 1, .batch = 1}), structopt::argument_error);
    CHECK_THROWS_AS(fit({.epochs = 1, .batch = 1, .drop_last = true}), structopt::argument_error);
    CHECK((net.template layer<0>().weight == before.template layer<0>().weight));
    CHECK((net.template layer<1>().running_mean == before.template layer<1>().running_mean));
    fit({.epochs = 1, .batch = 5, .drop_last = true});
    fit({.epochs = 1, .batch = 7});
    CHECK(!(net.template layer<0>().weight == before.template layer<0>().weight));
}

TEST_CASE("a metric that is given to fit holds what it gathered last")
{
    const auto cloud = support::clouds<float>(30, 11);
    const train::labelled data{cloud.x, cloud.labels};
    auto net = small_network();
    structopt::random_engine rng(1);
    train::confusion_matrix seen;
    const train::accuracy constant;
    const auto history = train::fit(net, data, nn::cross_entropy{}, optim::sgd{},
        {.epochs = 2, .batch = 10}, rng, train::validate_on(data), seen, constant);
    train::confusion_matrix again;
    train::evaluate(net, data, again);
    CHECK(seen == again);
    CHECK(seen.classes == 3);
    CHECK(history.epochs.back().at("validation.accuracy") == seen.value());
    CHECK(constant.samples == 0);
}

TEST_CASE("evaluation does not depend on the batch, nor on whether samples are copied")
{
    const auto cloud = support::clouds<float>(101, 12);
    const train::labelled data{cloud.x, cloud.labels};
    const auto net = small_network();
    train::confusion_matrix whole;
    train::confusion_matrix parts;
    train::accuracy accuracy;
    const auto values =
        train::evaluate(net, data, train::evaluation{.batch = 101}, whole, accuracy);
    CHECK(values[0] == values[1]);
    train::evaluate(net, train::range(data, 0, 101), train::evaluation{.batch = 7}, parts);
    CHECK(whole == parts);
    CHECK(accuracy.samples == 101);
    CHECK_THROWS_AS(train::evaluate(net, data, train::evaluation{.batch = 0}, accuracy),
        structopt::argument_error);
    CHECK_THROWS_AS(
        train::evaluate(net, train::range(data, 0, 0), accuracy), structopt::argument_error);
}

} // namespace test_fit
