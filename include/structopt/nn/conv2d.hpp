/// @file
/// The two-dimensional convolution, over any weight storage.
#pragma once

#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/depthwise.hpp>
#include <structopt/kernel/im2col.hpp>
#include <structopt/nn/convolve.hpp>
#include <structopt/nn/extent2.hpp>
#include <structopt/nn/initializer.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/reduction.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Options of `conv2d`. Each `extent2` takes one number or {height, width}.
struct conv2d_options
{
    index_t in;
    index_t out;
    extent2 kernel;
    extent2 stride = 1;
    /// Zeros before the first row and column, and by default as many after the last ones.
    extent2 padding = 0;
    /// Zeros after the last row and column. TensorFlow's SAME with stride 2 has 0 before, 1 after.
    extent2 padding_end = padding;
    extent2 dilation = 1;
    /// Channels fall into so many parts that do not see each other; `groups == in` is depthwise.
    index_t groups = 1;
    bool bias = true;

    friend bool operator==(const conv2d_options&, const conv2d_options&) = default;
};

/// Convolution (in fact correlation, as everywhere in the field) of x [batch, in, height, width]
/// with weights [out, in / groups, kernel height, kernel width]; y is [batch, out, h, w] with
/// h = (height + padding + padding_end - dilation (kernel - 1) - 1) / stride + 1, rounded down.
///
/// `W` is an element type (`conv2d<float>`, the default) or a weight storage (`conv2d<csr<float>>`)
/// that holds the matrix [out, in / groups * kernel height * kernel width]; groups need a storage
/// that takes them (`nn::takes_groups`).
template <class W = float>
class conv2d
{
public:
    using storage = typename storage_of<W, 4>::type;
    using value_type = typename storage_traits<storage>::value_type;

    static constexpr std::string_view name = "conv2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

private:
    static constexpr bool is_dense = std::same_as<storage, tensor<value_type, 4>>;

public:
    /// Weights filled by `init`, biases zero. Throws `argument_error` for options out of range.
    template <initializer Init = he_uniform>
        requires(is_dense)
    conv2d(const conv2d_options& options, random_engine& rng, const Init& init = {})
        : m_options(checked(options))
    {
        const index_t depth = depth_of(options);
        const index_t window = options.kernel.height * options.kernel.width;
        weight = make_tensor<value_type>(shape<4>{
            options.out, options.in / options.groups, options.kernel.height, options.kernel.width});
        init(view<value_type, 2>(weight.data(), shape<2>{options.out, depth}), depth,
            options.out * window, rng);
        bias = structopt::zeros<value_type>(shape<1>{options.bias ? options.out : 0});
    }

    /// From a weight in any storage, and a bias of one number per output or none (`options.bias`
    /// is taken from it).
    conv2d(const conv2d_options& options, storage w, tensor<value_type, 1> b = {})
        : weight(std::move(w))
        , bias(std::move(b))
        , m_options(checked(options))
    {
        m_options.bias = bias.size() != 0;
        if constexpr (is_dense)
        {
            check_shape("conv2d weight",
                shape<4>{options.out, options.in / options.groups, options.kernel.height,
                    options.kernel.width},
                shape_of(weight));
        }
        else
        {
            if (options.groups != 1 && !detail::groups_allowed(weight))
            {
                structopt::detail::raise<argument_error>("conv2d groups",
                    "1 for weights stored as " + detail::format_name(weight),
                    std::to_string(options.groups));
            }
            check_shape("conv2d weight", shape<2>{options.out, depth_of(options)},
                shape<2>{storage_traits<storage>::rows(weight),
                    storage_traits<storage>::columns(weight)});
        }
        if (bias.size() != 0)
        {
            check_shape("conv2d bias", shape<1>{options.out}, shape_of(bias));
        }
    }

    /// What the layer was made with; `in`, `out` and `bias` follow later changes.
    const conv2d_options& options() const noexcept
    {
        return m_options;
    }

