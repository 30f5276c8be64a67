// A program's work from training to files, compiled twice with PART naming the instruction set. Only
// its symbols are looked at.
#include <structopt/structopt.hpp>

namespace PART
{

float work(const char* path);

float work(const char* path)
{
    structopt::random_engine rng(1);
    structopt::nn::sequential net{structopt::nn::dense{{.in = 8, .out = 16}, rng},
        structopt::nn::relu{}, structopt::nn::dense{{.in = 16, .out = 2}, rng}};
    try
    {
        structopt::io::load_state(net, path);
    }
    catch (const structopt::error&)
    {
        structopt::io::save_state(net, path);
    }
    const auto x = structopt::full<float>(structopt::shape<2>{4, 8}, 1.0F);
    return structopt::nn::forward(net, x)(0, 0);
}

} // namespace PART
