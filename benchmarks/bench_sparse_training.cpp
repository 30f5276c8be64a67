// A training step (forward, both gradients, SGD) of one layer with compressed sparse rows beside the
// same layer with dense weights: how the step's time falls with density. Before timing, the gradient
// must be that of the dense layer at the stored positions.

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/sparse/model.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

using namespace structopt;

namespace
{

using csr = sparse::csr<float, std::uint16_t>;

template <std::size_t N>
tensor<float, N> random_tensor(const shape<N>& extents, random_engine& rng)
{
    auto x = make_tensor<float>(extents);
    for (float& value : x)
    {
        value = normal<float>(rng);
    }
    return x;
}

/// One step after another for the same batch and gradient of the output.
template <class Layer>
class training
{
public:
    training(Layer layer, index_t batch)
        : m_layer(std::move(layer))
        , m_gradients(nn::zeros_like(m_layer))
        , m_state(optim::make_state(optim::sgd{}, m_layer))
    {
        random_engine rng(2);
        m_x = random_tensor(shape<2>{batch, m_layer.inputs()}, rng);
        m_dy = random_tensor(shape<2>{batch, m_layer.outputs()}, rng);
        m_dx = m_x;
        m_cache = nn::make_cache(m_layer, m_x, rng);
    }

    const Layer& gradients()
    {
        nn::set_zero(m_gradients);
        nn::forward(m_layer, m_x, m_cache);
        nn::backward(m_layer, m_dy, m_cache, m_gradients, m_dx);
        return m_gradients;
    }

    const tensor<float, 2>& input_gradient() const
    {
        return m_dx;
    }

    void step()
    {
        nn::forward(m_layer, m_x, m_cache);
        nn::backward(m_layer, m_dy, m_cache, m_gradients, m_dx);
        optim::step(optim::sgd{}, m_layer, m_gradients, m_state, 1e-9, {.zero_gradients = true});
    }

private:
    Layer m_layer;
    Layer m_gradients;
    optim::state<Layer> m_state;
    tensor<float, 2> m_x;
    tensor<float, 2> m_dy;
    tensor<float, 2> m_dx;
    nn::network_cache<Layer, float, 2> m_cache;
};

nn::dense<float> thin_layer(index_t extent, double density)
{
    random_engine rng(1);
    nn::dense layer{{.in = extent, .out = extent}, rng};
    for (float& value : layer.weight)
    {
        value = uniform<double>(rng) < density ? value : 0.0f;
    }
    return layer;
}

bool close(float a, float b)
{
    return std::abs(a - b) <= 1e-3f * (1 + std::abs(b));
}

void run_sparse(benchmark::State& state, index_t batch, index_t extent, double density)
{
    const auto dense = thin_layer(extent, density);
    training<nn::dense<csr>> sparse(nn::convert<csr>(dense), batch);
    training<nn::dense<float>> reference(dense, batch);
    const auto& expected = reference.gradients();
    bool right = true;
    sparse.gradients().weight.visit(
        [&](index_t r, index_t c, float value)
        {
            right = right && close(value, expected.weight(r, c));
        });
    const auto& dx = sparse.input_gradient();
    for (index_t i = 0; i < size_of(dx); ++i)
    {
        right = right && close(dx.data()[i], reference.input_gradient().data()[i]);
    }
    if (!right)
    {
        state.SkipWithError("other gradients than those of the dense layer");
        return;
    }
    for (auto _ : state)
    {
        sparse.step();
    }
    state.counters["weight_bytes"] = static_cast<double>(csr(as_view(dense.weight)).bytes());
}

void run_dense(benchmark::State& state, index_t batch, index_t extent)
{
    training<nn::dense<float>> dense(thin_layer(extent, 1), batch);
    for (auto _ : state)
    {
        dense.step();
    }
    state.counters["weight_bytes"] = static_cast<double>(extent * extent * 4);
}

} // namespace

int main(int argc, char** argv)
{
    for (const index_t batch : {8, 64, 256})
    {
        constexpr index_t extent = 1024;
        const std::string shape =
            std::to_string(batch) + "x" + std::to_string(extent) + "x" + std::to_string(extent);
        benchmark::RegisterBenchmark(("sparse_training/structopt_dense/" + shape).c_str(),
            [=](benchmark::State& state)
            {
                run_dense(state, batch, extent);
            });
        for (const char* const density : {"0.5", "0.2", "0.1", "0.05", "0.02"})
        {
            benchmark::RegisterBenchmark(
                ("sparse_training/structopt_csr/" + shape + "/" + density).c_str(),
                [=](benchmark::State& state)
                {
                    run_sparse(state, batch, extent, std::stod(density));
                });
        }
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
