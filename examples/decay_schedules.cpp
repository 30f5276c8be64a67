// The simple CNN (8 filters of 3x3, pooling, 64 units, 10 classes, on 1x32x32 images) under three
// learning-rate schedules: step, exponential and piecewise decay.
//
// A 2x2 pool of 32x32 leaves 16x16 positions, so the first dense layer has 8 * 16 * 16 inputs. A
// step decay multiplies the rate it has by gamma every n epochs: base * gamma^(epoch / n).

#include "data.hpp"

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <cstdio>
#include <string>

using namespace structopt;

namespace
{

/// Every pixel of 8x8 drawn as a square of 4x4: [n, 1, 32, 32].
tensor<float, 4> enlarged(const tensor<float, 2>& digits)
{
    auto large = make_tensor<float>(shape<4>{shape_of(digits)[0], 1, 32, 32});
    for (index_t i = 0; i < shape_of(digits)[0]; ++i)
    {
        for (index_t y = 0; y < 32; ++y)
        {
            for (index_t x = 0; x < 32; ++x)
            {
                large(i, 0, y, x) = digits(i, y / 4 * 8 + x / 4);
            }
        }
    }
    return large;
}

template <class Schedule>
void run(
    const char* name, const train::labelled<float, 4>& digits, index_t epochs, const Schedule& rate)
{
    random_engine rng(1);
    nn::sequential net{nn::conv2d{{.in = 1, .out = 8, .kernel = 3, .padding = 1}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 2}}, nn::flatten{},
        nn::dense{{.in = 8 * 16 * 16, .out = 64}, rng}, nn::relu{},
        nn::dense{{.in = 64, .out = 10}, rng}};
    const auto history = train::fit(net, train::range(digits, 0, 1078), nn::cross_entropy{},
        optim::momentum{}, {.epochs = epochs, .batch = 32}, rng, train::per_epoch(rate),
        train::validate_on(train::range(digits, 1078, 1348)), train::accuracy{});
    const auto& last = history.epochs.back();
    std::printf("%-12s rate %.4f -> %.4f, validation accuracy %.2f %%\n", name,
        static_cast<double>(rate(0)), static_cast<double>(rate(epochs - 1)),
        100 * last.at("validation.accuracy"));
}

} // namespace

int main(int argc, char** argv)
{
    const bool quick = argc > 1 && std::string(argv[1]) == "--quick";
    const index_t epochs = quick ? 3 : 12;
    const auto all = data::digits(STRUCTOPT_EXAMPLE_DATA);
    const auto images = enlarged(all.x);
    const train::labelled digits(images, all.labels);
    run("step", digits, epochs, schedule::step_decay{.rate = 0.02, .every = 4, .gamma = 0.5});
    run("exponential", digits, epochs, schedule::exponential_decay{.rate = 0.02, .gamma = 0.85});
    run("piecewise", digits, epochs,
        schedule::piecewise_constant{.boundaries = {6, 10}, .rates = {0.02, 0.005, 0.001}});
}
