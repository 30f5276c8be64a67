// Trains a small network on real handwritten digits, compresses it in two ways, and proves that
// the result is smaller: on disk, in memory and in time.
//
//   compress_digits [--out DIR] [--data mnist DIR] [--quick] [--check]
//
// Data: the 1,797 digits of data/digits8x8.csv.gz, or MNIST's four files in DIR. The test set (the
// last 449 digits; MNIST's 10,000) is looked at once, at the end: every choice on the way, from
// how much to train to the share of weights to remove, is made on a validation split of the rest.

#include "data.hpp"

#include <structopt/compress.hpp>
#include <structopt/io/atomic_file.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/nn/plan.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/schedule.hpp>
#include <structopt/sparse/model.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

using namespace structopt;

namespace
{

struct settings
{
    std::string out = "report";
    std::string mnist; // folder of its four files; empty: the embedded digits
    bool quick = false;
    bool check = false; // fail unless the compressed network is as good as promised
};

struct samples
{
    tensor<float, 4> x; // [n, 1, side, side]
    std::vector<std::int32_t> labels;
};

/// What the dense network says: the teacher of the smaller ones.
using opinion = std::function<tensor<float, 2>(const tensor<float, 4>&)>;

/// Images, moved by up to one pixel in every direction whenever they are taken for training, with
/// what a network is to say about them: the label, or half of that and half of the teacher's
/// opinion. A dataset of one's own is a struct with these members.
struct shifted
{
    using batch_type = train::batch<float, 4, tensor<float, 2>>;

    const samples* from;
    opinion teacher = {};

    index_t size() const
    {
        return shape_of(from->x)[0];
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        into.x = nn::take_rows(from->x, rows);
        set_targets(rows, into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const
    {
        into.x = nn::take_rows(from->x, rows);
        const index_t side = shape_of(from->x)[2];
        for (index_t i = 0; i < static_cast<index_t>(rows.size()); ++i)
        {
            const float* const image =
                from->x.data() + rows[static_cast<std::size_t>(i)] * side * side;
            const index_t down = uniform_index(rng, 3) - 1;
            const index_t right = uniform_index(rng, 3) - 1;
            for (index_t y = 0; y < side; ++y)
            {
                for (index_t x = 0; x < side; ++x)
                {
                    const index_t row = y - down;
                    const index_t column = x - right;
                    const bool inside = row >= 0 && row < side && column >= 0 && column < side;
                    into.x(i, 0, y, x) = inside ? image[row * side + column] : 0.0f;
                }
            }
        }
        set_targets(rows, into);
    }

private:
    void set_targets(std::span<const index_t> rows, batch_type& into) const
    {
        const auto n = static_cast<index_t>(rows.size());
        into.target = structopt::zeros<float>(shape<2>{n, 10});
        if (teacher)
        {
            into.target = nn::forward(nn::softmax{}, teacher(into.x));
        }
        const float weight = teacher ? 0.5f : 1.0f;
        for (index_t i = 0; i < n; ++i)
        {
            for (index_t c = 0; c < 10; ++c)
            {
                into.target(i, c) *= 1 - weight;
            }
            into.target(
                i, from->labels[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])]) +=
                weight;
        }
    }
};

struct dataset
{
    std::string name;
    samples rest; ///< all but the test set: training and validation
    samples train;
    samples validation;
    samples test;
    index_t epochs;
};

auto as_data(const samples& s)
{
    return train::labelled(s.x, s.labels);
}

samples take(const samples& all, const std::vector<index_t>& rows)
{
    samples part;
    part.x = nn::take_rows(all.x, rows);
    for (const index_t row : rows)
    {
        part.labels.push_back(all.labels[static_cast<std::size_t>(row)]);
    }
    return part;
}

std::vector<index_t> numbers(index_t first, index_t last)
{
    std::vector<index_t> list;
    for (index_t i = first; i < last; ++i)
    {
        list.push_back(i);
    }
    return list;
}

/// Divides what is not the test set: the last samples validate. Both sets are in the order of their
/// writers, and the test set's writers are others than the rest's; a validation set of other writers
/// than the training set's tells what to expect there, a random one is too hopeful.
void divide(dataset& set, index_t validation)
{
    const index_t n = shape_of(set.rest.x)[0];
    set.train = take(set.rest, numbers(0, n - validation));
    set.validation = take(set.rest, numbers(n - validation, n));
}

samples as_images(const data::samples& rows, index_t side)
{
    const shape<4> extents{shape_of(rows.x)[0], 1, side, side};
    return {structopt::copy(as_view(rows.x).reshaped(extents)), rows.labels};
}

dataset load_digits()
{
    const samples all = as_images(data::digits(STRUCTOPT_EXAMPLE_DATA), 8);
    const index_t n = shape_of(all.x)[0];
    dataset set{
        .name = "digits8x8", .rest = {}, .train = {}, .validation = {}, .test = {}, .epochs = 60};
    set.test = take(all, numbers(1348, n));
    set.rest = take(all, numbers(0, 1348));
    divide(set, 270);
    return set;
}

dataset load_mnist(const std::string& folder)
{
    dataset set{
        .name = "mnist", .rest = {}, .train = {}, .validation = {}, .test = {}, .epochs = 5};
    set.test = as_images(data::mnist(folder, "t10k"), 28);
    set.rest = as_images(data::mnist(folder, "train"), 28);
    divide(set, 5000);
    return set;
}

/// Two convolutions with pooling, then two dense layers; `widths` are the units of the first three.
auto make_network(index_t side, const std::array<index_t, 3>& widths, random_engine& rng)
{
    const index_t positions = (side / 4) * (side / 4);
    return nn::sequential{nn::conv2d{{.in = 1, .out = widths[0], .kernel = 3, .padding = 1}, rng},
        nn::relu{}, nn::max_pool2d{{.kernel = 2}},
        nn::conv2d{{.in = widths[0], .out = widths[1], .kernel = 3, .padding = 1}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 2}}, nn::flatten{},
        nn::dense{{.in = widths[1] * positions, .out = widths[2]}, rng}, nn::relu{},
        nn::dense{{.in = widths[2], .out = 10}, rng}};
}

