/// @file
/// Masks in safetensors files: `save_mask(path, net, mask)` and `load_mask`; what splicing knows besides,
/// `save_splicing` and `load_splicing`.
///
/// | name | what |
/// |---|---|
/// | `keep.*` | BOOL of a weight's extents, one per parameter that is masked, under the parameter's name |
/// | `hidden.*` | F64 in a row: the values that splicing keeps of masked weights |
///
/// The zeros of a network tell less: a weight that stays may be zero, as RigL's are when they are new.
#pragma once

#include <structopt/io/safetensors.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/splicing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Writes a mask of a network to a file, whole or not at all; returns the file's size in bytes.
/// @throws shape_error for a mask of another network.
template <class Net>
std::size_t save_mask(const std::string& path, const Net& network, const prune::mask& m);

/// Reads what `save_mask` or `save_splicing` wrote.
/// @throws format_error for a file that holds no mask or other parameters' masks, shape_error where
/// they have other extents than the network's.
template <class Net>
prune::mask load_mask(const std::string& path, const Net& network);

/// Writes the state of a `prune::splicing`; as `save_mask`.
template <class Net>
std::size_t save_splicing(
    const std::string& path, const Net& network, const prune::splicing_state& state);

/// Reads what `save_splicing` wrote; as `load_mask`.
template <class Net>
prune::splicing_state load_splicing(const std::string& path, const Net& network);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline constexpr const char* mask_key = "structopt.mask";
inline constexpr const char* mask_version = "1";

/// A trainable parameter as files know it.
struct named_extents
{
    std::string name;
    std::vector<index_t> extents;
    std::size_t size = 0;
};

/// The trainable parameters, in the order of `nn::trainable_parameters`.
template <class Net>
std::vector<named_extents> trainable_extents(const Net& network)
{
    std::vector<named_extents> list;
    nn::visit_parameters(network,
        [&](const nn::parameter_name& name, const auto& parameter, nn::role kind)
        {
            if constexpr (nn::trainable_parameter<const std::remove_cvref_t<decltype(parameter)>>)
            {
                if (kind != nn::role::statistic)
                {
                    named_extents each{name.text(), {}, nn::trainable_values(parameter).size()};
                    if constexpr (requires { shape_of(parameter); })
                    {
                        const auto extents = shape_of(parameter);
                        each.extents.assign(extents.begin(), extents.end());
                    }
                    else
                    {
                        each.extents.push_back(static_cast<index_t>(each.size));
                    }
                    list.push_back(std::move(each));
                }
            }
        });
    return list;
}

/// Calls `add(parameter, list)` for the lists that are not empty.
template <class Number, class Add>
void add_lists(const std::vector<named_extents>& parameters,
    const std::vector<std::vector<Number>>& lists, const Add& add)
{
    bool fits = lists.size() == parameters.size();
    for (std::size_t p = 0; fits && p < lists.size(); ++p)
    {
        fits = lists[p].empty() || lists[p].size() == parameters[p].size;
    }
    if (!fits)
    {
        structopt::detail::raise<shape_error>("mask to save",
            "lists of the " + std::to_string(parameters.size()) + " parameters of the network",
            "others");
    }
    for (std::size_t p = 0; p < lists.size(); ++p)
    {
        if (!lists[p].empty())
        {
            add(parameters[p], lists[p]);
        }
    }
}

/// Reads the lists of the tensors called `prefix` and a parameter's name; empty for the others.
template <class Number>
std::vector<std::vector<Number>> read_lists(const safetensors_file& file, const std::string& prefix,
    const std::vector<named_extents>& parameters)
{
    std::vector<std::vector<Number>> lists(parameters.size());
    std::size_t found = 0;
    for (std::size_t p = 0; p < parameters.size(); ++p)
    {
        const std::string name = prefix + parameters[p].name;
        if (file.contains(name))
        {
            ++found;
            lists[p].resize(parameters[p].size);
            file.read_into(name, std::span<Number>(lists[p]));
        }
    }
    const auto entries = file.entries();
    const auto there = std::count_if(entries.begin(), entries.end(),
        [&](const tensor_entry& e)
        {
            return e.name.compare(0, prefix.size(), prefix) == 0;
        });
    if (found != static_cast<std::size_t>(there))
    {
        structopt::detail::raise<format_error>(file.name() + " tensors " + prefix + "*",
            std::to_string(found) + ", of parameters of this network", std::to_string(there));
    }
    return lists;
}

inline safetensors_file open_mask(const std::string& path)
{
    safetensors_file file(path);
    const auto version = file.metadata().find(mask_key);
    if (version == file.metadata().end() || version->second != mask_version)
    {
        structopt::detail::raise<format_error>(file.name(),
            "a mask (metadata '" + std::string(mask_key) + "' of " + mask_version + ")",
            version == file.metadata().end() ? "none" : version->second);
    }
    return file;
}

inline void add_mask(
    safetensors_writer& writer, const std::vector<named_extents>& parameters, const prune::mask& m)
{
    writer.set_metadata(mask_key, mask_version);
    detail::add_lists(parameters, m.keep,
        [&](const named_extents& parameter, const std::vector<std::uint8_t>& keep)
        {
            // "Stays" may be any number but 0; a BOOL is 0 or 1.
            std::vector<std::byte> bytes;
            for (const std::uint8_t stays : keep)
            {
                bytes.push_back(std::byte(stays != 0 ? 1 : 0));
            }
            writer.add("keep." + parameter.name, dtype::boolean, parameter.extents, bytes);
        });
}

} // namespace detail

template <class Net>
std::size_t save_mask(const std::string& path, const Net& network, const prune::mask& m)
{
    safetensors_writer writer;
    detail::add_mask(writer, detail::trainable_extents(network), m);
    return writer.write(path);
}

template <class Net>
prune::mask load_mask(const std::string& path, const Net& network)
{
    const safetensors_file file = detail::open_mask(path);
    return {detail::read_lists<std::uint8_t>(file, "keep.", detail::trainable_extents(network))};
}

template <class Net>
std::size_t save_splicing(
    const std::string& path, const Net& network, const prune::splicing_state& state)
{
    const auto parameters = detail::trainable_extents(network);
    safetensors_writer writer;
    detail::add_mask(writer, parameters, state.mask);
    detail::add_lists(parameters, state.hidden,
        [&](const detail::named_extents& parameter, const std::vector<double>& values)
        {
            writer.add(
                "hidden." + parameter.name, view<const double, 1>(values.data(),
                                                shape<1>{static_cast<index_t>(values.size())}));
        });
    return writer.write(path);
}

template <class Net>
prune::splicing_state load_splicing(const std::string& path, const Net& network)
{
    const safetensors_file file = detail::open_mask(path);
    const auto parameters = detail::trainable_extents(network);
    return {{detail::read_lists<std::uint8_t>(file, "keep.", parameters)},
        detail::read_lists<double>(file, "hidden.", parameters)};
}

} // namespace io
STRUCTOPT_END_NAMESPACE
