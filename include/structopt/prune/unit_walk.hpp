/// @file
/// The walk that finds the units of a network, and what removed ones leave to the biases of others.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/prune/unit_graph.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

namespace detail
{

/// The units of a tensor on their way: one sample's extents, a label or unit per position of axis 1,
/// and what the removed units are worth there.
template <class T, std::size_t N>
struct traced_units
{
    shape<N> extents{};
    std::vector<index_t> units;
    tensor<T, N> constant;
    /// Whether removed units are zero; `constant` is empty then.
    bool zero = true;
};

template <class T>
bool all_zero(const T* values, index_t n) noexcept
{
    return std::all_of(values, values + n,
        [](T value)
        {
            return structopt::detail::is_zero(value);
        });
}

/// Walks the layers of a network. First to find its units; then, once it is known which go, to find
/// out what they leave to the biases of others.
template <class T>
class unit_walk
{
public:
    explicit unit_walk(unit_graph& graph)
        : m_graph(graph)
    {
    }

    /// Finds the units. `inputs`: whether features of the input are units, too.
    template <class Network, std::size_t N>
    void find(const Network& network, const shape<N>& sample, bool inputs)
    {
        detail::list_layers(network, nullptr, m_names);
        traced_units<T, N> in;
        in.extents = sample;
        in.extents[0] = 1;
        in.units = make(sample[1]);
        const std::vector<index_t> input = in.units;
        if (!inputs)
        {
            pin(input);
        }
        const auto out = (*this)(network, std::as_const(in));
        pin(out.units);
        number(input, inputs);
    }

    /// What the units that go leave to biases: one list per record, empty where it is nothing. Units
    /// whose constant no bias can take are marked in `stuck`, or, without `stuck`, an error.
    template <class Network, std::size_t N>
    std::vector<std::vector<T>> fold(const Network& network, const shape<N>& sample,
        const unit_removal& removal, std::vector<std::uint8_t>* stuck)
    {
        m_removal = &removal;
        m_stuck = stuck;
        m_folds.assign(m_graph.records.size(), {});
        traced_units<T, N> in;
        in.extents = sample;
        in.extents[0] = 1;
        in.units = m_graph.input;
        (*this)(network, std::as_const(in));
        m_removal = nullptr;
        return std::move(m_folds);
    }

    /// The units behind a layer.
    template <class L, std::size_t N>
    auto operator()(const L& layer, const traced_units<T, N>& in)
    {
        if constexpr (requires { layer.walk_units(*this, in); })
        {
            return layer.walk_units(*this, in);
        }
        else
        {
            return m_removal == nullptr ? trace(layer, in) : pass_constant(layer, in);
        }
    }

    /// The units of a sum.
    template <std::size_t N>
    traced_units<T, N> sum(traced_units<T, N> a, const traced_units<T, N>& b)
    {
        if (m_removal == nullptr)
        {
            for (std::size_t i = 0; i < a.units.size(); ++i)
            {
                m_labels.unite(a.units[i], b.units[i]);
            }
        }
        else if (a.zero)
        {
            a.constant = b.constant;
            a.zero = b.zero;
        }
        else if (!b.zero)
        {
            for (index_t i = 0; i < size_of(a.constant); ++i)
            {
                a.constant.data()[i] += b.constant.data()[i];
            }
        }
        return a;
    }

    /// The units of two tensors side by side.
    template <std::size_t N>
    traced_units<T, N> join(const traced_units<T, N>& a, const traced_units<T, N>& b)
    {
        traced_units<T, N> both;
        both.extents = a.extents;
        both.extents[1] += b.extents[1];
        both.units = a.units;
        both.units.insert(both.units.end(), b.units.begin(), b.units.end());
        both.zero = a.zero && b.zero;
        if (!both.zero)
        {
            both.constant = structopt::zeros<T>(both.extents);
            if (!a.zero)
            {
                std::copy_n(a.constant.data(), count(a.extents), both.constant.data());
            }
            if (!b.zero)
            {
                std::copy_n(
                    b.constant.data(), count(b.extents), both.constant.data() + count(a.extents));
            }
        }
        return both;
    }

private:
    static constexpr index_t none = -1;

    std::vector<index_t> make(index_t n)
    {
        return m_labels.make(n);
    }

    void pin(const std::vector<index_t>& labels)
    {
        m_pinned.insert(m_pinned.end(), labels.begin(), labels.end());
    }

