// Pruning, measured: LeNets at four sparsities by six methods beside published numbers, and a stream of
// digits whose distribution changes, and networks that lose inputs, units and filters.
//
//     results_prune [--out FOLDER] [--stages A,B,...] [--validate] [--quick]
//
// One thread, whatever OMP_NUM_THREADS says. Stages may be named by their beginning; times-resnet8
// measures the times of that table again, and nothing else.
// Without --stages everything runs; else the rows of the other stages stay as they are in FOLDER.
// --validate trains on the first 50,000 images and measures on the other 10,000 of the training set:
// the settings below were chosen that way. Without it all 60,000 are trained on, and the test set is
// read once for every network in the table. --quick: a few images and epochs, to see that it runs.

#include "prune_drift.hpp"
#include "prune_methods.hpp"
#include "prune_resnet.hpp"
#include "prune_structure.hpp"
#include "prune_structured.hpp"
#include "prune_table.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cmath>
#include <ctime>
#include <exception>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using namespace structopt;
using namespace prune_results;

namespace
{

struct arguments
{
    std::vector<std::string> stages; ///< empty: all
    bool validate = false;
    bool quick = false;

    arguments(int argc, char** argv)
    {
        for (int i = 1; i < argc; ++i)
        {
            const std::string word = argv[i];
            validate = validate || word == "--validate";
            quick = quick || word == "--quick";
            if (word == "--stages" && i + 1 < argc)
            {
                std::stringstream list(argv[i + 1]);
                for (std::string stage; std::getline(list, stage, ',');)
                {
                    stages.push_back(stage);
                }
            }
        }
    }

