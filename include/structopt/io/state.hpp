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
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
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
/// One `format_error` lists all missing, unexpected, mis-shaped, mis-typed and otherwise unusable
/// tensors; the network is unchanged then. F16, BF16, F32 and F64 convert to the network's element
/// type. PyTorch's "num_batches_tracked" is skipped. Of tied parameters the first name is read.
///
/// With `resize`, layers take their extents from the file (`refresh`); extents that disagree within
/// a layer are a `format_error`, between layers a `shape_error` at the first call.
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
        return error == std::errc() && end == last;
    }

    /// Whether `text` is such a line, of a matrix whose elements can be counted.
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
               number(text.substr(second + 1), columns) && plausible(rows) && plausible(columns) &&
               checked_count(std::array{rows, columns}, 1).has_value();
    }

    /// Far more than there is memory for, and far from where padding overflows.
    static bool plausible(index_t extent) noexcept
    {
        return extent >= 0 && extent <= index_t{1} << 40;
    }

    std::string text() const
    {
        return format + " " + std::to_string(rows) + " " + std::to_string(columns);
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
        std::string name = m_name + "." + std::string(part);
        buffer<V> values(static_cast<std::size_t>(m_file.at(name).count));
        m_file.read_into(name, std::span<V>(values));
        m_read.push_back(std::move(name));
        return values;
    }

    /// Names of the tensors that were read.
    const std::vector<std::string>& read() const noexcept
    {
        return m_read;
    }

private:
    const safetensors_file& m_file;
    std::string m_name;
    format_line m_line;
    std::vector<std::string> m_read;
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

/// Takes the parameters of a network out of a file, one after the other, and notes what does not fit.
class state_loader
{
public:
    state_loader(const safetensors_file& file, const load_options& options)
        : m_file(file)
        , m_options(options)
    {
    }

    /// Replaces a parameter by what the file has under `name`, or notes why not.
    template <class P>
    void load(const std::string& name, P& parameter, nn::role kind)
    {
        if constexpr (is_tensor<P>)
        {
            load_tensor(name, parameter, kind);
        }
        else
        {
            load_format(name, parameter);
        }
    }

    /// The name counts as expected, whether or not anything is loaded from it.
    void expect(const std::string& name)
    {
        m_expected.insert(name);
    }

    /// Throws one error for everything that was noted, unexpected tensors of the file included.
    void finish()
    {
        for (const tensor_entry& entry : m_file.entries())
        {
            const bool ours = entry.name.compare(0, m_options.prefix.size(), m_options.prefix) == 0;
            if (!m_options.ignore_unexpected && (ours || m_options.name_map) &&
                !is_batch_counter(entry.name) && !expected(entry.name))
            {
                m_report.unexpected(entry.name, entry.type, entry.shape);
            }
        }
        m_report.raise_if_any(m_file.name(), "the tensors of the network");
    }

private:
    template <class T, std::size_t N>
    void load_tensor(const std::string& name, tensor<T, N>& parameter, nn::role kind)
    {
        const tensor_entry* const there = m_file.find(name);
        if (there == nullptr && parameter.size() == 0 && kind != nn::role::weight)
        {
            return; // a bias that was switched off
        }
        auto extents = shape_of(parameter);
        if (m_options.resize)
        {
            extents.fill(-1);
            if (there != nullptr && there->shape.size() == N)
            {
                std::copy(there->shape.begin(), there->shape.end(), extents.begin());
            }
        }
        const auto line = m_file.metadata().find(name);
        if (there == nullptr && line != m_file.metadata().end())
        {
            unusable(name, "expected a dense tensor, got " + in_quotes(line->second));
        }
        else if (m_file.check<T>(name, extents, m_report) != nullptr)
        {
            structopt::resize(parameter, extents);
            m_file.read_into(name, parameter);
        }
    }