    /// Takes the numbers of channels from parameters that came from a file; kernel and groups (but
    /// those of a depthwise convolution) stay. Throws `format_error` if their extents do not fit.
    void refresh()
    {
        const index_t window = m_options.kernel.height * m_options.kernel.width;
        const index_t rows = storage_traits<storage>::rows(weight);
        const index_t columns = storage_traits<storage>::columns(weight);
        // Of the groups only those of a layer that lets channels pass follow its channels.
        const bool depthwise = unit_coupling() == coupling::passes;
        const index_t groups =
            depthwise && rows >= 1 ? std::max<index_t>(rows / multiplier(), 1) : m_options.groups;
        bool fits = rows >= 1 && columns >= window && columns % window == 0 && rows % groups == 0;
        if constexpr (std::same_as<storage, tensor<value_type, 4>>)
        {
            const auto extents = shape_of(weight);
            fits = fits && extents[2] == m_options.kernel.height &&
                   extents[3] == m_options.kernel.width;
        }
        // A format chosen by data may have changed with the file.
        if (fits && groups > 1 && !detail::groups_allowed(weight))
        {
            structopt::detail::raise<format_error>("conv2d",
                "a format of weights that takes groups", std::to_string(groups) + " groups");
        }
        if (!fits || (bias.size() != 0 && size_of(bias) != rows))
        {
            structopt::detail::raise<format_error>("conv2d",
                "a weight of windows of " + std::to_string(window) +
                    " and a bias of one number per output",
                "weight " + describe(shape<2>{rows, columns}) + ", bias " +
                    describe(shape_of(bias)));
        }
        m_options.out = rows;
        m_options.groups = groups;
        m_options.in = columns / window * groups;
        m_options.bias = bias.size() != 0;
    }

    index_t inputs() const noexcept
    {
        return m_options.in;
    }

    index_t outputs() const noexcept
    {
        return m_options.out;
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        check_shape("conv2d input", shape<4>{-1, inputs(), -1, -1}, in);
        const extent2 out = detail::window_output("conv2d input", in, m_options.kernel,
            m_options.stride, m_options.padding, m_options.padding_end, m_options.dilation);
        return {in[0], outputs(), out.height, out.width};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<4>& in) const
    {
        const plan p(*this, in);
        return static_cast<std::size_t>(p.chunks) * forward_bytes(p);
    }

    void forward(view<const value_type, 4> x, view<value_type, 4> y, scratch space) const noexcept
    {
        const plan p(*this, x.shape());
        const std::size_t bytes = forward_bytes(p);
        parallel_for(p.batch, p.grain,
            [&](index_t first, index_t last)
            {
                const scratch slot(
                    space.data() + static_cast<std::size_t>(first / p.grain) * bytes, bytes);
                const value_type* const from = x.data() + first * p.image;
                value_type* const to = y.data() + first * p.result;
                detail::convolve(
                    weight, last - first, p.window, p.groups, from, bias_data(), to, slot);
            });
    }

    /// Scratch of both passes of training.
    template <class T, std::size_t N>
    struct cache
    {
        buffer<std::byte> bytes;
    };

    void forward(view<const value_type, 4> x, view<value_type, 4> y,
        cache<value_type, 4>& kept) const requires trainable_storage<storage>
    {
        const plan p(*this, x.shape());
        const std::size_t bytes =
            static_cast<std::size_t>(p.chunks) * std::max(forward_bytes(p), backward_bytes(p));
        if (kept.bytes.size() < bytes)
        {
            kept.bytes.resize(bytes);
        }
        forward(x, y, scratch(kept.bytes.data(), kept.bytes.size()));
    }

    void backward(view<const value_type, 4> x, view<const value_type, 4>,
        view<const value_type, 4> dy, view<value_type, 4> dx, cache<value_type, 4>& kept,
        conv2d& gradients) const requires trainable_storage<storage>
    {
        const plan p(*this, x.shape());
        const std::size_t bytes = backward_bytes(p);
        value_type* const db = bias.size() == 0 ? nullptr : gradients.bias.data();
        const auto image_of = [&](index_t b)
        {
            return dx.data() == nullptr ? nullptr : dx.data() + b * p.image;
        };
        if constexpr (is_dense)
        {
            // Each chunk but the first has gradients of its own; chunks depend on the extents alone.
            const auto own = [&](index_t chunk)
            {
                return scratch(kept.bytes.data() + static_cast<std::size_t>(chunk) * bytes, bytes);
            };
            parallel_for(p.batch, p.grain,
                [&](index_t first, index_t last)
                {
                    scratch slot = own(first / p.grain);
                    value_type* const partial = slot.template take<value_type>(p.parameters());
                    value_type* dw = gradients.weight.data();
                    value_type* dbias = db;
                    if (first > 0)
                    {
                        std::fill_n(partial, p.parameters(), value_type(0));
                        dw = partial;
                        dbias = db == nullptr ? nullptr : partial + p.weights;
                    }
                    for (index_t b = first; b < last; ++b)
                    {
                        const value_type* const from = dy.data() + b * p.result;
                        add_sums(p, from, dbias);
                        backward_image(p, x.data() + b * p.image, from, dw, image_of(b), slot);
                    }
                });
            for (index_t chunk = 1; chunk < p.chunks; ++chunk)
            {
                const value_type* const partial =
                    own(chunk).template take<value_type>(p.parameters());
                detail::add_to(partial, p.weights, gradients.weight.data());
                if (db != nullptr)
                {
                    detail::add_to(partial + p.weights, p.groups * p.out, db);
                }
            }
        }
        else
        {
            const scratch slot(kept.bytes.data(), kept.bytes.size());
            for (index_t b = 0; b < p.batch; ++b)
            {
                const value_type* const from = dy.data() + b * p.result;
                add_sums(p, from, db);
                backward_stored(
                    p, x.data() + b * p.image, from, gradients.weight, image_of(b), slot);
            }
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, role::weight);
        visit("bias", self.bias, role::bias);
    }