    bool wants(const std::string& stage) const
    {
        return stages.empty() || std::any_of(stages.begin(), stages.end(),
                                     [&](const std::string& prefix)
                                     {
                                         return stage.compare(0, prefix.size(), prefix) == 0;
                                     });
    }
};

struct mnist
{
    data::samples train;
    data::samples test;
};

double rounded(double value, double parts)
{
    return std::round(value * parts) / parts;
}

double seconds_since(std::clock_t start)
{
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

const char* const lenets_text =
    "Zeros among the weights (biases stay), exact; errors of 10,000 test images, mean and worst "
    "of 3 seeds. Scores are compared over the whole network; the levels of a method lie on one "
    "way, but for SNIP and RigL, which start anew for each. Published: zeros and error of the "
    "method's own paper, as in Lee et al., \"SNIP\", 2019, table 1; those count zeros, too, and "
    "trained longer. Batches of 64, a cosine to 0 at every level. LeNet-300-100: momentum 0.9, "
    "weight decay. LeNet-5 has a small and equal budget: Adam, 3 epochs at 1e-3 for the dense "
    "network all methods start with (5 in its own row), then at 2e-3 1 epoch at 90 and 95 %, 2 at "
    "98 and 99 %, in SNIP and RigL 3 per level; only magnitude at 99.1 % goes on for 16. It is "
    "trained on images moved by up to one pixel in both directions, the published ones were not; "
    "LeNet-300-100 is not. Chosen by the last 10,000 training images with one seed: for "
    "LeNet-300-100 rates, epochs and decay of iterative magnitude and of splicing; for LeNet-5 "
    "optimizer, rate, and cuts in rounds without a teacher (0.92 % at 99.1 % after 12 epochs; one "
    "gradual cut 1.03 %, distillation 1.07 %, twice the rate 1.04 %), not the epochs, which are "
    "what time allowed. The other methods take the settings of magnitude. The networks of the "
    "table saw all 60,000, the test set was read once per row and seed for these settings (and "
    "once for earlier ones of LeNet-5, which got 1.00 % at 99.1 %). A method that is missing has "
    "not been measured yet.";
const char* const structured_text =
    "784-300-100-10 on MNIST loses inputs (pixels), and units of both hidden layers, in 50 rounds "
    "down to 97-71-33, each list by the same ratio per round: lowest magnitude first, an epoch of "
    "training after each round under a group lasso over columns (3e-4, 10 epochs before the first "
    "round), at the end 250 epochs without it. Adam, batch 64, 1e-3, at the end down to 0 along a "
    "cosine; towards the logits of the dense network alone (temperature 2). Both networks are "
    "trained on images moved by up to one pixel in both directions; how the published ones were "
    "trained is in their papers. Settings were chosen by the last 10,000 training images with one "
    "seed; the networks of the table saw all 60,000. Errors of 10,000 test images, read once per "
    "seed, mean and worst of 3 seeds. KFLOPs count two per multiply-add. Times: processor time of "
    "one thread, microseconds per batch, packed weights, medians of 21 in turns; in brackets how "
    "many times as fast as the dense network. Published: Evci et al., \"Rigging the Lottery\", "
    "2020, table 2.";
const char* const structure_text =
    "What to do with a quarter of the multiply-adds: the filters of a trained network that matter "
    "least removed, or networks that are cheaper by design, trained from random weights. All have "
    "two convolutions with a relu behind each and a dense layer; all but the first have 263,680 "
    "multiply-adds, 3 % more or less. Removed: filters whose loss by optimal brain damage is "
    "lowest "
    "for the multiply-adds that they take, within a budget of multiply-adds, after 3 of the 6 "
    "epochs. First 30,000 training images, moved by up to one pixel in both directions, Adam, "
    "2e-3 down to 0 along a cosine (twice for the pruned network), batches of 64: fixed "
    "beforehand, nothing was chosen by a result. Errors of 10,000 test images, mean and worst of 3 "
    "seeds; of the pruned networks, the filters of all three and mean parameters and "
    "multiply-adds. "
    "Training: processor seconds of one thread, mean of the seeds. Times of a forward pass: "
    "processor time of one thread, microseconds per batch, packed weights, medians of 21 in turns "
    "with the first network; in brackets how many times as fast. Equal multiply-adds are not equal "
    "time.";
const char* const resnet_text =
    "The network of MLPerf Tiny (batch norm folded in; its authors trained it on all of CIFAR-10) "
    "loses half of the filters of every layer, those that residual sums unite together, in 8 "
    "rounds by optimal brain damage, with an epoch of fine-tuning after each and 120 at the end. "
    "For training, every convolution gets a batch norm that first changes nothing and is folded in "
    "again at the end. Adam, 3e-3 down to 0 along a cosine, batches of 64, towards the logits of "
    "the dense network (temperature 2), on 10,000 training images, each in 32 ways moved by up to "
    "4 pixels and mirrored at random. Rate, rounds and batch norm were chosen from a few by the "
    "last 1,000 of them (which the published network has seen, so that they tell less than test "
    "images); the table's network saw all, one seed. Right: of the first 1,000 test "
    "images, read once for these settings (and before for others: 73.4 without batch norm, 76.0 "
    "with "
    "averages that were measured once more on images that are not moved, which on the validation "
    "images cost 2.5 points). Filters: of each group that leaves together. MFLOPs count two per "
    "multiply-add of one image. Times: processor time of one thread, microseconds per batch, "
    "packed weights, medians of 21 in turns; in brackets how many times as fast as the dense "
    "network.";

/// Published pairs of zeros and error in percent; Lee et al., "SNIP", 2019, table 1.
using published = std::map<std::string, std::string>;

const published published_300{{"magnitude", "LWC 91.7: 1.6"}, {"splicing", "DNS 98.2: 2.0"},
    {"snip", "SNIP 95: 1.6, 98: 2.4"}, {"obd", "OBD 92: 2.0"}, {"l-obs", "L-OBS 98.5: 2.0"}};
const published published_5{{"magnitude", "LWC 91.7: 0.8"}, {"splicing", "DNS 99.1: 0.9"},
    {"snip", "SNIP 98: 0.8, 99: 1.1"}, {"obd", "OBD 92: 2.7"}, {"l-obs", "L-OBS 99: 2.1"}};

template <class Kind>
void lenet_stages(tables& out, const arguments& how, const mnist& sets, const std::string& prefix,
    settings base, const std::map<std::string, settings>& own, const published& papers)
{
    using experiment_type = experiment<Kind>;
    using network_type = typename experiment_type::network_type;
    using method_type = std::pair<std::string, std::vector<level_result> (experiment_type::*)()>;
    const method_type methods[] = {{"dense", &experiment_type::baseline},
        {"magnitude", &experiment_type::magnitude}, {"obd", &experiment_type::brain_damage},
        {"l-obs", &experiment_type::layerwise_obs}, {"splicing", &experiment_type::splicing},
        {"snip", &experiment_type::snip}, {"rigl", &experiment_type::rigl}};
    const auto all = labelled<Kind>(sets.train);
    const index_t n = all.size();
    const index_t split = how.validate ? n * 5 / 6 : n;
    const typename experiment_type::measure_type measure = [&](const network_type& net)
    {
        train::accuracy metric;
        return 100 *
               (1 - (how.validate ? train::evaluate(net, train::range(all, split, n), metric)
                                  : train::evaluate(net, labelled<Kind>(sets.test), metric))[0]);
    };
    const std::vector<std::uint64_t> seeds = how.quick      ? std::vector<std::uint64_t>{1}
                                             : how.validate ? std::vector<std::uint64_t>{100}
                                                            : std::vector<std::uint64_t>{1, 2, 3};
    // Methods of equal settings start with the same dense networks.
    std::map<std::string, typename experiment_type::start> starts;
    for (const auto& [name, method] : methods)
    {
        const std::string stage = prefix + "-" + name;
        if (!how.wants(stage))
        {
            out.keep(stage);
            continue;
        }
        const auto found = own.find(name);
        settings chosen = found == own.end() ? base : found->second;
        if (how.quick)
        {
            chosen.levels = chosen.separate = {0.9, 0.95};
            chosen.dense_epochs = chosen.level_epochs = chosen.early_epochs = 1;
            chosen.separate_epochs = 1;
            chosen.last_epochs = 0;
            chosen.round = 0.3;
        }
        const std::clock_t start = std::clock();
        std::vector<std::vector<level_result>> runs;
        for (const std::uint64_t seed : seeds)
        {
            experiment_type experiment({&sets.train, split, chosen.move}, measure, chosen, seed);
            std::ostringstream key;
            key << seed << ' ' << chosen.dense_epochs << ' ' << chosen.start_rate() << ' '
                << chosen.weight_decay;
            experiment.share(starts[key.str()]);
            runs.push_back((experiment.*method)());
        }
        nlohmann::ordered_json rows = nlohmann::ordered_json::array();
        const auto paper = papers.find(name);
        for (std::size_t level = 0; level < runs[0].size(); ++level)
        {
            double mean = 0;
            double worst = 0;
            for (const auto& run : runs)
            {
                mean += run[level].error / static_cast<double>(runs.size());
                worst = std::max(worst, run[level].error);
            }
            rows.push_back({{"network", Kind::name}, {"method", name},
                {"zeros %", rounded(100 * runs[0][level].sparsity, 100)},
                {"weights left", runs[0][level].kept}, {"error %", rounded(mean, 100)},
                {"worst %", rounded(worst, 100)},
                {"published: zeros %: error %", paper == papers.end() ? "" : paper->second}});
        }
        out.put(stage, std::move(rows), rounded(seconds_since(start), 1));
    }
}

void drift_stages(tables& out, const arguments& how, const mnist& sets)
{
    const index_t batches = how.quick ? 20 : 400;
    const std::pair<std::string, drift_method> methods[] = {{"dense", drift_method::dense},
        {"static", drift_method::static_mask}, {"rigl", drift_method::rigl}};
    for (const auto& [name, method] : methods)
    {
        const std::string stage = "drift-" + name;
        if (!how.wants(stage))
        {
            out.keep(stage);
            continue;
        }
        const std::clock_t start = std::clock();
        const std::vector<std::uint64_t> seeds =
            how.quick ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{1, 2, 3};
        nlohmann::ordered_json rows = nlohmann::ordered_json::array();
        for (const double sparsity : {0.98, 0.99})
        {
            std::vector<double> mean(phases.size() * 4, 0.0);
            std::vector<double> worst(phases.size() * 4, 1.0);
            for (const std::uint64_t seed : seeds)
            {
                const auto right =
                    run_drift(sets.train, sets.test, method, sparsity, batches, seed);
                for (std::size_t i = 0; i < mean.size(); ++i)
                {
                    mean[i] += right[i] / static_cast<double>(seeds.size());
                    worst[i] = std::min(worst[i], right[i]);
                }
            }
            nlohmann::ordered_json row{
                {"mask", name}, {"zeros %", method == drift_method::dense ? 0.0 : 100 * sparsity}};
            for (std::size_t phase = 0; phase < phases.size(); ++phase)
            {
                std::string cell;
                for (std::size_t i = 4 * phase; i < 4 * phase + 4; ++i)
                {
                    char text[16];
                    std::snprintf(
                        text, sizeof text, "%s%.1f", cell.empty() ? "" : " ", 100 * mean[i]);
                    cell += text;
                }
                char text[32];
                std::snprintf(text, sizeof text, " (%.1f)", 100 * worst[4 * phase + 3]);
                row[phases[phase]] = cell + text;
            }
            rows.push_back(std::move(row));
            if (method == drift_method::dense)
            {
                break;
            }
        }
        out.put(stage, std::move(rows), rounded(seconds_since(start), 1));
    }
}

void structured_stage(tables& out, const arguments& how, const mnist& sets)
{
    if (!how.wants("structured"))
    {
        out.keep("structured");
        return;
    }
    const std::clock_t start = std::clock();
    structured_settings chosen;
    if (how.quick)
    {
        chosen.dense_epochs = chosen.rounds = chosen.last_epochs = chosen.lasso_epochs = 2;
    }
    const index_t n = shape_of(sets.train.x)[0];
    const index_t split = how.validate ? n * 5 / 6 : n;
    auto rows = structured_rows(sets.train, split, how.validate ? sets.train : sets.test,
        how.validate ? split : 0, chosen,
        how.quick ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{1, 2, 3});
    out.put("structured", std::move(rows), rounded(seconds_since(start), 1));
}

void resnet_stage(tables& out, const arguments& how)
{
    const std::string models = results::environment("STRUCTOPT_MODELS_DIR");
    if (!how.wants("resnet8") || models.empty())
    {
        // Times do not depend on what a network has learned.
        nlohmann::ordered_json old = out.stage("resnet8");
        if (how.wants("times-resnet8") && !models.empty() && !old.is_null())
        {
            const auto dense = published_resnet(models);
            put_times(old["rows"], dense, half_as_wide(dense));
            out.put("resnet8", old["rows"], old["seconds"].get<double>());
            return;
        }
        out.keep("resnet8");
        return;
    }
    const std::clock_t start = std::clock();
    const std::string folder = results::environment("STRUCTOPT_DATA_DIR") + "/cifar10-subset";
    const auto training = read_photographs(folder + "/data_batch_1.bin.gz");
    const auto test = read_photographs(folder + "/test_first1000.bin.gz");
    resnet_settings chosen;
    index_t n = static_cast<index_t>(training.labels.size());
    if (how.quick)
    {
        chosen.rounds = chosen.last_epochs = 1;
        chosen.samples = 20;
        n = 200;
    }
    auto rows = how.validate
                    ? resnet_rows(published_resnet(models), training, n - 1000, training, n - 1000,
                          n, chosen, 100)
                    : resnet_rows(published_resnet(models), training, n, test, 0, 1000, chosen, 1);
    out.put("resnet8", std::move(rows), rounded(seconds_since(start), 1));
}

void structure_stage(tables& out, const arguments& how, const mnist& sets)
{
    if (!how.wants("structure-budget"))
    {
        out.keep("structure-budget");
        return;
    }
    const std::clock_t start = std::clock();
    structure_settings chosen;
    auto training = sets.train;
    if (how.quick)
    {
        chosen.epochs = 2;
        chosen.dense_epochs = 1;
        chosen.samples = 50;
    }
    else
    {
        training = first_samples(sets.train, 30000);
    }
    structure_experiment experiment(training, sets.test, chosen,
        how.quick ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{1, 2, 3});
    auto rows = experiment.rows();
    out.put("structure-budget", std::move(rows), rounded(seconds_since(start), 1));
}

} // namespace

int main(int argc, char** argv)
{
    try
    {
#ifdef _OPENMP
        omp_set_num_threads(1); // processor time would count those that wait
#endif
        const arguments how(argc, argv);
        const std::string folder = results::environment("STRUCTOPT_DATA_DIR") + "/mnist";
        mnist sets{data::mnist(folder, "train"), data::mnist(folder, "t10k")};
        if (how.quick)
        {
            sets = {first_samples(sets.train, 256), first_samples(sets.test, 100)};
        }
        tables out(results::output_folder(argc, argv));

        out.begin("LeNets on MNIST", lenets_text);
        const settings wide{.levels = {0.90, 0.95, 0.98, 0.982, 0.99},
            .separate = {0.90, 0.95, 0.98, 0.99},
            .rate = 0.2,
            .weight_decay = 2e-4};
        settings careful = wide;
        careful.rate = 0.03;
        careful.weight_decay = 5e-4;
        lenet_stages<lenet300>(
            out, how, sets, "lenet300", wide, {{"splicing", careful}}, published_300);
        const settings deep{.levels = {0.90, 0.95, 0.98, 0.99},
            .separate = {0.90, 0.95, 0.98, 0.99},
            .rate = 2e-3,
            .dense_rate = 1e-3,
            .weight_decay = 0,
            .dense_epochs = 3,
            .round = 0.1,
            .level_epochs = 2,
            .early_epochs = 1,
            .separate_epochs = 3,
            .move = 1};
        settings longer = deep;
        longer.levels.push_back(0.991);
        longer.last_epochs = 16;
        lenet_stages<lenet5>(out, how, sets, "lenet5", deep, {{"magnitude", longer}}, published_5);

        out.begin("A stream that drifts",
            "LeNet-300-100, pruned by magnitude on upright digits, then 400 batches of 64 images "
            "per phase, at one rate for all (0.05, too much for the dense network where nearly all "
            "inputs are 1). Right of 10,000 test images of the phase, in percent, after 100, 200, "
            "300 and 400 of its batches; mean of 3 seeds, in brackets the worst at the end of the "
            "phase. Moved: 7 pixels down and right, around the border. RigL moves a fifth of the "
            "weights every 20 batches: it is ahead where inputs come alive that the first mask has "
            "no weights for, and behind where the first mask still fits.");
        drift_stages(out, how, sets);

        out.begin("Inputs and units", structured_text);
        structured_stage(out, how, sets);

        out.begin("Structure at equal multiply-adds", structure_text);
        structure_stage(out, how, sets);

        out.begin("ResNet-8 with half its filters", resnet_text);
        resnet_stage(out, how);
        out.write();
        return 0;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "results_prune: %s\n", e.what());
        return 1;
    }
}