template <class Network>
double accuracy(const Network& network, const samples& s)
{
    train::accuracy metric;
    return train::evaluate(network, as_data(s), metric)[0];
}

/// Adam with decoupled weight decay, and a cosine from `rate` to zero.
template <class Network, class Data, class... Callbacks>
void fit(Network& network, const Data& data, index_t epochs, double rate, random_engine& rng,
    Callbacks&&... callbacks)
{
    const index_t batches = (data.size() + 63) / 64;
    train::fit(network, data, nn::cross_entropy{}, optim::adamw{.rate = rate, .weight_decay = 0.02},
        {.epochs = epochs, .batch = 64}, rng,
        train::per_batch(schedule::cosine_decay{.rate = rate, .steps = epochs * batches}),
        callbacks...);
}

/// The dense network with `share` of its weights zero: gradually pruned, then fine-tuned.
template <class Network, class Data>
Network pruned(Network network, double share, const Data& data, index_t epochs, random_engine& rng)
{
    const index_t steps = epochs * ((data.size() + 63) / 64);
    prune::gradual sparser{
        schedule::cubic_sparsity{.target = share, .begin = 0, .end = steps / 2, .frequency = 4},
        prune::magnitude{}, prune::scope::global};
    fit(network, data, epochs, 2e-3, rng, sparser);
    return network;
}

/// The dense network with fewer units, removed in three rounds; `tune(network, round)` follows each.
template <class Network, class Tune>
Network narrowed(Network network, double share, const shape<4>& sample, const Tune& tune)
{
    const double each = 1 - std::cbrt(1 - share);
    for (int round = 1; round <= 3; ++round)
    {
        const auto kept =
            prune::choose_units(network, sample, prune::magnitude{}, {.sparsity = each});
        network = prune::compact(network, sample, kept);
        tune(network, round);
    }
    return network;
}

template <class Network>
Network narrowed(
    const Network& dense, double share, const shifted& lessons, index_t epochs, random_engine& rng)
{
    return narrowed(dense, share, shape_of(lessons.from->x),
        [&](Network& network, int round)
        {
            fit(network, lessons, round == 3 ? epochs : epochs / 3, 2e-3, rng);
        });
}

/// int8 weights, dense or sparse, whichever is smaller in each layer.
template <class Network>
auto to_int8(const Network& network)
{
    return nn::convert_smallest<quantize::int8_matrix, quantize::sparse_int8<std::uint8_t>,
        quantize::sparse_int8<std::uint16_t>>(network);
}

/// Float weights, dense or sparse, whichever is smaller in each layer.
template <class Network>
auto to_sparse(const Network& network)
{
    return nn::convert_smallest<tensor<float, 2>, sparse::csr<float, std::uint8_t>,
        sparse::csr<float, std::uint16_t>>(network);
}

/// The gentlest share, in steps of a hundredth, that makes a network fit into the bytes.
template <class Make>
double share_within(std::size_t budget, const Make& make)
{
    for (double share = 0.30; share < 0.99; share += 0.01)
    {
        if (io::state_bytes(to_int8(make(share))) <= budget)
        {
            return share;
        }
    }
    return 0.99;
}

