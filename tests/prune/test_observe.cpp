#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/pool.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/observe.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace test_observe
{

using namespace structopt;
using prune::evidence;
using prune::need;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

constexpr index_t samples = 7;

/// Every kind of layer that counts: batch norm that is not fresh, a residual block, groups, dropout.
auto make_network(random_engine& rng)
{
    auto net =
        nn::sequential{nn::conv2d<double>{{.in = 2, .out = 4, .kernel = 3, .padding = 1}, rng},
            nn::batch_norm<double>{{.features = 4}}, nn::relu{},
            nn::residual{nn::conv2d<double>{{.in = 4,
                                                .out = 4,
                                                .kernel = {3, 2},
                                                .padding = {1, 1},
                                                .padding_end = {1, 0},
                                                .groups = 2},
                rng}},
            nn::tanh{}, nn::max_pool2d{{.kernel = 2}}, nn::flatten{}, nn::dropout{0.5},
            nn::dense<double>{{.in = 16, .out = 3}, rng}};
    auto& norm = net.layer<1>();
    for (index_t c = 0; c < 4; ++c)
    {
        norm.running_mean.data()[c] = 0.1 * static_cast<double>(c);
        norm.running_var.data()[c] = 0.5 + static_cast<double>(c);
        norm.weight.data()[c] = 1.5 - static_cast<double>(c) * 0.7;
        norm.bias.data()[c] = 0.3;
    }
    return net;
}

using network = decltype(make_network(std::declval<random_engine&>()));

struct problem
{
    random_engine rng{11};
    network net = make_network(rng);
    tensor<double, 4> x = random_tensor<double>(shape<4>{samples, 2, 4, 4}, rng);
    std::vector<std::int32_t> labels{0, 1, 2, 2, 1, 0, 1};

    auto data() const
    {
        return train::labelled(x, labels);
    }

    /// Sample i by itself.
    tensor<double, 4> sample(index_t i) const
    {
        return structopt::copy(as_view(x).slice(i, i + 1));
    }

    /// What goes into the residual block.
    tensor<double, 4> first_block() const
    {
        return nn::forward(
            net.layer<2>(), nn::forward(net.layer<1>(), nn::forward(net.layer<0>(), x)));
    }

    /// The loss of sample i, in inference.
    double loss(index_t i) const
    {
        const auto y = net(sample(i));
        const std::vector<std::int32_t> label{labels[static_cast<std::size_t>(i)]};
        return nn::loss_value(nn::cross_entropy{}, y, std::span<const std::int32_t>(label));
    }
};

/// A container of somebody's own, with a parameter besides those of its branch: x + gate branch(x).
template <class Branch>
class gated
{
    using traits = nn::layer_traits<Branch>;

public:
    using value_type = double;
    static constexpr std::string_view name = "gated";

    explicit gated(Branch b)
        : branch(std::move(b))
    {
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        return nn::output_shape(branch, in);
    }

    template <class T, std::size_t N>
    struct cache
    {
        typename traits::template cache<T, N> own;
        tensor<T, N> y;
    };

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const
    {
        return nn::scratch_bytes<T>(branch, in);
    }

    void forward(view<const double, 2> x, view<double, 2> y, nn::scratch space) const noexcept
    {
        traits::forward(branch, x, y, space);
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] = x.data()[i] + gate.data()[0] * y.data()[i];
        }
    }

    void forward(view<const double, 2> x, view<double, 2> y, cache<double, 2>& kept) const
    {
        resize(kept.y, y.shape());
        traits::forward(branch, x, as_view(kept.y), kept.own);
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] = x.data()[i] + gate.data()[0] * kept.y.data()[i];
        }
    }

    void backward(view<const double, 2> x, view<const double, 2>, view<const double, 2> dy,
        view<double, 2> dx, cache<double, 2>& kept, gated& gradients) const
    {
        auto inner = structopt::copy(dy);
        for (index_t i = 0; i < dy.size(); ++i)
        {
            gradients.gate.data()[0] += dy.data()[i] * kept.y.data()[i];
            inner.data()[i] *= gate.data()[0];
        }
        traits::backward(branch, x, as_view(std::as_const(kept.y)), as_view(std::as_const(inner)),
            dx, kept.own, gradients.branch);
        for (index_t i = 0; dx.data() != nullptr && i < dy.size(); ++i)
        {
            dx.data()[i] += dy.data()[i];
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("gate", self.gate, nn::role::scale);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("branch", self.branch);
    }

    template <class Change>
    auto transform(Change&& change) const
    {
        gated<std::remove_cvref_t<decltype(change(branch))>> changed(change(branch));
        changed.gate = gate;
        return changed;
    }

    Branch branch;
    tensor<double, 1> gate = full<double>(shape<1>{1}, 0.7);
};