    template <class P>
    void load_format(const std::string& name, P& parameter)
    {
        using traits = nn::storage_traits<P>;
        shape<2> ours{-1, -1};
        if (!m_options.resize)
        {
            ours = {traits::rows(parameter), traits::columns(parameter)};
        }
        constexpr bool closed_choice = requires
        {
            parameter.format();
        };
        const std::string format(closed_choice ? "of its own" : std::string(traits::name()));
        const auto text = m_file.metadata().find(name);
        format_line line;
        if (text == m_file.metadata().end())
        {
            if (m_file.find(name) != nullptr)
            {
                unusable(name, "expected format " + format + ", got a dense tensor");
            }
            else
            {
                m_report.missing(name + " (format " + format + ")", ours);
            }
            return;
        }
        if (!line.parse(text->second))
        {
            unusable(name, "expected a format and two extents in the metadata, got " +
                               in_quotes(text->second));
            return;
        }
        if (!closed_choice && line.format != traits::name())
        {
            unusable(name, "expected format " + format + ", got " + in_quotes(line.format));
            return;
        }
        const shape<2> theirs{line.rows, line.columns};
        if (!m_options.resize && ours != theirs)
        {
            m_report.misshaped(name, ours, theirs);
            m_excused.push_back(name + ".");
            return;
        }
        format_source source(m_file, name, std::move(line));
#if STRUCTOPT_HAS_EXCEPTIONS
        try
        {
            parameter = traits::load(source);
        }
        catch (const format_error& e)
        {
            unusable(name, e.what());
            return;
        }
        catch (const shape_error& e)
        {
            unusable(name, e.what());
            return;
        }
#else
        parameter = traits::load(source);
#endif
        m_expected.insert(source.read().begin(), source.read().end());
    }

    /// Notes it; the tensors below the name are not unexpected then.
    void unusable(const std::string& name, const std::string& reason)
    {
        m_report.unusable(name, reason);
        m_excused.push_back(name + ".");
    }

    bool expected(const std::string& name) const
    {
        return m_expected.count(name) != 0 ||
               std::any_of(m_excused.begin(), m_excused.end(),
                   [&](const std::string& start)
                   {
                       return name.compare(0, start.size(), start) == 0;
                   });
    }

    const safetensors_file& m_file;
    const load_options& m_options;
    load_report m_report;
    std::set<std::string, std::less<>> m_expected;
    std::vector<std::string> m_excused;
};

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
#if STRUCTOPT_HAS_EXCEPTIONS
            try
            {
                layer.refresh();
            }
            catch (const format_error& e)
            {
                structopt::detail::raise<format_error>(
                    source + " layer '" + (path != nullptr ? path->text() : "") + "', " + e.where(),
                    e.expected(), e.found());
            }
#else
            layer.refresh();
#endif
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
                const detail::format_line line{
                    format, traits::rows(parameter), traits::columns(parameter)};
                writer.set_metadata(name, line.text());
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
    Network loaded = network;
    detail::state_loader loader(file, options);
    // Unlike visit_parameters: every name counts as expected, also the second one of a tied
    // parameter, and empty tensors may be filled.
    std::vector<const void*> seen;
    const auto load = [&](const nn::parameter_name& path, auto& parameter, nn::role kind)
    {
        const std::string name = detail::file_name(path, options);
        loader.expect(name);
        if (std::find(seen.begin(), seen.end(), &parameter) == seen.end())
        {
            seen.push_back(&parameter);
            loader.load(name, parameter, kind);
        }
    };
    nn::detail::visit_all(loaded, nullptr, load);
    loader.finish();
    // Also where no extents may change: a weight's format may, and must suit its layer.
    std::vector<std::vector<index_t>> before;
    const auto note = [&](const nn::parameter_name&, const auto& parameter, nn::role)
    {
        before.push_back(detail::extents_of(parameter));
    };
    nn::detail::visit_all(std::as_const(network), nullptr, note);
    std::size_t at = 0;
    detail::refresh_layers(loaded, before, at, file.name(), nullptr);
    network = std::move(loaded);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