/// Saves a network, loads it into another one of the same type (extents come from the file) and
/// compares all outputs.
template <class Network>
void check_reload(
    const Network& network, Network other, const std::string& path, const samples& test)
{
    io::save_state(network, path);
    io::load_state(other, path, {.resize = true});
    if (other(test.x) != network(test.x))
    {
        throw format_error(path, "a network equal bit for bit to the saved one", "another");
    }
}

/// A plain network of one hidden layer.
auto make_plain(index_t side, index_t hidden, random_engine& rng)
{
    return nn::sequential{nn::flatten{}, nn::dense{{.in = side * side, .out = hidden}, rng},
        nn::relu{}, nn::dense{{.in = hidden, .out = 10}, rng}};
}

/// The widest network of these proportions that fits into the bytes; what is left over goes to the
/// single widths, the last first.
std::array<index_t, 3> widths_within(
    std::size_t bytes, index_t side, const std::array<index_t, 3>& proportions, random_engine& rng)
{
    const auto fits = [&](const std::array<index_t, 3>& widths)
    {
        return io::state_bytes(make_network(side, widths, rng)) <= bytes;
    };
    std::array<index_t, 3> widths{1, 1, 1};
    for (index_t part = 1; part <= proportions[2]; ++part)
    {
        std::array<index_t, 3> wider = proportions;
        for (index_t& width : wider)
        {
            width = std::max<index_t>(1, width * part / proportions[2]);
        }
        widths = fits(wider) ? wider : widths;
    }
    for (const std::size_t i : {2u, 1u, 0u})
    {
        for (auto wider = widths; ++wider[i], fits(wider);)
        {
            widths = wider;
        }
    }
    return widths;
}

