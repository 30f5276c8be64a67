// A layer from outside the library goes the whole way: trained, pruned, quantized, saved, reported.

#include <structopt/compress.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/train.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

namespace test_user_layer
{

using namespace structopt;

namespace
{

/// y = (x * scale) W^T: a dense layer without bias whose inputs have a trained scale each.
template <class Storage = tensor<float, 2>>
struct scaled_dense
{
    using value_type = float;
    static constexpr std::string_view name = "scaled_dense";
    static constexpr std::size_t input_rank = 2;
    static constexpr std::size_t output_rank = 2;

    Storage weight = {};
    tensor<float, 1> scale = zeros<float>(shape<1>{0});

    index_t inputs() const noexcept
    {
        return nn::storage_traits<Storage>::columns(weight);
    }

    index_t outputs() const noexcept
    {
        return nn::storage_traits<Storage>::rows(weight);
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        check_shape("scaled_dense input", shape<2>{-1, inputs()}, in);
        return {in[0], outputs()};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const noexcept
    {
        return nn::scratch_size<float>(count(in)) +
               nn::storage_traits<Storage>::scratch_bytes(weight, in[0]);
    }

    void forward(view<const float, 2> x, view<float, 2> y, nn::scratch space) const noexcept
    {
        const view<float, 2> scaled(space.take<float>(x.size()), x.shape());
        multiply(x, scaled);
        nn::storage_traits<Storage>::product(weight, scaled, nullptr, y, space);
    }

    template <class T, std::size_t N>
    struct cache
    {
        tensor<float, 2> scaled;
        tensor<float, 2> d_scaled;
        buffer<std::byte> bytes;
    };

    void forward(view<const float, 2> x, view<float, 2> y, cache<float, 2>& kept) const
    {
        resize(kept.scaled, x.shape());
        multiply(x, as_view(kept.scaled));
        kept.bytes.resize(nn::storage_traits<Storage>::training_scratch_bytes(weight, x.shape(0)));
        nn::storage_traits<Storage>::product(weight, as_view(kept.scaled), nullptr, y,
            nn::scratch(kept.bytes.data(), kept.bytes.size()));
    }

    void backward(view<const float, 2> x, view<const float, 2>, view<const float, 2> dy,
        view<float, 2> dx, cache<float, 2>& kept, scaled_dense& gradients) const
    {
        const nn::scratch space(kept.bytes.data(), kept.bytes.size());
        using traits = nn::storage_traits<Storage>;
        traits::accumulate_gradient(gradients.weight, dy, as_view(kept.scaled), space);
        resize(kept.d_scaled, x.shape());
        traits::product_transposed(weight, dy, as_view(kept.d_scaled), space);
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t i = 0; i < x.shape(1); ++i)
            {
                gradients.scale(i) += kept.d_scaled(b, i) * x(b, i);
                if (dx.data() != nullptr)
                {
                    dx(b, i) = kept.d_scaled(b, i) * scale(i);
                }
            }
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, nn::role::weight);
        visit("scale", self.scale, nn::role::scale);
    }

    index_t cost(const shape<2>& in) const noexcept
    {
        return in[0] * nn::storage_traits<Storage>::nonzeros(weight);
    }

    static constexpr nn::coupling unit_coupling() noexcept
    {
        return nn::coupling::mixes;
    }

    scaled_dense select_outputs(std::span<const index_t> indices) const
    {
        return {nn::take_rows(weight, indices), scale};
    }

    scaled_dense select_inputs(std::span<const index_t> indices) const
    {
        return {nn::take_columns(weight, indices), nn::take_rows(scale, indices)};
    }

    template <nn::weight_storage Other>
    scaled_dense<Other> with_weight(Other other) const
    {
        return {std::move(other), scale};
    }

    void refresh()
    {
        if (inputs() < 1 || outputs() < 1 || size_of(scale) != inputs())
        {
            detail::raise<format_error>("scaled_dense", "a scale per input", "another number");
        }
    }

private:
    void multiply(view<const float, 2> x, view<float, 2> y) const noexcept
    {
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t i = 0; i < x.shape(1); ++i)
            {
                y(b, i) = x(b, i) * scale.data()[i];
            }
        }
    }
};