/// Mean and mean square of single samples' gradients, by finite differences.
template <class Network, class Loss>
auto differences(Network& net, const Loss& loss, index_t n)
{
    std::pair<Network, Network> found{nn::zeros_like(net), nn::zeros_like(net)};
    const auto numbers = nn::trainable_parameters<double>(net);
    const auto means = nn::trainable_parameters<double>(found.first);
    const auto squares = nn::trainable_parameters<double>(found.second);
    constexpr double h = 1e-5;
    for (index_t i = 0; i < n; ++i)
    {
        for (std::size_t k = 0; k < numbers.size(); ++k)
        {
            for (std::size_t j = 0; j < numbers[k].values.size(); ++j)
            {
                double& w = numbers[k].values[j];
                const double before = w;
                w = before + h;
                const double above = loss(i);
                w = before - h;
                const double below = loss(i);
                w = before;
                const double g = (above - below) / (2 * h);
                means[k].values[j] += g / static_cast<double>(n);
                squares[k].values[j] += g * g / static_cast<double>(n);
            }
        }
    }
    return found;
}

/// Largest difference of two networks' trainable numbers.
template <class Network>
double apart(const Network& a, const Network& b)
{
    const auto first = nn::trainable_parameters<const double>(a);
    const auto second = nn::trainable_parameters<const double>(b);
    double largest = first.size() == second.size() ? 0 : 1e300;
    for (std::size_t p = 0; p < first.size() && p < second.size(); ++p)
    {
        for (std::size_t i = 0; i < first[p].values.size(); ++i)
        {
            largest = std::max(largest, std::abs(first[p].values[i] - second[p].values[i]));
        }
    }
    return largest;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("gradients and their squares are those of single samples, by finite differences")
    {
        problem p;
        const auto seen = prune::observe(p.net, p.data(), nn::cross_entropy{},
            need<evidence::squared_gradient>{}, {.batch = 3}, p.rng);
        CHECK(seen.have == (evidence::gradient | evidence::squared_gradient));
        CHECK(seen.samples == samples);
        double loss = 0;
        for (index_t i = 0; i < samples; ++i)
        {
            loss += p.loss(i) / samples;
        }
        const auto wanted = differences(
            p.net,
            [&](index_t i)
            {
                return p.loss(i);
            },
            samples);
        CHECK(seen.loss == doctest::Approx(loss));
        CHECK(apart(*seen.gradient, wanted.first) < 1e-8);
        CHECK(apart(*seen.squared_gradient, wanted.second) < 1e-8);
        // Numbers are large enough for that to say something.
        CHECK(apart(wanted.second, nn::zeros_like(wanted.second)) > 1e-2);
    }
}

TEST_CASE("a container of one's own with a parameter of its own is differentiated as one layer")
{
    random_engine rng(4);
    nn::sequential net{nn::dense<double>{{.in = 3, .out = 4}, rng},
        gated{nn::dense<double>{{.in = 4, .out = 4}, rng}},
        nn::dense<double>{{.in = 4, .out = 2}, rng}};
    const auto x = random_tensor<double>(shape<2>{5, 3}, rng);
    const auto targets = random_tensor<double>(shape<2>{5, 2}, rng);
    const auto seen = prune::observe(net, train::paired(x, targets), nn::mse{},
        need<evidence::squared_gradient>{}, {.batch = 2}, rng);
    const auto wanted = differences(
        net,
        [&](index_t i)
        {
            const auto y = net(structopt::copy(as_view(x).slice(i, i + 1)));
            return nn::loss_value(nn::mse{}, y, as_view(targets).slice(i, i + 1));
        },
        5);
    CHECK(apart(*seen.gradient, wanted.first) < 1e-7);
    CHECK(apart(*seen.squared_gradient, wanted.second) < 1e-7);
    CHECK(wanted.first.layer<1>().gate.data()[0] != 0);
}

