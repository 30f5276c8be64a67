/// @file
/// The fully connected layer, over any weight storage.
#pragma once

#include <structopt/nn/initializer.hpp>
#include <structopt/nn/layer.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Options of `dense`.
struct dense_options
{
    index_t in;
    index_t out;
    bool bias = true;
};

/// y = x W^T + b for x [batch, in], W [out, in], b [out] and y [batch, out].
///
/// `W` is an element type (`dense<float>`, the default) or a weight storage (`dense<csr<float>>`).
template <class W = float>
class dense
{
public:
    using storage = typename storage_of<W, 2>::type;
    using value_type = typename storage_traits<storage>::value_type;

    static constexpr std::string_view name = "dense";
    static constexpr std::size_t input_rank = 2;
    static constexpr std::size_t output_rank = 2;

    /// An empty layer, to be loaded from a file.
    dense() = default;

    /// Weights filled by `init`, biases zero. Throws `argument_error` for extents below 1.
    template <initializer Init = he_uniform>
    dense(const dense_options& options, random_engine& rng,
        const Init& init = {}) requires std::same_as<storage, tensor<value_type, 2>>
    {
        if (options.in < 1 || options.out < 1)
        {
            structopt::detail::raise<argument_error>("dense", "in and out of at least 1",
                "in " + std::to_string(options.in) + ", out " + std::to_string(options.out));
        }
        weight = make_tensor<value_type>(shape<2>{options.out, options.in});
        init(as_view(weight), options.in, options.out, rng);
        bias = structopt::zeros<value_type>(shape<1>{options.bias ? options.out : 0});
    }

    /// From a weight in any storage, and a bias of one number per output or none.
    explicit dense(storage w, tensor<value_type, 1> b = {})
        : weight(std::move(w))
        , bias(std::move(b))
    {
        if (bias.size() != 0 && size_of(bias) != outputs())
        {
            structopt::detail::raise<shape_error>(
                "dense bias", describe(shape<1>{outputs()}), describe(shape_of(bias)));
        }
    }

    /// Checks parameters that came from a file. Throws `format_error` if their extents disagree.
    void refresh()
    {
        if (inputs() < 1 || outputs() < 1)
        {
            structopt::detail::raise<format_error>(
                "dense weight", "extents of at least 1", describe(shape<2>{outputs(), inputs()}));
        }
        if (bias.size() != 0 && size_of(bias) != outputs())
        {
            structopt::detail::raise<format_error>(
                "dense bias", describe(shape<1>{outputs()}), describe(shape_of(bias)));
        }
    }

    index_t inputs() const noexcept
    {
        return storage_traits<storage>::columns(weight);
    }

    index_t outputs() const noexcept
    {
        return storage_traits<storage>::rows(weight);
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        check_shape("dense input", shape<2>{-1, inputs()}, in);
        return {in[0], outputs()};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const noexcept
    {
        return storage_traits<storage>::scratch_bytes(weight, in[0]);
    }

    void forward(view<const value_type, 2> x, view<value_type, 2> y, scratch space) const noexcept
    {
        storage_traits<storage>::product(weight, x, bias_data(), y, space);
    }

    /// Scratch of both passes of training.
    template <class T, std::size_t N>
    struct cache
    {
        buffer<std::byte> bytes;
    };

    void forward(view<const value_type, 2> x, view<value_type, 2> y,
        cache<value_type, 2>& kept) const requires trainable_storage<storage>
    {
        const std::size_t bytes =
            storage_traits<storage>::training_scratch_bytes(weight, x.shape(0));
        if (kept.bytes.size() < bytes)
        {
            kept.bytes.resize(bytes);
        }
        forward(x, y, scratch(kept.bytes.data(), kept.bytes.size()));
    }

    void backward(view<const value_type, 2> x, view<const value_type, 2>,
        view<const value_type, 2> dy, view<value_type, 2> dx, cache<value_type, 2>& kept,
        dense& gradients) const requires trainable_storage<storage>
    {
        const scratch space(kept.bytes.data(), kept.bytes.size());
        storage_traits<storage>::accumulate_gradient(gradients.weight, dy, x, space);
        value_type* const db = gradients.bias.data();
        for (index_t b = 0; bias.size() != 0 && b < dy.shape(0); ++b)
        {
            const value_type* const row = dy.data() + b * dy.shape(1);
            for (index_t i = 0; i < dy.shape(1); ++i)
            {
                db[i] += row[i];
            }
        }
        if (dx.data() != nullptr)
        {
            storage_traits<storage>::product_transposed(weight, dy, dx, space);
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, role::weight);
        visit("bias", self.bias, role::bias);
    }

    index_t cost(const shape<2>& in) const noexcept
    {
        return in[0] * storage_traits<storage>::nonzeros(weight);
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::mixes;
    }

    dense select_outputs(std::span<const index_t> indices)
        const requires std::same_as<storage, tensor<value_type, 2>>
    {
        check_selection(indices);
        return dense(
            take_rows(weight, indices), bias.size() == 0 ? bias : take_rows(bias, indices));
    }

    dense select_inputs(std::span<const index_t> indices)
        const requires std::same_as<storage, tensor<value_type, 2>>
    {
        check_selection(indices);
        return dense(take_columns(weight, indices), bias);
    }

    /// The same layer over another storage of the same extents.
    template <weight_storage Storage>
    auto with_weight(Storage replacement) const
    {
        const shape<2> expected{outputs(), inputs()};
        check_shape("dense weight", expected,
            shape<2>{storage_traits<Storage>::rows(replacement),
                storage_traits<Storage>::columns(replacement)});
        return dense<typename weight_argument<Storage, 2>::type>(std::move(replacement), bias);
    }

    storage weight = {};
    tensor<value_type, 1> bias = structopt::zeros<value_type>(shape<1>{0});

private:
    static void check_selection(std::span<const index_t> indices)
    {
        if (indices.empty())
        {
            structopt::detail::raise<argument_error>(
                "dense units", "at least one that stays", "none");
        }
    }

    const value_type* bias_data() const noexcept
    {
        return bias.size() == 0 ? nullptr : bias.data();
    }
};

dense(const dense_options&, random_engine&)->dense<float>;

template <initializer Init>
dense(const dense_options&, random_engine&, const Init&) -> dense<float>;

template <weight_storage Storage>
dense(Storage) -> dense<typename weight_argument<Storage, 2>::type>;

template <weight_storage Storage, class T>
dense(Storage, tensor<T, 1>) -> dense<typename weight_argument<Storage, 2>::type>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
