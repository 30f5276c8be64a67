// ResNet-8 that loses half of its filters, through the sums of its residual blocks.
#pragma once

#include "../../tests/support/published.hpp"
#include "prune_distilled.hpp"
#include "prune_normed.hpp"
#include "prune_timing.hpp"

#include <structopt/io/cifar.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

using resnet = decltype(published::resnet8(std::string()));

/// Photographs with pixels from 0 to 1, [n, 3, 32, 32].
struct photographs
{
    tensor<float, 4> x;
    std::vector<std::int32_t> labels;
};

inline photographs read_photographs(const std::string& file)
{
    const auto records = io::read_cifar10(file);
    photographs set;
    set.x = make_tensor<float>(shape_of(records.images));
    std::transform(records.images.begin(), records.images.end(), set.x.data(),
        [](std::uint8_t pixel)
        {
            return static_cast<float>(pixel) / 255;
        });
    set.labels.assign(records.labels.begin(), records.labels.end());
    return set;
}

/// The published network for pixels from 0 to 1: 255 goes into its first weights.
inline resnet published_resnet(const std::string& models)
{
    auto net = published::resnet8(models);
    for (float& w : net.layer<0>().weight)
    {
        w *= 255;
    }
    return net;
}

/// How it is pruned and fine-tuned; chosen by the last 1,000 training images.
struct resnet_settings
{
    double sparsity = 0.5;
    index_t rounds = 8;
    index_t round_epochs = 1;
    index_t last_epochs = 120;
    double rate = 3e-3;
    index_t batch = 64;
    double temperature = 2;
    /// Images that filters are scored by.
    index_t samples = 250;
    /// In training, images are moved by up to so many pixels, and half of them mirrored.
    index_t move = 4;
    /// Ways in which every image is changed; the teacher sees each once.
    index_t variants = 32;
};

/// The first `n` images, changed at random, with the teacher's logits for the changed image and no
/// classes: the loss's share is 1.
class taught_photographs
{
public:
    using batch_type = train::batch<float, 4, tensor<float, 2>>;

    taught_photographs(
        const photographs& set, index_t n, const resnet& teacher, index_t move, index_t variants)
        : m_set(set)
        , m_n(n)
        , m_move(move)
        , m_variants(variants)
        , m_teacher(nn::pack(teacher))
        , m_logits(structopt::zeros<float>(shape<2>{n * (variants + 1), 10}))
        , m_known(static_cast<std::size_t>(n * (variants + 1)), 0)
    {
    }

    index_t size() const noexcept
    {
        return m_n;
    }

