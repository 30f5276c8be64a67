/// @file
/// Trainings in safetensors files: `save_checkpoint(path, net, run)` and `load_checkpoint`.
///
/// | name | what |
/// |---|---|
/// | `network.*` | the network, as `save_state` names it |
/// | `optimizer.<slot>.*` | the optimizer's slots, shaped like the network |
/// | `best.*` | the best network so far, where early stopping keeps one |
/// | `run.*` | numbers of the state, the random engine (4 words), the history |
///
/// The network of a checkpoint loads on its own: `load_state(net, path, {.prefix = "network.",
/// .ignore_unexpected = true})`.
#pragma once

#include <structopt/io/state.hpp>
#include <structopt/train/run_state.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Writes a network and the state of its training to a file, whole or not at all; returns the
/// file's size in bytes.
template <class Net, class ScheduleState>
std::size_t save_checkpoint(
    const std::string& path, const Net& network, const train::run_state<Net, ScheduleState>& run);

/// Restores what `save_checkpoint` wrote: `train::resume` then goes on bit for bit. Extents come
/// from the file, so the network may have been made smaller since it was built.
/// @throws format_error for a file that is none of a training of such a network, or damaged;
/// network and state are unchanged then.
template <class Net, class ScheduleState>
void load_checkpoint(
    const std::string& path, Net& network, train::run_state<Net, ScheduleState>& run);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline constexpr const char* checkpoint_key = "structopt.checkpoint";
inline constexpr const char* checkpoint_version = "1";

/// Columns of "run.history.epochs" before the measurements.
inline constexpr index_t record_columns = 6;

/// Adds one number: float64, or int64 for whole numbers and truths.
template <class Number>
void add_number(safetensors_writer& writer, const std::string& name, Number number)
{
    using stored = std::conditional_t<std::is_floating_point_v<Number>, double, std::int64_t>;
    const stored value = static_cast<stored>(number);
    writer.add(name, view<const stored, 1>(&value, shape<1>{1}));
}

template <class Number>
void read_number(const safetensors_file& file, const std::string& name, Number& number)
{
    using stored = std::conditional_t<std::is_floating_point_v<Number>, double, std::int64_t>;
    stored value{};
    file.read_into(name, std::span<stored>(&value, 1));
    number = static_cast<Number>(value);
}

/// A whole number that was stored as a double.
inline index_t whole(const safetensors_file& file, double value)
{
    constexpr double most = 9007199254740992.0; // 2^53
    if (!(value >= 0 && value <= most))
    {
        structopt::detail::raise<format_error>(file.name() + " tensor 'run.history.epochs'",
            "whole numbers that are not negative", std::to_string(value));
    }
    return static_cast<index_t>(value);
}

/// All names that epochs were measured under, in the order of their first appearance.
inline std::vector<std::string> measured_names(const train::history& history)
{
    std::vector<std::string> names;
    for (const auto& record : history.epochs)
    {
        for (const auto& one : record.measured)
        {
            if (std::find(names.begin(), names.end(), one.name) == names.end())
            {
                names.push_back(one.name);
            }
        }
    }
    return names;
}

/// One row per epoch: six numbers, then for every name whether it was measured, and what.
inline void add_history(safetensors_writer& writer, const train::history& history)
{
    const auto names = measured_names(history);
    const auto rows = static_cast<index_t>(history.epochs.size());
    const auto measured = static_cast<index_t>(names.size());
    auto table = structopt::zeros<double>(shape<2>{rows, record_columns + 2 * measured});
    for (index_t r = 0; r < rows; ++r)
    {
        const auto& record = history.epochs[static_cast<std::size_t>(r)];
        double* const row = table.data() + r * (record_columns + 2 * measured);
        row[0] = static_cast<double>(record.epoch);
        row[1] = record.loss;
        row[2] = record.penalty;
        row[3] = record.rate;
        row[4] = static_cast<double>(record.steps);
        row[5] = record.seconds;
        for (const auto& one : record.measured)
        {
            const auto at = std::find(names.begin(), names.end(), one.name) - names.begin();
            row[record_columns + 2 * at] = 1.0;
            row[record_columns + 2 * at + 1] = one.value;
        }
    }
    writer.add("run.history.epochs", table);
    for (std::size_t i = 0; i < names.size(); ++i)
    {
        writer.set_metadata("run.history.column." + std::to_string(i), names[i]);
    }
}

