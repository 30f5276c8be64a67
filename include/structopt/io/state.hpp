/// @file
/// Networks in safetensors files: `save_state(net, path)` and `load_state(net, path)`.
///
/// Tensors carry PyTorch's names ("0.weight", "0.bias", "3.running_mean" for the layers of a
/// `sequential`), so a state_dict saved from PyTorch loads as it is. A weight in a format of its own
/// (sparse, quantized) is several tensors, "0.weight.values" and so on, with the format and the
/// extents of the matrix in the file's metadata under "0.weight".
#pragma once

#include <structopt/io/safetensors.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// What `save_state` puts beside the tensors.
struct save_options
{
    /// In front of every name, for example "model.".
    std::string prefix = {};
    /// Further strings for the file's metadata.
    std::map<std::string, std::string> metadata = {};
};

/// How `load_state` finds tensors.
struct load_options
{
    /// In front of every name, for example "model.".
    std::string prefix = {};
    /// The file's name for a name of ours; identity if empty. Applied after the prefix.
    std::function<std::string(const std::string&)> name_map = {};
    /// Take extents from the file instead of refusing others: for networks whose units were removed,
    /// and for a network that was only declared (`nn::sequential<nn::dense<float>, nn::relu> net;`).
    bool resize = false;
    /// Accept tensors in the file that the network has no place for.
    bool ignore_unexpected = false;
};

/// Adds the parameters of a network to a file in the making.
template <class Network>
void add_state(safetensors_writer& writer, const Network& network, const std::string& prefix = {});

/// Writes a network to a file, whole or not at all; returns the file's size in bytes.
template <class Network>
std::size_t save_state(
    const Network& network, const std::string& path, const save_options& options = {});

/// The size in bytes of the file that `save_state` would write.
template <class Network>
std::size_t state_bytes(const Network& network)
{
    safetensors_writer writer;
    io::add_state(writer, network);
    return writer.to_bytes().size();
}

/// Reads a network's parameters out of an open file.
///
/// One `format_error` lists all missing, unexpected, mis-shaped and mis-typed tensors; the network
/// is unchanged then. F16, BF16, F32 and F64 convert to the network's element type. PyTorch's
/// "num_batches_tracked" is skipped.
template <class Network>
void load_state(Network& network, const safetensors_file& file, const load_options& options = {});