    index_t cost(const shape<4>& in) const
    {
        const shape<4> out = output_shape(in);
        return in[0] * out[2] * out[3] * storage_traits<storage>::nonzeros(weight);
    }

    /// `passes` where every channel is convolved on its own (into one or several).
    coupling unit_coupling() const noexcept
    {
        return m_options.groups > 1 && m_options.groups == m_options.in ? coupling::passes
                                                                        : coupling::mixes;
    }

    index_t unit_groups() const noexcept
    {
        return m_options.groups;
    }

    /// The channels that come of one: as many as there are outputs per input of a depthwise
    /// convolution.
    std::vector<index_t> map_units(std::span<const index_t> indices, const shape<4>&) const
    {
        std::vector<index_t> channels;
        for (const index_t unit : indices)
        {
            for (index_t i = 0; i < multiplier(); ++i)
            {
                channels.push_back(unit * multiplier() + i);
            }
        }
        return channels;
    }

    /// The listed output channels, group by group and of each group equally many. Throws
    /// `argument_error` for another list.
    conv2d select_outputs(std::span<const index_t> indices) const requires is_dense
    {
        check_groups("select_outputs", indices, m_options.out);
        conv2d_options options = m_options;
        options.out = static_cast<index_t>(indices.size());
        return conv2d(options, take_rows(weight, indices),
            bias.size() == 0 ? bias : take_rows(bias, indices));
    }

    /// The listed input channels, group by group and of each group equally many. Throws
    /// `argument_error` for another list.
    conv2d select_inputs(std::span<const index_t> indices) const requires is_dense
    {
        check_groups("select_inputs", indices, m_options.in);
        conv2d_options options = m_options;
        options.in = static_cast<index_t>(indices.size());
        if (m_options.groups == 1)
        {
            return conv2d(options, take_columns(weight, indices), bias);
        }
        const index_t depth = m_options.in / m_options.groups;
        const index_t stay = options.in / m_options.groups;
        const index_t rows = m_options.out / m_options.groups;
        const index_t window = m_options.kernel.height * m_options.kernel.width;
        auto fewer = make_tensor<value_type>(
            shape<4>{m_options.out, stay, m_options.kernel.height, m_options.kernel.width});
        value_type* to = fewer.data();
        for (index_t r = 0; r < m_options.out; ++r)
        {
            const index_t group = r / rows;
            for (index_t i = 0; i < stay; ++i)
            {
                const index_t c = indices[static_cast<std::size_t>(group * stay + i)] % depth;
                to = std::copy_n(weight.data() + (r * depth + c) * window, window, to);
            }
        }
        return conv2d(options, std::move(fewer), bias);
    }

    /// The listed channels of a depthwise convolution, which lets channels pass.
    conv2d select_units(std::span<const index_t> indices) const requires is_dense
    {
        if (unit_coupling() != coupling::passes)
        {
            structopt::detail::raise<argument_error>(
                "conv2d select_units", "as many groups as inputs", describe_groups());
        }
        conv2d_options options = m_options;
        options.in = options.groups = static_cast<index_t>(indices.size());
        options.out = options.in * multiplier();
        const auto rows = map_units(indices, {});
        return conv2d(
            options, take_rows(weight, rows), bias.size() == 0 ? bias : take_rows(bias, rows));
    }