TEST_CASE("the batches do not matter, nor does the loss's reduction")
{
    problem p;
    using everything = need<evidence::gradient | evidence::squared_gradient | evidence::inputs |
                            evidence::outputs>;
    const auto whole =
        prune::observe(p.net, p.data(), nn::cross_entropy{}, everything{}, {.batch = 100}, p.rng);
    const nn::cross_entropy sum{.reduction = nn::reduction::sum};
    for (const index_t batch : {1, 2, 4})
    {
        const auto parts =
            prune::observe(p.net, p.data(), sum, everything{}, {.batch = batch}, p.rng);
        CHECK(apart(*whole.gradient, *parts.gradient) < 1e-14);
        CHECK(apart(*whole.squared_gradient, *parts.squared_gradient) < 1e-14);
        CHECK(parts.loss == doctest::Approx(whole.loss));
        REQUIRE(parts.layers.size() == 3);
        for (std::size_t i = 0; i < 3; ++i)
        {
            const auto same = [](const std::vector<double>& a, const std::vector<double>& b)
            {
                REQUIRE(a.size() == b.size());
                for (std::size_t k = 0; k < a.size(); ++k)
                {
                    CHECK(a[k] == doctest::Approx(b[k]).epsilon(1e-12));
                }
            };
            same(whole.layers[i].input_norm, parts.layers[i].input_norm);
            same(whole.layers[i].mean, parts.layers[i].mean);
            same(whole.layers[i].variance, parts.layers[i].variance);
            same(whole.layers[i].mean_absolute, parts.layers[i].mean_absolute);
            same(whole.layers[i].zero_share, parts.layers[i].zero_share);
        }
    }
}

TEST_CASE("the form of training: batch norm by the batch")
{
    random_engine rng(3);
    const nn::sequential net{nn::dense<double>{{.in = 5, .out = 4}, rng},
        nn::batch_norm<double>{{.features = 4}}, nn::tanh{},
        nn::dense<double>{{.in = 4, .out = 3}, rng}};
    const auto x = random_tensor<double>(shape<2>{8, 5}, rng);
    const std::vector<std::int32_t> labels{0, 1, 2, 0, 1, 2, 0, 1};
    const auto seen = prune::observe(net, train::labelled(x, labels), nn::cross_entropy{},
        need<evidence::gradient>{}, {.training = true}, rng);
    auto kept = nn::make_cache(net, x, rng);
    const auto& y = nn::forward(net, x, kept);
    const auto loss =
        nn::value_and_gradient(nn::cross_entropy{}, y, std::span<const std::int32_t>(labels));
    auto gradients = nn::zeros_like(net);
    nn::backward(net, as_view(loss.gradient), kept, gradients);
    CHECK(apart(*seen.gradient, gradients) < 1e-14);
    CHECK(seen.loss == doctest::Approx(loss.value));
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::observe(net, train::labelled(x, labels), nn::cross_entropy{},
                            need<evidence::squared_gradient>{}, {.training = true}, rng);
                    }),
        {"options.training", "sample by sample"});
}

TEST_CASE("inputs are the columns of the matrix that the weight multiplies")
{
    problem p;
    const auto seen =
        prune::observe(p.net, p.data(), need<evidence::inputs>{}, {.batch = 2}, p.rng);
    CHECK(seen.have == evidence::inputs);
    CHECK(!seen.gradient.has_value());
    REQUIRE(seen.layers.size() == 3);
    CHECK(seen.layers[0].parameter == 0);
    CHECK(seen.layers[1].parameter == 4);
    CHECK(seen.layers[2].parameter == 6);
    CHECK(seen.layers[0].mean.empty());

    // The second convolution's input, and its patches, by hand.
    const auto a = p.first_block();
    CHECK(seen.layers[1].groups == 2);
    REQUIRE(seen.layers[1].input_norm.size() == 4 * 6);
    std::size_t column = 0;
    for (index_t c = 0; c < 4; ++c)
    {
        for (index_t ky = 0; ky < 3; ++ky)
        {
            for (index_t kx = 0; kx < 2; ++kx)
            {
                double sum = 0;
                for (index_t b = 0; b < samples; ++b)
                {
                    for (index_t oy = 0; oy < 4; ++oy)
                    {
                        for (index_t ox = 0; ox < 4; ++ox)
                        {
                            const index_t iy = oy + ky - 1;
                            const index_t ix = ox + kx - 1;
                            const double v =
                                iy < 0 || iy > 3 || ix < 0 || ix > 3 ? 0.0 : a(b, c, iy, ix);
                            sum += v * v;
                        }
                    }
                }
                CHECK(seen.layers[1].input_norm[column++] ==
                      doctest::Approx(std::sqrt(sum / (samples * 16))));
            }
        }
    }
}