/// Opens a file and reads a network's parameters.
template <class Network>
void load_state(Network& network, const std::string& path, const load_options& options = {})
{
    io::load_state(network, safetensors_file(path), options);
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class P>
inline constexpr bool is_tensor = false;

template <class T, std::size_t N>
inline constexpr bool is_tensor<tensor<T, N>> = true;

/// A weight format that says how it is saved.
template <class P, class Sink>
concept saved_format = requires(const P& p, Sink& sink)
{
    nn::storage_traits<P>::save(p, sink);
};

/// Receives the arrays of one weight in a format of its own.
class format_sink
{
public:
    format_sink(safetensors_writer& writer, std::string name)
        : m_writer(writer)
        , m_name(std::move(name))
    {
    }

    template <class V>
    void put(std::string_view part, std::span<const V> values)
    {
        add<V>(part, values);
    }

    /// Offsets take the narrowest type that holds them.
    void put(std::string_view part, std::span<const std::uint32_t> values)
    {
        std::uint32_t most = 0;
        for (const std::uint32_t value : values)
        {
            most = std::max(most, value);
        }
        if (most <= 0xff)
        {
            narrow<std::uint8_t>(part, values);
        }
        else if (most <= 0xffff)
        {
            narrow<std::uint16_t>(part, values);
        }
        else
        {
            add<std::uint32_t>(part, values);
        }
    }

private:
    template <class V>
    void narrow(std::string_view part, std::span<const std::uint32_t> values)
    {
        std::vector<V> small(values.size());
        std::transform(values.begin(), values.end(), small.begin(),
            [](std::uint32_t value)
            {
                return static_cast<V>(value);
            });
        add<V>(part, std::span<const V>(small));
    }

    template <class V>
    void add(std::string_view part, std::span<const V> values)
    {
        m_writer.add(m_name + "." + std::string(part),
            view<const V, 1>(values.data(), shape<1>{static_cast<index_t>(values.size())}));
    }

    safetensors_writer& m_writer;
    std::string m_name;
};

/// "csr8 100 784": the metadata of a weight in a format of its own.
struct format_line
{
    std::string format;
    index_t rows = 0;
    index_t columns = 0;

    static bool number(std::string_view text, index_t& value)
    {
        const char* const last = text.data() + text.size();
        const auto [end, error] = std::from_chars(text.data(), last, value);
        return error == std::errc() && end == last && value >= 0;
    }

    /// Whether `text` is such a line.
    bool parse(std::string_view text)
    {
        const std::size_t first = text.find(' ');
        const std::size_t second =
            first == std::string_view::npos ? first : text.find(' ', first + 1);
        if (second == std::string_view::npos)
        {
            return false;
        }
        format = text.substr(0, first);
        return number(text.substr(first + 1, second - first - 1), rows) &&
               number(text.substr(second + 1), columns);
    }
};

/// Gives the arrays of one weight in a format of its own.
class format_source
{
public:
    format_source(const safetensors_file& file, std::string name, format_line line)
        : m_file(file)
        , m_name(std::move(name))
        , m_line(std::move(line))
    {
    }

    std::string where() const
    {
        return m_file.name() + " tensor '" + m_name + "'";
    }

    const std::string& format() const noexcept
    {
        return m_line.format;
    }

    index_t rows() const noexcept
    {
        return m_line.rows;
    }

    index_t columns() const noexcept
    {
        return m_line.columns;
    }

    template <class V>
    buffer<V> get(std::string_view part)
    {
        const std::string name = m_name + "." + std::string(part);
        buffer<V> values(static_cast<std::size_t>(m_file.at(name).count));
        m_file.read_into(name, std::span<V>(values));
        return values;
    }

private:
    const safetensors_file& m_file;
    std::string m_name;
    format_line m_line;
};

/// The file's name of a parameter.
inline std::string file_name(const nn::parameter_name& name, const load_options& options)
{
    const std::string ours = options.prefix + name.text();
    return options.name_map ? options.name_map(ours) : ours;
}

inline bool is_batch_counter(std::string_view name)
{
    constexpr std::string_view end = "num_batches_tracked";
    return name.size() >= end.size() && name.substr(name.size() - end.size()) == end;
}

/// Replaces one parameter by what the file has, or notes in the report why not.
template <class P>
void load_parameter(const safetensors_file& file, const std::string& name, P& parameter,
    const load_options& options, load_report& report)
{
    if constexpr (is_tensor<P>)
    {
        using T = typename P::value_type;
        auto extents = shape_of(parameter);
        const tensor_entry* const there = file.find(name);
        if (parameter.size() == 0 && there == nullptr)
        {
            return; // a bias that was switched off
        }
        if (options.resize && there != nullptr && there->shape.size() == extents.size())
        {
            std::copy(there->shape.begin(), there->shape.end(), extents.begin());
        }
        if (file.check<T>(name, extents, report) != nullptr)
        {
            structopt::resize(parameter, extents);
            file.read_into(name, parameter);
        }
    }
    else
    {
        using traits = nn::storage_traits<P>;
        const shape<2> ours{traits::rows(parameter), traits::columns(parameter)};
        const auto line_text = file.metadata().find(name);
        format_line line;
        if (line_text == file.metadata().end() || !line.parse(line_text->second))
        {
            report.missing(name + " (format in the metadata)", ours);
            return;
        }
        const shape<2> theirs{line.rows, line.columns};
        if (!options.resize && ours != theirs)
        {
            report.misshaped(name, ours, theirs);
            return;
        }
        if constexpr (!requires { parameter.format(); })
        {
            if (traits::name() != line.format)
            {
                structopt::detail::raise<format_error>(file.name() + " tensor '" + name + "'",
                    "format " + std::string(traits::name()), line.format);
            }
        }
        format_source source(file, name, std::move(line));
        parameter = traits::load(source);
    }
}

/// The extents of one parameter: of a tensor, or of the matrix of a format of its own.
template <class P>
std::vector<index_t> extents_of(const P& parameter)
{
    if constexpr (is_tensor<P>)
    {
        const auto extents = shape_of(parameter);
        return {extents.begin(), extents.end()};
    }
    else
    {
        return {nn::storage_traits<P>::rows(parameter), nn::storage_traits<P>::columns(parameter)};
    }
}

/// Lets every layer take its extents from its new parameters. A layer that cannot (without a
/// `refresh`) must have got the extents it had: `before`, in visiting order.
template <class L>
void refresh_layers(L& layer, const std::vector<std::vector<index_t>>& before, std::size_t& at,
    const std::string& source, const nn::parameter_name* path)
{
    if constexpr (nn::has_parameters<L>)
    {
        L::parameters(layer,
            [&](std::string_view part, const auto& parameter, nn::role)
            {
                const auto found = extents_of(parameter);
                if (!requires { layer.refresh(); } && found != before[at])
                {
                    structopt::detail::raise<format_error>(
                        source + " tensor '" + nn::parameter_name(part, path).text() + "'",
                        describe_extents(before[at]) + " (this layer takes no others)",
                        describe_extents(found));
                }
                ++at;
            });
        if constexpr (requires { layer.refresh(); })
        {
            layer.refresh();
        }
    }
    if constexpr (nn::has_children<L>)
    {
        L::children(layer,
            [&](std::string_view part, auto& child)
            {
                const nn::parameter_name name(part, path);
                refresh_layers(child, before, at, source, &name);
            });
    }
}

} // namespace detail