    /// The same layer over another storage of the same extents. Throws `argument_error` for groups
    /// and a storage that does not take them. A dense matrix becomes the canonical weight.
    template <weight_storage Storage>
    auto with_weight(Storage replacement) const
    {
        using T = typename storage_traits<Storage>::value_type;
        if constexpr (std::same_as<Storage, tensor<T, 2>>)
        {
            const shape<4> extents{m_options.out, m_options.in / m_options.groups,
                m_options.kernel.height, m_options.kernel.width};
            check_shape(
                "conv2d weight", shape<2>{extents[0], count(tail(extents))}, shape_of(replacement));
            return conv2d<T>(
                m_options, structopt::copy(view<const T, 4>(replacement.data(), extents)), bias);
        }
        else
        {
            return conv2d<typename weight_argument<Storage, 4>::type>(
                m_options, std::move(replacement), bias);
        }
    }

    storage weight;
    tensor<value_type, 1> bias = structopt::zeros<value_type>(shape<1>{0});

private:
    static index_t depth_of(const conv2d_options& o) noexcept
    {
        return o.in / o.groups * o.kernel.height * o.kernel.width;
    }

    static const conv2d_options& checked(const conv2d_options& o)
    {
        if (o.in < 1 || o.out < 1)
        {
            structopt::detail::raise<argument_error>("conv2d", "in and out of at least 1",
                "in " + std::to_string(o.in) + ", out " + std::to_string(o.out));
        }
        detail::check_option("conv2d", "kernel", o.kernel, 1);
        detail::check_option("conv2d", "stride", o.stride, 1);
        detail::check_option("conv2d", "dilation", o.dilation, 1);
        detail::check_option("conv2d", "padding", o.padding, 0);
        detail::check_option("conv2d", "padding_end", o.padding_end, 0);
        if (o.groups < 1 || o.in % o.groups != 0 || o.out % o.groups != 0)
        {
            structopt::detail::raise<argument_error>("conv2d groups", "a divisor of in and out",
                "groups " + std::to_string(o.groups) + ", in " + std::to_string(o.in) + ", out " +
                    std::to_string(o.out));
        }
        return o;
    }

    std::string describe_groups() const
    {
        return "groups " + std::to_string(m_options.groups) + ", in " +
               std::to_string(m_options.in) + ", out " + std::to_string(m_options.out);
    }

    /// Outputs per input of a depthwise convolution.
    index_t multiplier() const noexcept
    {
        return m_options.out / m_options.in;
    }

    /// Whether the list has equally many channels of every group, one group after the other.
    void check_groups(const char* what, std::span<const index_t> indices, index_t channels) const
    {
        const index_t groups = m_options.groups;
        const auto n = static_cast<index_t>(indices.size());
        bool fits = n % groups == 0;
        for (index_t i = 0; groups > 1 && fits && i < n; ++i)
        {
            const index_t channel = indices[static_cast<std::size_t>(i)];
            fits = channel >= 0 && channel / (channels / groups) == i / (n / groups);
        }
        if (!fits)
        {
            structopt::detail::raise<argument_error>("conv2d " + std::string(what),
                "equally many channels of every group, group by group",
                std::to_string(n) + " channels, " + describe_groups());
        }
    }

    /// How one pass over a batch is cut up: a function of options and extents alone.
    struct plan
    {
        kernel::window window; ///< one group of one image
        index_t batch;
        index_t groups;
        index_t out; ///< channels of one group
        index_t image;
        index_t result;
        index_t weights;
        index_t grain;
        index_t chunks;

        plan(const conv2d& layer, const shape<4>& in)
            : window(layer.window_of(in))
            , batch(in[0])
            , groups(layer.m_options.groups)
            , out(layer.outputs() / groups)
            , image(in[1] * in[2] * in[3])
            , result(layer.outputs() * window.columns())
            , weights(layer.outputs() * window.rows())
        {
            // A thread is worth waking for about 2^19 multiply-adds.
            const index_t worth =
                (index_t{1} << 19) / std::max<index_t>(weights * window.columns(), 1);
            const index_t parts = std::clamp<index_t>(batch / (worth + 1), 1, 16);
            grain = std::max<index_t>((batch + parts - 1) / parts, 1);
            chunks = std::max<index_t>((batch + grain - 1) / grain, 1);
        }

        bool depthwise() const noexcept
        {
            return groups > 1 && window.channels == 1;
        }

        index_t parameters() const noexcept
        {
            return weights + groups * out;
        }
    };

    kernel::window window_of(const shape<4>& in) const
    {
        return detail::window_of(m_options, in, output_shape(in));
    }

    const value_type* bias_data() const noexcept
    {
        return bias.size() == 0 ? nullptr : bias.data();
    }