inline void read_history(const safetensors_file& file, train::history& history)
{
    const auto table = file.read<double, 2>("run.history.epochs");
    const auto extents = shape_of(table);
    const index_t measured = (extents[1] - record_columns) / 2;
    std::vector<std::string> names;
    for (index_t i = 0; i < measured; ++i)
    {
        const auto name = file.metadata().find("run.history.column." + std::to_string(i));
        if (name == file.metadata().end())
        {
            break;
        }
        names.push_back(name->second);
    }
    if (extents[1] != record_columns + 2 * static_cast<index_t>(names.size()))
    {
        structopt::detail::raise<format_error>(file.name() + " tensor 'run.history.epochs'",
            std::to_string(record_columns) + " columns and two for each of " +
                std::to_string(names.size()) + " named in the metadata",
            std::to_string(extents[1]));
    }
    history.epochs.clear();
    for (index_t r = 0; r < extents[0]; ++r)
    {
        const double* const row = table.data() + r * extents[1];
        train::epoch_record record;
        record.epoch = whole(file, row[0]);
        record.loss = row[1];
        record.penalty = row[2];
        record.rate = row[3];
        record.steps = whole(file, row[4]);
        record.seconds = row[5];
        for (std::size_t i = 0; i < names.size(); ++i)
        {
            const double* const pair = row + record_columns + 2 * static_cast<index_t>(i);
            if (pair[0] != 0.0)
            {
                record.measured.push_back({names[i], pair[1]});
            }
        }
        history.epochs.push_back(std::move(record));
    }
}

} // namespace detail

template <class Net, class ScheduleState>
std::size_t save_checkpoint(
    const std::string& path, const Net& network, const train::run_state<Net, ScheduleState>& run)
{
    safetensors_writer writer;
    writer.set_metadata(detail::checkpoint_key, detail::checkpoint_version);
    io::add_state(writer, network, "network.");
    for (std::size_t slot = 0; slot < run.optimizer.slots.size(); ++slot)
    {
        io::add_state(writer, run.optimizer.slots[slot], "optimizer." + std::to_string(slot) + ".");
    }
    detail::add_number(
        writer, "run.optimizer.slots", static_cast<index_t>(run.optimizer.slots.size()));
    detail::add_number(writer, "run.stopping.network", run.stopping.network.has_value());
    if (run.stopping.network.has_value())
    {
        io::add_state(writer, *run.stopping.network, "best.");
    }
    train::visit_numbers(run,
        [&](const std::string& name, const auto& number)
        {
            detail::add_number(writer, "run." + name, number);
        });
    const auto& words = run.rng.state();
    writer.add("run.rng", view<const std::uint64_t, 1>(words.data(), shape<1>{4}));
    detail::add_history(writer, run.history);
    return writer.write(path);
}

template <class Net, class ScheduleState>
void load_checkpoint(
    const std::string& path, Net& network, train::run_state<Net, ScheduleState>& run)
{
    const safetensors_file file(path);
    const auto version = file.metadata().find(detail::checkpoint_key);
    if (version == file.metadata().end() || version->second != detail::checkpoint_version)
    {
        structopt::detail::raise<format_error>(file.name(),
            "a checkpoint (metadata '" + std::string(detail::checkpoint_key) + "' of " +
                detail::checkpoint_version + ")",
            version == file.metadata().end() ? "none" : version->second);
    }
    Net loaded = network;
    train::run_state<Net, ScheduleState> state;
    io::load_state(loaded, file, {.prefix = "network.", .resize = true});
    index_t slots = 0;
    detail::read_number(file, "run.optimizer.slots", slots);
    if (slots < 0 || slots > static_cast<index_t>(optim::max_slots))
    {
        structopt::detail::raise<format_error>(file.name() + " tensor 'run.optimizer.slots'",
            "0 to " + std::to_string(optim::max_slots) + " slots", std::to_string(slots));
    }
    for (index_t slot = 0; slot < slots; ++slot)
    {
        state.optimizer.slots.push_back(loaded);
        io::load_state(state.optimizer.slots.back(), file,
            {.prefix = "optimizer." + std::to_string(slot) + "."});
    }
    bool best = false;
    detail::read_number(file, "run.stopping.network", best);
    if (best)
    {
        state.stopping.network = loaded;
        io::load_state(*state.stopping.network, file, {.prefix = "best.", .resize = true});
    }
    train::visit_numbers(state,
        [&](const std::string& name, auto& number)
        {
            detail::read_number(file, "run." + name, number);
        });
    std::array<std::uint64_t, 4> words{};
    file.read_into("run.rng", std::span<std::uint64_t>(words));
    if (words == std::array<std::uint64_t, 4>{})
    {
        structopt::detail::raise<format_error>(
            file.name() + " tensor 'run.rng'", "a word that is not 0", "four zeros");
    }
    state.rng.restore(words);
    detail::read_history(file, state.history);
    if (state.epoch < 0 || state.batch < 0 || state.samples < 0 || state.optimizer.step < 0)
    {
        structopt::detail::raise<format_error>(
            file.name(), "counts of a training that are not negative", "a negative one");
    }
    network = std::move(loaded);
    run = std::move(state);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
