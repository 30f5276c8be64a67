// What a user's first program does: shared by the three consumer projects.
#include <structopt/core.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>

#include <cstdio>

int main()
{
    using namespace structopt;
    random_engine rng(1);
    nn::sequential net{
        nn::dense{{.in = 4, .out = 8}, rng}, nn::relu{}, nn::dense{{.in = 8, .out = 2}, rng}};
    const auto x = full<float>(shape<2>{3, 4}, 1.5F);
    const float before = nn::forward(net, x)(2, 1);

    io::save_state(net, "consumer.safetensors");
    nn::sequential loaded{
        nn::dense{{.in = 4, .out = 8}, rng}, nn::relu{}, nn::dense{{.in = 8, .out = 2}, rng}};
    io::load_state(loaded, "consumer.safetensors");
    const float after = nn::forward(loaded, x)(2, 1);

    std::printf("structopt %d.%d.%d: %g, reloaded %g\n", STRUCTOPT_VERSION_MAJOR,
        STRUCTOPT_VERSION_MINOR, STRUCTOPT_VERSION_PATCH, static_cast<double>(before),
        static_cast<double>(after));
    return before == after ? 0 : 1;
}