    /// Scratch of one chunk in `forward`.
    std::size_t forward_bytes(const plan& p) const noexcept
    {
        return detail::convolve_bytes(weight, p.window, p.groups);
    }

    /// Scratch of one chunk in `backward`.
    std::size_t backward_bytes(const plan& p) const noexcept
    {
        if constexpr (is_dense)
        {
            return scratch_size<value_type>(p.parameters()) +
                   (p.depthwise()
                           ? 0
                           : nn::scratch_size<std::byte>(static_cast<index_t>(
                                 kernel::convolution_backward_bytes<value_type>(p.window, p.out))));
        }
        else
        {
            return detail::patch_bytes<value_type>(p.window) +
                   nn::scratch_size<std::byte>(
                       static_cast<index_t>(kernel::detail::convolution_most_bytes(p.window,
                           [&](index_t positions)
                           {
                               return storage_traits<storage>::training_scratch_bytes(
                                   weight, positions);
                           })));
        }
    }

    /// A block of positions of an image [channels, positions], seen as [positions, channels].
    template <class T>
    static view<T, 2> positions_of(const plan& p, T* image, index_t first, index_t n) noexcept
    {
        return {image + first, shape<2>{n, p.out}, shape<2>{1, p.window.columns()}};
    }

    void backward_image(const plan& p, const value_type* x, const value_type* dy, value_type* dw,
        value_type* dx, scratch space) const noexcept
    {
        const index_t pixels = p.window.height * p.window.width;
        const index_t positions = p.window.columns();
        if (!p.depthwise())
        {
            for (index_t g = 0; g < p.groups; ++g)
            {
                const index_t from = g * p.window.channels * pixels;
                const index_t filter = g * p.out * p.window.rows();
                kernel::convolution_backward(p.window, p.out, x + from, weight.data() + filter,
                    dy + g * p.out * positions, dw + filter, dx == nullptr ? nullptr : dx + from,
                    space.data());
            }
            return;
        }
        if (dx != nullptr)
        {
            std::fill_n(dx, p.image, value_type(0));
        }
        for (index_t o = 0; o < outputs(); ++o)
        {
            const index_t from = o / p.out * pixels;
            const index_t filter = o * p.window.rows();
            kernel::depthwise_backward_weight(p.window, dy + o * positions, x + from, dw + filter);
            if (dx != nullptr)
            {
                kernel::depthwise_backward_input(
                    p.window, dy + o * positions, weight.data() + filter, dx + from);
            }
        }
    }

    /// The same over a weight of any trainable format.
    void backward_stored(const plan& p, const value_type* x, const value_type* dy, storage& dw,
        value_type* dx, scratch space) const noexcept requires trainable_storage<storage>
    {
        using traits = storage_traits<storage>;
        if (dx != nullptr && !p.window.trivial())
        {
            std::fill_n(dx, p.image, value_type(0));
        }
        detail::for_each_block(p.window, x, space,
            [&](const kernel::window& part, view<const value_type, 2> patches, index_t position,
                scratch rest)
            {
                const auto gradient = positions_of(p, dy, position, patches.shape(0));
                traits::accumulate_gradient(dw, gradient, patches, rest);
                if (dx == nullptr)
                {
                    return;
                }
                // The patches are used up: their place takes their gradient.
                value_type* const to =
                    part.trivial() ? dx : const_cast<value_type*>(patches.data());
                traits::product_transposed(weight, gradient,
                    view<value_type, 2>(to, patches.shape(), patches.strides()), rest);
                if (!part.trivial())
                {
                    kernel::col2im(part, to, dx);
                }
            });
    }

    /// Adds the sum over the positions of each channel.
    static void add_sums(const plan& p, const value_type* dy, value_type* db) noexcept
    {
        const index_t positions = p.window.columns();
        for (index_t o = 0; db != nullptr && o < p.groups * p.out; ++o)
        {
            db[o] += detail::sum(dy + o * positions, positions);
        }
    }

    conv2d_options m_options;
};

template <initializer Init>
conv2d(const conv2d_options&, random_engine&, const Init&) -> conv2d<float>;

conv2d(const conv2d_options&, random_engine&)->conv2d<float>;

template <weight_storage Storage>
conv2d(const conv2d_options&, Storage) -> conv2d<typename weight_argument<Storage, 4>::type>;

template <weight_storage Storage, class T>
conv2d(const conv2d_options&, Storage, tensor<T, 1>)
    -> conv2d<typename weight_argument<Storage, 4>::type>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