template <class Network>
void add_state(safetensors_writer& writer, const Network& network, const std::string& prefix)
{
    nn::visit_parameters(network,
        [&](const nn::parameter_name& path, const auto& parameter, nn::role)
        {
            using P = std::remove_cvref_t<decltype(parameter)>;
            const std::string name = prefix + path.text();
            if constexpr (detail::is_tensor<P>)
            {
                writer.add(name, parameter);
            }
            else
            {
                static_assert(detail::saved_format<P, detail::format_sink>,
                    "this weight format is not saved: save nn::unpack(network) instead");
                using traits = nn::storage_traits<P>;
                std::string format(traits::name());
                if constexpr (requires { parameter.format(); })
                {
                    format = parameter.format();
                }
                writer.set_metadata(name, format + " " + std::to_string(traits::rows(parameter)) +
                                              " " + std::to_string(traits::columns(parameter)));
                detail::format_sink sink(writer, name);
                traits::save(parameter, sink);
            }
        });
}

template <class Network>
std::size_t save_state(const Network& network, const std::string& path, const save_options& options)
{
    safetensors_writer writer;
    for (const auto& [key, value] : options.metadata)
    {
        writer.set_metadata(key, value);
    }
    io::add_state(writer, network, options.prefix);
    return writer.write(path);
}

template <class Network>
void load_state(Network& network, const safetensors_file& file, const load_options& options)
{
    load_report report;
    Network loaded = network;
    std::set<std::string, std::less<>> used;
    // Unlike visit_parameters: every name counts as expected, also the second one of a tied
    // parameter, and empty tensors may be filled.
    std::vector<const void*> seen;
    const auto load = [&](const nn::parameter_name& path, auto& parameter, nn::role)
    {
        const std::string name = detail::file_name(path, options);
        const bool first = std::find(seen.begin(), seen.end(), &parameter) == seen.end();
        seen.push_back(&parameter);
        used.insert(name);
        if (first)
        {
            detail::load_parameter(file, name, parameter, options, report);
        }
    };
    nn::detail::visit_all(loaded, nullptr, load);
    const auto belongs = [&](const std::string& name)
    {
        if (used.count(name) != 0 || detail::is_batch_counter(name))
        {
            return true;
        }
        const std::size_t dot = name.rfind('.');
        return dot != std::string::npos && used.count(name.substr(0, dot)) != 0 &&
               file.metadata().count(name.substr(0, dot)) != 0;
    };
    for (const tensor_entry& entry : file.entries())
    {
        const bool ours = entry.name.compare(0, options.prefix.size(), options.prefix) == 0;
        if (!options.ignore_unexpected && (ours || options.name_map) && !belongs(entry.name))
        {
            report.unexpected(entry.name, entry.type, entry.shape);
        }
    }
    report.raise_if_any(file.name(), "the tensors of the network");
    if (options.resize)
    {
        std::vector<std::vector<index_t>> before;
        const auto note = [&](const nn::parameter_name&, const auto& parameter, nn::role)
        {
            before.push_back(detail::extents_of(parameter));
        };
        nn::detail::visit_all(std::as_const(network), nullptr, note);
        std::size_t at = 0;
        detail::refresh_layers(loaded, before, at, file.name(), nullptr);
    }
    network = std::move(loaded);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