    /// As they are.
    void gather(std::span<const index_t> rows, batch_type& into)
    {
        std::vector<index_t> which(rows.size(), m_variants);
        gather(rows, which, into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng)
    {
        std::vector<index_t> which;
        for (std::size_t i = 0; i < rows.size(); ++i)
        {
            which.push_back(uniform_index(rng, m_variants));
        }
        gather(rows, which, into);
    }

private:
    void gather(std::span<const index_t> rows, const std::vector<index_t>& which, batch_type& into)
    {
        const auto n = static_cast<index_t>(rows.size());
        resize(into.x, shape<4>{n, 3, 32, 32});
        resize(into.target, shape<2>{n, 20});
        std::fill(into.target.begin(), into.target.end(), 0.0f);
        std::vector<index_t> unknown;
        for (index_t i = 0; i < n; ++i)
        {
            const auto at = static_cast<std::size_t>(i);
            draw(rows[at], which[at], into.x.data() + i * 3072);
            if (m_known[place(rows[at], which[at])] == 0)
            {
                unknown.push_back(i);
            }
        }
        if (!unknown.empty())
        {
            const auto logits =
                nn::forward(m_teacher, nn::take_rows(into.x, std::span<const index_t>(unknown)));
            for (std::size_t i = 0; i < unknown.size(); ++i)
            {
                const auto at = static_cast<std::size_t>(unknown[i]);
                const std::size_t to = place(rows[at], which[at]);
                std::copy_n(logits.data() + 10 * i, 10, m_logits.data() + 10 * to);
                m_known[to] = 1;
            }
        }
        for (index_t i = 0; i < n; ++i)
        {
            const auto at = static_cast<std::size_t>(i);
            std::copy_n(m_logits.data() + 10 * place(rows[at], which[at]), 10,
                into.target.data() + i * 20 + 10);
        }
    }

    std::size_t place(index_t row, index_t variant) const noexcept
    {
        return static_cast<std::size_t>(variant * m_n + row);
    }

    void draw(index_t row, index_t variant, float* image) const
    {
        if (variant == m_variants)
        {
            std::copy_n(m_set.x.data() + row * 3072, 3072, image);
            return;
        }
        random_engine rng(static_cast<std::uint64_t>(place(row, variant)));
        move(row, rng, image);
    }

    void move(index_t from_row, random_engine& rng, float* image) const
    {
        const index_t down = uniform_index(rng, 2 * m_move + 1) - m_move;
        const index_t right = uniform_index(rng, 2 * m_move + 1) - m_move;
        const bool mirrored = bernoulli(rng, 0.5);
        std::fill_n(image, 3072, 0.0f);
        for (index_t line = 0; line < 96; ++line)
        {
            const index_t row = line % 32 - down;
            if (row < 0 || row >= 32)
            {
                continue;
            }
            const float* const from =
                m_set.x.data() + from_row * 3072 + line / 32 * 1024 + row * 32;
            const index_t first = std::max<index_t>(right, 0);
            const index_t last = std::min<index_t>(32 + right, 32);
            for (index_t c = first; c < last; ++c)
            {
                image[line * 32 + c] = from[mirrored ? 31 - (c - right) : c - right];
            }
        }
    }

    const photographs& m_set;
    index_t m_n;
    index_t m_move;
    index_t m_variants;
    decltype(nn::pack(std::declval<const resnet&>())) m_teacher;
    tensor<float, 2> m_logits;
    std::vector<std::uint8_t> m_known;
};

/// What `train::fit` takes: a dataset that can be copied.
struct lessons
{
    using batch_type = taught_photographs::batch_type;

    taught_photographs* source;