    /// Unites position j of every group.
    void tie(const std::vector<index_t>& labels, index_t groups)
    {
        const std::size_t block = labels.size() / static_cast<std::size_t>(groups);
        for (std::size_t i = block; i < labels.size(); ++i)
        {
            m_labels.unite(labels[i], labels[i % block]);
        }
    }

    template <class L, std::size_t N>
    auto trace(const L& layer, const traced_units<T, N>& in)
    {
        using traits = nn::layer_traits<L>;
        const auto extents = traits::output_shape(layer, in.extents);
        constexpr std::size_t rank = std::tuple_size_v<decltype(extents)>;
        static_assert(N >= 2 && rank >= 2, "units lie along axis 1");
        traced_units<T, rank> out;
        out.extents = extents;
        const auto key = nn::layer_identity::of(layer);
        const auto name = std::find_if(m_names.begin(), m_names.end(),
            [&](const named_layer& each)
            {
                return each.key == key;
            });
        unit_record record;
        record.key = key;
        record.name = name != m_names.end() ? name->name : "";
        record.in = in.units;
        record.coupling = traits::unit_coupling(layer, in.extents);
        // A layer that `children` do not show cannot be changed.
        if (name == m_names.end() || (record.coupling == nn::coupling::mixes && !nn::selectable<L>))
        {
            record.coupling = nn::coupling::blocks;
        }
        const index_t width = extents[1];
        if (record.coupling == nn::coupling::mixes)
        {
            record.producer = row_weighted<L>;
            record.groups = traits::unit_groups(layer);
            tie(in.units, record.groups);
            record.out = make(width);
            tie(record.out, record.groups);
            if (!record.producer)
            {
                pin(record.out);
            }
        }
        else if (record.coupling != nn::coupling::blocks)
        {
            record.out = passed(layer, in, width);
            if (record.coupling == nn::coupling::normalizes)
            {
                m_normalized.insert(m_normalized.end(), in.units.begin(), in.units.end());
            }
        }
        if (static_cast<index_t>(record.out.size()) != width)
        {
            record.coupling = nn::coupling::blocks;
        }
        if (record.coupling == nn::coupling::blocks)
        {
            pin(in.units);
            record.out = make(width);
            pin(record.out);
        }
        out.units = record.out;
        for (unit_record& before : m_graph.records)
        {
            if (before.key == key)
            {
                before.shared = true;
                unite(before.in, record.in);
                unite(before.out, record.out);
                return out;
            }
        }
        m_graph.records.push_back(std::move(record));
        return out;
    }

    void unite(const std::vector<index_t>& a, const std::vector<index_t>& b)
    {
        for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
        {
            m_labels.unite(a[i], b[i]);
        }
    }

    /// The labels behind a layer that lets units pass; an empty list where it leaves some out.
    template <class L, std::size_t N>
    std::vector<index_t> passed(const L& layer, const traced_units<T, N>& in, index_t width)
    {
        if constexpr (requires { layer.map_units(std::span<const index_t>{}, in.extents); })
        {
            std::vector<index_t> out(static_cast<std::size_t>(width), none);
            for (std::size_t i = 0; i < in.units.size(); ++i)
            {
                const index_t unit[1] = {static_cast<index_t>(i)};
                for (const index_t to : layer.map_units(std::span<const index_t>(unit), in.extents))
                {
                    out[static_cast<std::size_t>(to)] = in.units[i];
                }
            }
            if (std::find(out.begin(), out.end(), none) != out.end())
            {
                out.clear();
            }
            return out;
        }
        else
        {
            return in.units;
        }
    }