TEST_CASE("outputs are counted behind the activation of the same sequential")
{
    problem p;
    const auto seen =
        prune::observe(p.net, p.data(), need<evidence::outputs>{}, {.batch = 3}, p.rng);
    const auto check = [&](const prune::layer_statistics& found, const auto& y)
    {
        const auto extents = shape_of(y);
        const index_t units = extents[1];
        const index_t inner = size_of(y) / (extents[0] * units);
        const auto n = static_cast<double>(extents[0] * inner);
        REQUIRE(static_cast<index_t>(found.mean.size()) == units);
        for (index_t u = 0; u < units; ++u)
        {
            double sum = 0;
            double squares = 0;
            double absolute = 0;
            double zeros = 0;
            for (index_t i = 0; i < extents[0] * inner; ++i)
            {
                const double v = y.data()[(i / inner * units + u) * inner + i % inner];
                sum += v;
                squares += v * v;
                absolute += std::abs(v);
                zeros += v == 0 ? 1 : 0;
            }
            const auto at = static_cast<std::size_t>(u);
            CHECK(found.mean[at] == doctest::Approx(sum / n));
            CHECK(found.mean_absolute[at] == doctest::Approx(absolute / n));
            CHECK(found.variance[at] == doctest::Approx(squares / n - sum / n * (sum / n)));
            CHECK(found.zero_share[at] == doctest::Approx(zeros / n));
        }
    };
    const auto relu = p.first_block();
    check(seen.layers[0], relu);
    CHECK(seen.layers[0].zero_share[0] > 0.1);
    // The branch ends with its convolution: what is added to it is not its own.
    check(seen.layers[1], nn::forward(p.net.layer<3>().branch, relu));
    check(seen.layers[2], p.net(p.x));
}

TEST_CASE("samples are drawn by the engine, without repetition")
{
    problem p;
    const auto look = [&](std::uint64_t seed, index_t n)
    {
        random_engine rng(seed);
        return prune::observe(
            p.net, p.data(), nn::cross_entropy{}, need<evidence::gradient>{}, {.samples = n}, rng);
    };
    CHECK(look(1, 3).samples == 3);
    CHECK(look(1, 3).loss == look(1, 3).loss);
    CHECK(look(1, 3).loss != look(2, 3).loss);
    CHECK(look(1, samples).loss == look(2, 100).loss);
}

TEST_CASE("bad input is refused by name")
{
    problem p;
    const auto look = [&](const auto& data, const auto& wanted, prune::observe_options options)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::observe(p.net, data, nn::cross_entropy{}, wanted, options, p.rng);
            });
    };
    const need<evidence::gradient> gradient;
    check_parts(look(train::range(p.data(), 0, 0), gradient, {}), {"at least one sample", "none"});
    check_parts(look(p.data(), gradient, {.batch = 0}), {"prune::observe options", "batch"});
    check_parts(look(p.data(), gradient, {.samples = -1}), {"prune::observe options"});
    p.x(4, 1, 2, 2) = std::numeric_limits<double>::quiet_NaN();
    check_parts(look(p.data(), need<evidence::inputs>{}, {.batch = 2}), {"data", "sample 4"});
    p.x(4, 1, 2, 2) = 1;
    p.net.layer<3>().branch.weight.data()[3] = std::numeric_limits<double>::infinity();
    check_parts(look(p.data(), gradient, {}), {"gradient of 0.weight", "NaN or infinity"});
    check_parts(look(p.data(), need<evidence::outputs>{}, {}), {"outputs of 3.branch.weight"});
    check_parts(look(p.data(), need<evidence::inputs>{}, {}), {"inputs of 8.weight"});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        const auto wide = random_tensor<double>(shape<4>{7, 3, 4, 4}, p.rng);
                        prune::observe(p.net, train::labelled(wide, p.labels), nn::cross_entropy{},
                            gradient, {}, p.rng);
                    }),
        {"conv2d"});
}

} // namespace test_observe