    index_t size() const noexcept
    {
        return source->size();
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        source->gather(rows, into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const
    {
        source->gather(rows, into, rng);
    }
};

/// Percent of the images first .. last - 1 that are right.
template <class Network>
double right_photographs(const Network& net, const photographs& set, index_t first, index_t last)
{
    const auto all = train::labelled(set.x, set.labels);
    train::accuracy metric;
    return 100 * train::evaluate(net, train::range(all, first, last), metric)[0];
}

using normed_resnet = decltype(with_batch_norm(std::declval<const resnet&>()));

/// Calls `report(network, epoch, loss)` at the end of every epoch.
template <class Report>
struct epoch_report
{
    const Report* report;

    template <class Context>
    void on_epoch_end(Context& at)
    {
        (*report)(std::as_const(at.network), at.record->epoch, at.record->loss);
    }
};

/// Removes filters of every layer by score, in rounds. `report(network, epoch, loss)` is called
/// after every epoch.
template <class Report>
auto narrow_resnet(const resnet& teacher, const photographs& set, taught_photographs& taught,
    const resnet_settings& how, random_engine& rng, const Report& report)
{
    const shape<4> sample{1, 3, 32, 32};
    const lessons data{&taught};
    const distilled loss{.temperature = how.temperature, .share = 1};
    const index_t n = taught.size();
    const auto clean = as_view(set.x).slice(0, std::min<index_t>(n, 1000));
    const index_t steps = (n + how.batch - 1) / how.batch;
    normed_resnet net = with_batch_norm(teacher);
    start_norms(net, clean);
    const std::vector<index_t> before = prune::prunable_units(net, sample);
    for (index_t round = 1; round <= how.rounds; ++round)
    {
        const prune::optimal_brain_damage criterion;
        const auto seen = prune::observe(
            std::as_const(net), data, loss, criterion, {.samples = how.samples}, rng);
        const auto scores =
            prune::score_units(net, sample, prune::score_rows(net, criterion, seen));
        prune::kept_units kept = prune::all_units(net, sample);
        for (std::size_t list = 0; list < kept.size(); ++list)
        {
            const double left =
                1 - how.sparsity * static_cast<double>(round) / static_cast<double>(how.rounds);
            keep_best(kept[list], scores.values[list],
                std::lround(left * static_cast<double>(before[list])));
        }
        net = prune::compact(std::move(net), sample, kept);
        const bool last = round == how.rounds;
        const index_t epochs = last ? how.last_epochs : how.round_epochs;
        const auto rate = train::per_batch(schedule::cosine_decay{
            .rate = how.rate, .final_rate = last ? 0.0 : how.rate, .steps = epochs * steps});
        epoch_report<Report> watch{&report};
        train::fit(net, data, loss, optim::adam{.rate = how.rate},
            {.epochs = epochs, .batch = how.batch}, rng, rate, watch);
    }
    // With the running averages: those of images that are not moved are others, and cost 2.5 points.
    return nn::fold_batch_norm(net);
}

/// Sets the columns of times in the rows of the dense network and of the narrow one.
template <class Small>
void put_times(nlohmann::ordered_json& rows, const resnet& dense, const Small& small)
{
    for (const index_t batch : {1, 64})
    {
        const shape<4> in{batch, 3, 32, 32};
        const auto times =
            time_in_turns(timed_network(nn::pack(dense), in), timed_network(nn::pack(small), in));
        const std::string column = "us, batch " + std::to_string(batch);
        rows[0][column] = with_digits(times.first);
        rows[1][column] =
            with_digits(times.second) + " (" + with_digits(times.first / times.second, "x") + ")";
    }
}

/// The dense network with the first half of the filters of every list: as wide as the narrow one.
inline resnet half_as_wide(const resnet& dense)
{
    const shape<4> sample{1, 3, 32, 32};
    prune::kept_units kept = prune::all_units(dense, sample);
    for (std::size_t list = 0; list < kept.size(); ++list)
    {
        kept[list].resize(kept[list].size() / 2);
    }
    return prune::compact(resnet(dense), sample, kept);
}

/// The rows of the table; images first .. last - 1 of `test` are what is measured.
inline nlohmann::ordered_json resnet_rows(const resnet& dense, const photographs& train, index_t n,
    const photographs& test, index_t first, index_t last, const resnet_settings& how,
    std::uint64_t seed)
{
    random_engine rng(seed);
    taught_photographs taught(train, n, dense, how.move, how.variants);
    const auto small = narrow_resnet(dense, train, taught, how, rng,
        [](const auto&, index_t epoch, double loss)
        {
            std::printf("epoch %d: loss %.4f\n", static_cast<int>(epoch), loss);
            std::fflush(stdout);
        });
    const auto row = [&](const std::string& name, const auto& net)
    {
        const shape<4> sample{1, 3, 32, 32};
        std::string widths;
        for (const index_t units : prune::prunable_units(net, sample))
        {
            widths += (widths.empty() ? "" : "-") + std::to_string(units);
        }
        return nlohmann::ordered_json{{"network", name}, {"filters", widths},
            {"parameters", nn::parameter_count(net)}, {"bytes", 4 * nn::parameter_count(net)},
            {"MFLOPs", with_digits(2e-6 * static_cast<double>(nn::multiply_adds(net, sample)))},
            {"right %", with_digits(right_photographs(net, test, first, last))}};
    };
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    rows.push_back(row("dense, published", dense));
    rows.push_back(row("half the filters", small));
    put_times(rows, dense, small);
    return rows;
}

} // namespace prune_results