    /// Numbers the units: those of the input first, then layer by layer.
    void number(const std::vector<index_t>& input, bool inputs)
    {
        std::vector<index_t> unit_of(m_labels.size(), none);
        std::vector<std::uint8_t> stays(m_labels.size(), 0);
        const auto root = [this](index_t label)
        {
            return static_cast<std::size_t>(m_labels.root(label));
        };
        // What a normalization sees of a removed input feature is not zero.
        std::vector<std::uint8_t> normalized(m_labels.size(), 0);
        for (const index_t label : m_normalized)
        {
            normalized[root(label)] = 1;
        }
        for (const index_t label : input)
        {
            stays[root(label)] = normalized[root(label)];
        }
        for (const index_t label : m_pinned)
        {
            stays[root(label)] = 1;
        }
        const auto list = [&](const std::string& name, const std::vector<index_t>& labels)
        {
            unit_range range{name, m_graph.units, 0};
            for (const index_t label : labels)
            {
                const std::size_t r = root(label);
                if (stays[r] == 0 && unit_of[r] == none)
                {
                    unit_of[r] = m_graph.units++;
                    ++range.units;
                }
            }
            if (range.units > 0)
            {
                m_graph.ranges.push_back(std::move(range));
            }
        };
        if (inputs)
        {
            list("input", input);
            m_graph.input_units = m_graph.units;
        }
        for (const unit_record& record : m_graph.records)
        {
            if (record.producer)
            {
                list(record.name, record.out);
            }
        }
        const auto rename = [&](std::vector<index_t>& labels)
        {
            for (index_t& label : labels)
            {
                label = unit_of[root(label)];
            }
        };
        for (unit_record& record : m_graph.records)
        {
            rename(record.in);
            rename(record.out);
        }
        m_graph.input = input;
        rename(m_graph.input);
    }

    template <class L, std::size_t N>
    auto pass_constant(const L& layer, const traced_units<T, N>& in)
    {
        const auto extents = nn::layer_traits<L>::output_shape(layer, in.extents);
        traced_units<T, std::tuple_size_v<decltype(extents)>> out;
        out.extents = extents;
        const unit_record* const found = m_graph.find(nn::layer_identity::of(layer));
        if (found == nullptr)
        {
            out.units.assign(static_cast<std::size_t>(extents[1]), none);
            return out;
        }
        const unit_record& record = *found;
        out.units = record.out;
        switch (record.coupling)
        {
        case nn::coupling::mixes:
            if constexpr (nn::selectable<L>)
            {
                fold_into(layer, record, in);
            }
            break;
        case nn::coupling::normalizes:
            if (!in.zero)
            {
                reject(layer, record, in, "a feature that is zero", "a constant");
            }
            break;
        case nn::coupling::passes:
            if (m_removal->removes_any(record.out))
            {
                pass_through(layer, record, in, out);
            }
            break;
        case nn::coupling::blocks:
            break;
        }
        return out;
    }

    template <class L, std::size_t N, std::size_t M>
    void pass_through(const L& layer, const unit_record& record, const traced_units<T, N>& in,
        traced_units<T, M>& out)
    {
        const auto before = in.zero ? structopt::zeros<T>(in.extents) : in.constant;
        bool done = false;
        if constexpr (unit_owner<L>)
        {
            if (m_removal->becomes == removed_unit::zero)
            {
                L masked = layer;
                detail::clear_units(masked, record, *m_removal);
                out.constant = nn::forward(masked, before);
                done = true;
            }
        }
        if (!done)
        {
            out.constant = nn::forward(layer, before);
        }
        clear_kept(out);
    }

    /// Leaves the removed units alone, those of the input excepted: nobody looks at them.
    template <std::size_t N>
    void clear_kept(traced_units<T, N>& at)
    {
        const index_t block = size_of(at.constant) / at.extents[1];
        for (index_t i = 0; i < at.extents[1]; ++i)
        {
            const index_t unit = at.units[static_cast<std::size_t>(i)];
            if (!m_removal->removes(unit) || unit < m_graph.input_units)
            {
                std::fill_n(at.constant.data() + i * block, block, T(0));
            }
        }
        at.zero = detail::all_zero(at.constant.data(), size_of(at.constant));
    }

    /// Notes what the removed inputs of a layer add to its bias.
    template <class L, std::size_t N>
    void fold_into(const L& layer, const unit_record& record, const traced_units<T, N>& in)
    {
        if (in.zero)
        {
            return;
        }
        const char* const expected = "a contribution of zero, or a constant that the bias can take";
        if (record.shared)
        {
            reject(layer, record, in, expected, "a layer that is used more than once");
            return;
        }
        if constexpr (requires { layer.bias.data(); })
        {
            if (size_of(layer.bias) == layer.outputs())
            {
                if (!fold_biased(layer, record, in))
                {
                    reject(layer, record, in, expected,
                        "a contribution that depends on the position (zero padding)");
                }
                return;
            }
        }
        reject(layer, record, in, expected, "a layer without bias");
    }