int run(const settings& how)
{
    const auto start = std::chrono::steady_clock::now();
    random_engine rng(7);
    const dataset set = how.mnist.empty() ? load_digits() : load_mnist(how.mnist);
    const index_t epochs = how.quick ? std::max<index_t>(2, set.epochs / 20) : set.epochs;
    const shape<4> sample = shape_of(set.train.x);
    const index_t side = sample[2];
    std::printf("%s: %td samples for training, %td for validation, %td for the test\n",
        set.name.c_str(), shape_of(set.train.x)[0], shape_of(set.validation.x)[0],
        shape_of(set.test.x)[0]);

    // The budget is a twelfth of the dense file. What has to go for it follows without training.
    const std::array<index_t, 3> full{16, 32, 96};
    auto trial = make_network(side, full, rng);
    fit(trial, shifted{&set.train}, epochs, 3e-3, rng);
    const std::size_t budget = io::state_bytes(trial) / 12;
    const auto untuned = [](auto&, int) {};
    const double zeros = share_within(budget * 97 / 100,
        [&](double share)
        {
            auto thin = trial;
            prune::apply(
                thin, prune::magnitude{}, {.sparsity = share, .scope = prune::scope::global});
            return thin;
        });
    const double removed = share_within(budget,
        [&](double share)
        {
            return narrowed(trial, share, sample, untuned);
        });

    // Which of the two is better is decided on samples that the networks have not seen.
    const shifted trial_lessons{&set.train, trial};
    const double thin_reached =
        accuracy(to_int8(pruned(trial, zeros, trial_lessons, 2 * epochs, rng)), set.validation);
    const double narrow_reached =
        accuracy(to_int8(narrowed(trial, removed, trial_lessons, 2 * epochs, rng)), set.validation);
    const bool thin_wins = thin_reached >= narrow_reached;
    std::printf(
        "validation accuracy: dense %.2f %%; at a twelfth of the bytes, in int8, with %.0f %% "
        "of the weights zero %.2f %%, with %.0f %% of the units removed %.2f %%\n",
        100 * accuracy(trial, set.validation), 100 * zeros, 100 * thin_reached, 100 * removed,
        100 * narrow_reached);

    // The networks themselves: from all samples but the test set's.
    auto dense = make_network(side, full, rng);
    fit(dense, shifted{&set.rest}, epochs, 3e-3, rng);
    const shifted lessons{&set.rest, dense};
    const auto thin = pruned(dense, zeros, lessons, 2 * epochs, rng);
    const auto narrow = narrowed(dense, removed, lessons, 2 * epochs, rng);
    const auto sparse = to_sparse(thin);
    const auto sparse_int8 = to_int8(thin);
    const auto narrow_int8 = to_int8(narrow);

    // The fair opponent: a dense network as small as the best compressed one, trained from scratch
    // for as long as that in all, by the same teacher. Of several shapes that fill those bytes the
    // one that does best on validation.
    const std::size_t bytes =
        thin_wins ? io::state_bytes(sparse_int8) : io::state_bytes(narrow_int8);
    std::array<index_t, 3> widths{};
    double small_reached = -1;
    const auto reached = [&](auto net)
    {
        fit(net, trial_lessons, 2 * epochs, 3e-3, rng);
        return accuracy(net, set.validation);
    };
    for (const auto& proportions :
        {full, std::array<index_t, 3>{16, 16, 96}, std::array<index_t, 3>{16, 32, 32}})
    {
        const auto candidate = widths_within(bytes, side, proportions, rng);
        const double found = reached(make_network(side, candidate, rng));
        widths = found > small_reached ? candidate : widths;
        small_reached = std::max(small_reached, found);
    }
    index_t hidden = 1;
    while (io::state_bytes(make_plain(side, hidden + 1, rng)) <= bytes)
    {
        ++hidden;
    }
    const bool plain_wins = reached(make_plain(side, hidden, rng)) > small_reached;

    // The test set is read here, once.
    std::vector<compress::report> variants;
    const auto fresh = make_network(side, {4, 4, 4}, rng);
    const auto add = [&](const char* name, const auto& net, const auto& other)
    {
        check_reload(net, other, how.out + "/" + name + ".safetensors", set.test);
        variants.push_back(compress::measure(net, sample, name, accuracy(net, set.test)));
    };
    add("dense", dense, fresh);
    add("pruned", sparse, to_sparse(fresh));
    // Saved in the smallest formats, run in the fastest ones.
    const auto planned_us = [&](index_t batch)
    {
        shape<4> in = sample;
        in[0] = batch;
        return compress::latency_us<float>(nn::plan(thin, in).network, in);
    };
    variants.back().latency_us_batch1 = planned_us(1);
    variants.back().latency_us_batch64 = planned_us(64);
    add("pruned_int8", sparse_int8, to_int8(fresh));
    add("narrow_int8", narrow_int8, to_int8(fresh));
    const auto add_small = [&](auto small, auto other)
    {
        fit(small, lessons, 3 * epochs, 3e-3, rng);
        add("small_dense", small, other);
    };
    if (plain_wins)
    {
        add_small(make_plain(side, hidden, rng), make_plain(side, 4, rng));
    }
    else
    {
        add_small(make_network(side, widths, rng), fresh);
    }

    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    io::write_file(how.out + "/report.json",
        "{\"dataset\": \"" + set.name + "\", \"seconds\": " + std::to_string(seconds) +
            ", \"variants\": " + compress::to_json(variants) + "}\n");
    io::write_file(how.out + "/tradeoff.svg",
        compress::to_svg(variants, {.title = "Accuracy against size: " + set.name}));
    io::write_file(how.out + "/comparison.svg",
        compress::to_comparison(variants, {.title = "Before and after: " + set.name}));
    std::printf("\n%s\nthe best variant, %s, layer by layer:\n\n%s\n",
        compress::to_table(variants).c_str(), variants[thin_wins ? 2 : 3].name.c_str(),
        compress::to_layer_table(variants[thin_wins ? 2 : 3]).c_str());
    std::printf(
        "%.1f s; report.json, tradeoff.svg, comparison.svg and the models (reloaded, bit-equal) "
        "are in %s\n",
        seconds, how.out.c_str());
    const auto& first = variants[0];
    const auto& best = variants[thin_wins ? 2 : 3];
    const bool smaller = 12 * best.bytes <= first.bytes && best.accuracy > variants[4].accuracy;
    std::printf("at least 12x smaller, within a point of dense, better than small_dense: %s\n",
        smaller && *best.accuracy >= *first.accuracy - 0.01 ? "yes" : "no");
    // A point is four images of the digits' test set, less than what another instruction set's
    // rounding may change in a training: a failure needs more.
    const bool kept = smaller && *best.accuracy >= *first.accuracy - 0.03;
    return kept || !how.check ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    settings how;
    for (int i = 1; i < argc; ++i)
    {
        const std::string argument = argv[i];
        if (argument == "--quick")
        {
            how.quick = true;
        }
        else if (argument == "--check")
        {
            how.check = true;
        }
        else if (argument == "--out" && i + 1 < argc)
        {
            how.out = argv[++i];
        }
        else if (argument == "--data" && i + 2 < argc && std::string(argv[i + 1]) == "mnist")
        {
            how.mnist = argv[i + 2];
            i += 2;
        }
        else
        {
            std::fprintf(
                stderr, "usage: %s [--out DIR] [--data mnist DIR] [--quick] [--check]\n", argv[0]);
            return 2;
        }
    }
    try
    {
        std::filesystem::create_directories(how.out);
        return run(how);
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
        return 1;
    }
}