scaled_dense<> make(index_t in, index_t out, random_engine& rng)
{
    scaled_dense<> layer;
    layer.weight = make_tensor<float>(shape<2>{out, in});
    nn::he_uniform{}(as_view(layer.weight), in, out, rng);
    layer.scale = full<float>(shape<1>{in}, 1.0f);
    return layer;
}

} // namespace

TEST_CASE("a user's layer is trained, pruned, quantized, saved and reported like ours")
{
    static_assert(nn::selectable<scaled_dense<>> && nn::weighted<scaled_dense<>>);
    random_engine rng(5);
    nn::sequential net{make(6, 16, rng), nn::relu{}, make(16, 3, rng)};

    // Three classes, told apart by the largest of the first three inputs.
    auto x = make_tensor<float>(shape<2>{300, 6});
    std::vector<std::int32_t> labels;
    for (index_t i = 0; i < 300; ++i)
    {
        std::int32_t best = 0;
        for (index_t j = 0; j < 6; ++j)
        {
            x(i, j) = normal<float>(rng);
            best = j < 3 && x(i, j) > x(i, best) ? static_cast<std::int32_t>(j) : best;
        }
        labels.push_back(best);
    }
    const train::labelled data(x, labels);
    const auto accuracy = [&](const auto& network)
    {
        train::accuracy metric;
        return train::evaluate(network, data, metric)[0];
    };
    train::fit(net, data, nn::cross_entropy{}, optim::adam{.rate = 0.01}, {.epochs = 40}, rng);
    CHECK(accuracy(net) > 0.95);

    SUBCASE("weights are pruned and stay zero while training goes on")
    {
        prune::hold mask(prune::apply(
            net, prune::magnitude{}, {.sparsity = 0.5, .scope = prune::scope::global}));
        train::fit(net, data, nn::cross_entropy{}, optim::adam{.rate = 0.01, .weight_decay = 0.01},
            {.epochs = 10}, rng, mask);
        const auto r = compress::measure(net, shape<2>{1, 6}, "pruned", 0, {.seconds = 0.001});
        CHECK(r.layers[0].type == "scaled_dense");
        CHECK(r.layers[0].nonzeros + r.layers[2].nonzeros == (96 + 48) / 2 + 6 + 16);
        CHECK(accuracy(net) > 0.9);
    }

    SUBCASE("units are removed: masked and compacted networks agree")
    {
        const shape<2> sample{1, 6};
        const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5});
        const auto small = prune::compact(net, sample, kept);
        CHECK(small.layer<0>().outputs() == 8);
        CHECK(small.layer<2>().inputs() == 8);
        auto removed = net;
        for (index_t u = 0; u < 16; ++u)
        {
            const bool stays = std::find(kept[0].begin(), kept[0].end(), u) != kept[0].end();
            for (index_t i = 0; i < 6 && !stays; ++i)
            {
                removed.layer<0>().weight(u, i) = 0;
            }
        }
        const auto a = removed(x);
        const auto b = small(x);
        for (index_t i = 0; i < size_of(a); ++i)
        {
            CHECK(a.data()[i] == doctest::Approx(b.data()[i]).epsilon(1e-5));
        }
    }

    SUBCASE("int8 weights, saved and loaded again")
    {
        const auto int8 = quantize::convert(net);
        CHECK(accuracy(int8) > accuracy(net) - 0.02);
        io::save_state(int8, "user_layer.safetensors");
        nn::sequential<scaled_dense<quantize::int8_matrix>, nn::relu,
            scaled_dense<quantize::int8_matrix>>
            again;
        io::load_state(again, "user_layer.safetensors", {.resize = true});
        CHECK(again(x) == int8(x));
        std::filesystem::remove("user_layer.safetensors");
    }
}

} // namespace test_user_layer