    template <class L, std::size_t N>
    bool fold_biased(const L& layer, const unit_record& record, const traced_units<T, N>& in)
    {
        // The part of the layer that takes the removed units; it alone, so that kept weights are
        // not read.
        std::vector<index_t> gone;
        for (std::size_t i = 0; i < in.units.size(); ++i)
        {
            if (m_removal->removes(in.units[i]))
            {
                gone.push_back(static_cast<index_t>(i));
            }
        }
        L part = layer.select_inputs(gone);
        std::fill_n(part.bias.data(), part.bias.size(), T(0));
        const index_t window = size_of(in.constant) / in.extents[1];
        auto extents = in.extents;
        extents[1] = static_cast<index_t>(gone.size());
        auto constant = structopt::zeros<T>(extents);
        for (std::size_t i = 0; i < gone.size(); ++i)
        {
            std::copy_n(in.constant.data() + gone[i] * window, window,
                constant.data() + static_cast<index_t>(i) * window);
        }
        const auto with = nn::forward(part, constant);
        const auto without = nn::forward(part, structopt::zeros<T>(extents));
        const index_t units = shape_of(with)[1];
        const index_t block = size_of(with) / units;
        // Positions may differ by the order of summation, but not by a padded border.
        T largest = 0;
        for (index_t i = 0; i < size_of(with); ++i)
        {
            largest = std::max(largest, std::abs(with.data()[i]));
        }
        const T tolerance = 64 * std::numeric_limits<T>::epsilon() * largest;
        std::vector<T> added;
        for (index_t u = 0; u < units; ++u)
        {
            const T* const values = with.data() + u * block;
            for (index_t i = 0; i < block; ++i)
            {
                if (!(std::abs(values[i] - values[0]) <= tolerance))
                {
                    return false;
                }
            }
            added.push_back(values[0] - without.data()[u * block]);
        }
        m_folds[static_cast<std::size_t>(&record - m_graph.records.data())] = std::move(added);
        return true;
    }

    /// Removed units with a constant that nothing can take.
    template <class L, std::size_t N>
    void reject(const L&, const unit_record& record, const traced_units<T, N>& in,
        const char* expected, const char* found)
    {
        if (m_stuck == nullptr)
        {
            structopt::detail::raise<argument_error>("input of a removed unit, " +
                                                         std::string(nn::layer_traits<L>::name()) +
                                                         " '" + record.name + "'",
                expected, found);
        }
        const index_t block = size_of(in.constant) / in.extents[1];
        for (index_t i = 0; i < in.extents[1]; ++i)
        {
            const index_t unit = in.units[static_cast<std::size_t>(i)];
            if (unit >= 0 && !detail::all_zero(in.constant.data() + i * block, block))
            {
                (*m_stuck)[static_cast<std::size_t>(unit)] = 1;
            }
        }
    }

    unit_graph& m_graph;
    std::vector<named_layer> m_names;
    label_sets m_labels;
    std::vector<index_t> m_pinned;
    std::vector<index_t> m_normalized;
    const unit_removal* m_removal = nullptr;
    std::vector<std::uint8_t>* m_stuck = nullptr;
    std::vector<std::vector<T>> m_folds;
};

/// The units of a network.
template <class Network, std::size_t N>
unit_graph find_units(const Network& network, const shape<N>& sample, bool inputs)
{
    using T = nn::value_type<Network>;
    unit_graph graph;
    static_cast<void>(nn::output_shape(network, sample));
    if constexpr (!std::is_void_v<T>) // activations alone have none
    {
        unit_walk<T>(graph).find(network, sample, inputs);
    }
    return graph;
}

/// Calls `f(layer, record)` for every layer of a network that the walk met.
template <class L, class F>
void for_each_record(L& layer, const unit_graph& graph, const F& f)
{
    if (const unit_record* const record = graph.find(nn::layer_identity::of(std::as_const(layer))))
    {
        f(layer, *record);
        return;
    }
    if constexpr (nn::has_children<L>)
    {
        std::remove_const_t<L>::children(layer,
            [&](std::string_view, auto& child)
            {
                detail::for_each_record(child, graph, f);
            });
    }
}

/// Units that cannot go although they could as far as their layers are concerned.
template <class Network, std::size_t N>
std::vector<std::uint8_t> find_stuck(
    const Network& network, const shape<N>& sample, unit_graph& graph, removed_unit becomes)
{
    std::vector<std::uint8_t> stuck(static_cast<std::size_t>(graph.units), 0);
    if (graph.units > 0)
    {
        unit_removal all;
        all.becomes = becomes;
        all.gone.assign(stuck.size(), 1);
        unit_walk<nn::value_type<Network>>(graph).fold(network, sample, all, &stuck);
    }
    return stuck;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
