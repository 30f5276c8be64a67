#include <structopt/io/checkpoint.hpp>
#include <structopt/io/mask.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/rigl.hpp>
#include <structopt/prune/splicing.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/message.hpp"
#include "support/sparse_training.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace test_mask
{

using namespace structopt;
using support::sparse_problem;

TEST_SUITE("smoke")
{
    TEST_CASE("a mask comes back as it was, zeros that stay too")
    {
        const support::scratch_folder folder;
        const std::string file = folder.path("mask.safetensors");
        const sparse_problem p;
        auto net = p.network();
        auto mask = prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.75});
        prune::apply(net, mask);
        std::size_t first = 0;
        while (mask.keep[0][first] == 0)
        {
            ++first;
        }
        net.layer<0>().weight.data()[first] = 0;
        mask.keep[0][first] = 7; // any number but 0 says that it stays
        io::save_mask(file, net, mask);
        const auto loaded = io::load_mask(file, net);
        mask.keep[0][first] = 1;
        CHECK(loaded == mask);
        CHECK(!(prune::mask_of_zeros(net) == mask));
        // For others: under the parameter's name, of its extents.
        const io::safetensors_file there(file);
        CHECK(there.size() == 2);
        CHECK(there.at("keep.0.weight").type == io::dtype::boolean);
        CHECK(there.at("keep.2.weight").shape == std::vector<index_t>{2, 20});
    }
}

TEST_CASE("RigL goes on bit for bit from files")
{
    const support::scratch_folder folder;
    const sparse_problem p;
    const prune::rigl_options how{.every = 4, .fraction = 0.5};
    const auto start = [&]
    {
        return prune::rigl{
            prune::make_mask(p.network(), prune::magnitude{}, {.sparsity = 0.75}), how};
    };
    auto whole = p.network();
    auto one = start();
    p.fit(whole, 8, one);

    random_engine rng(5);
    const train::options options{.epochs = 8, .batch = 16};
    auto net = p.network();
    auto two = start();
    auto run = train::start(net, p.heavy, rng);
    train::resume(net, run, p.data(), nn::cross_entropy{}, p.heavy, options, two,
        train::after_step(
            [](auto& at)
            {
                return at.run.optimizer.step == 10 ? train::control::pause : train::control::go_on;
            }));
    io::save_checkpoint(folder.path("run.safetensors"), net, run);
    io::save_mask(folder.path("mask.safetensors"), net, two.mask());

    auto again = p.network();
    train::run_state<sparse_problem::network_type> state;
    io::load_checkpoint(folder.path("run.safetensors"), again, state);
    prune::rigl three{io::load_mask(folder.path("mask.safetensors"), again), how};
    train::resume(again, state, p.data(), nn::cross_entropy{}, p.heavy, options, three);
    CHECK(support::equal_networks(again, whole));
    CHECK(three.mask() == one.mask());
}

TEST_CASE("what splicing hides comes back to the bit")
{
    const support::scratch_folder folder;
    const std::string file = folder.path("splicing.safetensors");
    const sparse_problem p;
    auto net = p.network();
    prune::splicing cut{prune::deviation_threshold{.c = 0.5}, prune::splicing_options{.until = 1}};
    p.fit(net, 3, cut);
    REQUIRE(cut.mask().sparsity() > 0);
    io::save_splicing(file, net, cut.state());
    CHECK(io::load_splicing(file, net) == cut.state());
    CHECK(io::load_mask(file, net) == cut.mask());
}

TEST_CASE("what does not fit is refused by name")
{
    const support::scratch_folder folder;
    const std::string file = folder.path("mask.safetensors");
    const sparse_problem p;
    const auto net = p.network();
    CHECK_THROWS_AS(io::save_mask(file, net, prune::mask{{{1, 0}}}), shape_error);
    CHECK_THROWS_AS(
        io::save_splicing(file, net, {prune::mask_of_zeros(net), {{1.0}}}), shape_error);
    io::save_mask(file, net, prune::mask_of_zeros(net));
    random_engine rng(1);
    const nn::sequential wider{
        nn::dense{{.in = 6, .out = 21}, rng}, nn::relu{}, nn::dense{{.in = 21, .out = 2}, rng}};
    CHECK_THROWS_AS(io::load_mask(file, wider), shape_error);
    const nn::sequential shorter{nn::dense{{.in = 6, .out = 20}, rng}};
    support::check_parts(support::message_of<format_error>(
                             [&]
                             {
                                 io::load_mask(file, shorter);
                             }),
        {"mask.safetensors", "keep.", "parameters of this network"});
    io::safetensors_writer other;
    other.add("keep.0.weight", zeros<float>(shape<1>{120}));
    other.write(file);
    support::check_parts(support::message_of<format_error>(
                             [&]
                             {
                                 io::load_mask(file, net);
                             }),
        {"structopt.mask", "none"});
}

} // namespace test_mask
