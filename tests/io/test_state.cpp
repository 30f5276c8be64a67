#include <structopt/core/random.hpp>
#include <structopt/io/half.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/units.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace test_state
{

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

using csr8 = sparse::csr<float, std::uint8_t>;
using csr = sparse::csr<float>;
using any = nn::any_weight<float, tensor<float, 2>, csr8, quantize::int8_matrix>;

/// Every number random, and two thirds of the weights zero.
template <class Network>
void randomize(Network& net, random_engine& rng)
{
    nn::visit_parameters(net,
        [&](const nn::parameter_name&, auto& parameter, nn::role kind)
        {
            using T = typename std::remove_cvref_t<decltype(parameter)>::value_type;
            for (T& value : parameter)
            {
                const bool gone = kind == nn::role::weight && uniform<double>(rng) < 0.66;
                // Statistics are positive: one of them is a variance.
                value = kind == nn::role::statistic ? T(0.5) + uniform<T>(rng)
                        : gone                      ? T(0)
                                                    : normal<T>(rng);
            }
        });
}

auto make_network(random_engine& rng)
{
    nn::sequential net{nn::conv2d{{.in = 1, .out = 3, .kernel = 3}, rng},
        nn::batch_norm{{.features = 3}}, nn::relu{}, nn::flatten{},
        nn::sequential{nn::dense{{.in = 12, .out = 7}, rng}, nn::layer_norm{{.features = 7}}},
        nn::residual{nn::dense{{.in = 7, .out = 7, .bias = false}, rng}}};
    randomize(net, rng);
    return net;
}

const shape<4> sample{5, 1, 4, 4};

/// All bytes that a network's file has: two networks are equal if these are.
template <class Network>
std::vector<std::byte> bytes_of(const Network& net)
{
    io::safetensors_writer writer;
    io::add_state(writer, net);
    const auto bytes = writer.to_bytes();
    return {bytes.begin(), bytes.end()};
}

template <class Network>
void check_round_trip(const Network& net, Network empty)
{
    support::scratch_folder folder;
    const auto path = folder.path("net.safetensors");
    const std::size_t size = io::save_state(net, path);
    CHECK(size == support::slurp(path).size());
    CHECK(size == io::state_bytes(net));
    CHECK(folder.count() == 1);
    CHECK(bytes_of(empty) != bytes_of(net));
    io::load_state(empty, path);
    CHECK(bytes_of(empty) == bytes_of(net));
    random_engine rng(77);
    const auto x = random_tensor<float>(sample, rng);
    const auto y = net(x);
    const auto z = empty(x);
    CHECK(support::largest_difference(y, structopt::zeros<float>(shape_of(y))) < 1000);
    CHECK(std::memcmp(y.data(), z.data(), y.size() * sizeof(float)) == 0);
}

/// A writer's bytes as an open file.
struct open_file
{
    buffer<std::byte> bytes;
    io::safetensors_file file;

    explicit open_file(const io::safetensors_writer& writer)
        : bytes(writer.to_bytes())
        , file(bytes, "some.safetensors")
    {
    }
};

template <class Network>
std::string complaint(
    const io::safetensors_writer& writer, Network& net, const io::load_options& options = {})
{
    const open_file opened(writer);
    const auto before = bytes_of(net);
    const std::string text = message_of<format_error>(
        [&]
        {
            io::load_state(net, opened.file, options);
        });
    if (!text.empty())
    {
        CHECK(bytes_of(net) == before);
    }
    return text;
}

template <class T, std::size_t N>
void put(io::safetensors_writer& writer, const std::string& name, const shape<N>& extents)
{
    writer.add(name, structopt::zeros<T>(extents));
}

/// A writer with the arrays of a csr8 matrix [2, 3] under `name`, to be spoiled.
struct csr_arrays
{
    std::vector<std::uint8_t> offsets = {0, 2, 3};
    std::vector<std::uint8_t> indices = {0, 2, 1};
    std::vector<float> values = {1, 2, 3};
    std::string line = "csr8 2 3";

    io::safetensors_writer writer() const
    {
        io::safetensors_writer w;
        const auto add = [&](const char* name, const auto& list)
        {
            using V = typename std::remove_cvref_t<decltype(list)>::value_type;
            w.add(name, view<const V, 1>(list.data(), {static_cast<index_t>(list.size())}));
        };
        add("0.weight.offsets", offsets);
        add("0.weight.indices", indices);
        add("0.weight.values", values);
        put<float>(w, "0.bias", shape<1>{2});
        w.set_metadata("0.weight", line);
        return w;
    }
};

nn::sequential<nn::dense<csr8>> csr_network()
{
    const auto w = structopt::full<float>(shape<2>{2, 3}, 9.0f);
    return nn::sequential{nn::dense<csr8>(csr8(as_view(w)), structopt::zeros<float>(shape<1>{2}))};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a network comes back from its file bit for bit, in every format")
    {
        random_engine rng(1);
        const auto net = make_network(rng);
        const auto other = make_network(rng);
        check_round_trip(net, other);
        check_round_trip(nn::convert<csr8>(net), nn::convert<csr8>(other));
        check_round_trip(nn::convert<csr>(net), nn::convert<csr>(other));
        using bf16 = nn::packed_matrix<float, bfloat16>;
        check_round_trip(nn::convert<bf16>(net), nn::convert<bf16>(other));
        check_round_trip(quantize::convert(net), quantize::convert(other));
        check_round_trip(quantize::convert<quantize::sparse_int8<std::uint8_t>>(net),
            quantize::convert<quantize::sparse_int8<std::uint8_t>>(other));
        check_round_trip(quantize::convert<quantize::sparse_int8<>>(net),
            quantize::convert<quantize::sparse_int8<>>(other));
    }

    TEST_CASE("names are PyTorch's")
    {
        random_engine rng(2);
        io::safetensors_writer writer;
        io::add_state(writer, make_network(rng), "model.");
        for (const char* const name : {"model.0.weight", "model.0.bias", "model.1.weight",
                 "model.1.bias", "model.1.running_mean", "model.1.running_var", "model.4.0.weight",
                 "model.4.0.bias", "model.4.1.weight", "model.4.1.bias", "model.5.branch.weight"})
        {
            CHECK_MESSAGE(writer.contains(name), name);
        }
        CHECK(writer.size() == 11);
    }
}

TEST_CASE("a chosen format is named in the file and comes back")
{
    random_engine rng(3);
    const auto net = make_network(rng);
    const auto small = nn::convert_smallest<tensor<float, 2>, csr8, quantize::int8_matrix>(net);
    CHECK(small.layer<5>().branch.weight.format() == "int8");
    auto mixed = small;
    mixed.layer<0>().weight =
        any(csr8(as_view(nn::storage_traits<tensor<float, 4>>::unpack(net.layer<0>().weight))));
    mixed.layer<5>().branch.weight = any(net.layer<5>().branch.weight);
    check_round_trip(mixed, small);
    io::safetensors_writer writer;
    io::add_state(writer, mixed);
    const open_file opened(writer);
    CHECK(opened.file.metadata().find("0.weight")->second == "csr8 3 9");
    CHECK(opened.file.metadata().find("4.0.weight")->second == "int8 7 12");
    CHECK(opened.file.metadata().find("5.branch.weight")->second == "dense 7 7");
}

TEST_CASE("offsets take the narrowest type that holds them")
{
    for (const auto& [n, type] : {std::pair{index_t{200}, io::dtype::u8},
             std::pair{index_t{300}, io::dtype::u16}, std::pair{index_t{70000}, io::dtype::u32}})
    {
        const auto w = structopt::full<float>(shape<2>{1, n}, 1.0f);
        const nn::sequential net{nn::dense<csr>(csr(as_view(w)))};
        io::safetensors_writer writer;
        io::add_state(writer, net);
        const open_file opened(writer);
        CHECK(opened.file.at("0.weight.offsets").type == type);
        auto back = nn::sequential{nn::dense<csr>()};
        io::load_state(back, opened.file, {.resize = true});
        CHECK(back.layer<0>().weight == net.layer<0>().weight);
    }
}

TEST_CASE("everything that does not fit is told at once, and the network is unchanged")
{
    random_engine rng(4);
    auto net = make_network(rng);
    io::safetensors_writer writer;
    put<float>(writer, "0.weight", shape<4>{3, 1, 5, 5});
    put<float>(writer, "0.bias", shape<1>{3});
    put<float>(writer, "1.weight", shape<1>{3});
    put<std::int32_t>(writer, "1.bias", shape<1>{3});
    put<float>(writer, "1.running_mean", shape<1>{3});
    put<float>(writer, "1.running_var", shape<1>{3});
    put<std::int64_t>(writer, "1.num_batches_tracked", shape<1>{1});
    put<float>(writer, "4.0.weight", shape<2>{7, 12});
    put<float>(writer, "4.0.bias", shape<2>{7, 1});
    put<float>(writer, "4.1.weight", shape<1>{7});
    put<float>(writer, "5.branch.bias", shape<1>{7});
    put<double>(writer, "classifier.weight", shape<2>{2, 2});
    check_parts(complaint(writer, net),
        {"some.safetensors", "the tensors of the network",
            "2 missing: 4.1.bias [7], 5.branch.weight [7, 7]",
            "1 unexpected: classifier.weight F64 [2, 2]",
            "0.weight expected [3, 1, 3, 3] got [3, 1, 5, 5]", "4.0.bias expected [7] got [7, 1]",
            "5.branch.bias expected [0] got [7]", "3 mis-shaped",
            "1 mis-typed: 1.bias expected F32 got I32"});
}

TEST_CASE("prefix and names of another program")
{
    random_engine rng(5);
    const auto net = make_network(rng);
    auto other = make_network(rng);
    io::safetensors_writer writer;
    io::add_state(writer, net, "student.");
    io::add_state(writer, other, "teacher.");
    const open_file opened(writer);
    io::load_state(other, opened.file, {.prefix = "student."});
    CHECK(bytes_of(other) == bytes_of(net));

    auto third = make_network(rng);
    io::load_state(third, opened.file,
        {.prefix = "x.",
            .name_map =
                [](const std::string& name)
            {
                return "student." + name.substr(2);
            },
            .ignore_unexpected = true});
    CHECK(bytes_of(third) == bytes_of(net));
    // With names of its own the whole file is looked at.
    check_parts(complaint(writer, third,
                    {.name_map =
                            [](const std::string& name)
                        {
                            return "student." + name;
                        }}),
        {"11 unexpected", "teacher.0.bias"});
    CHECK(complaint(writer, third, {.prefix = "nobody."}).find("11 missing") != std::string::npos);
    CHECK(complaint(writer, third).find("22 unexpected") != std::string::npos);
}

TEST_CASE("tensors of the file that the network has no place for may be left out")
{
    random_engine rng(6);
    auto net = make_network(rng);
    const auto other = make_network(rng);
    io::safetensors_writer writer;
    io::add_state(writer, other);
    put<float>(writer, "6.weight", shape<1>{1});
    CHECK(complaint(writer, net).find("1 unexpected: 6.weight") != std::string::npos);
    CHECK(complaint(writer, net, {.ignore_unexpected = true}) == "");
    CHECK(bytes_of(net) == bytes_of(other));
}

TEST_CASE("halves, bfloats and doubles go into float networks, floats into double ones")
{
    random_engine rng(7);
    nn::dense<float> layer({.in = 3, .out = 2}, rng);
    auto w = random_tensor<double>(shape<2>{2, 3}, rng);
    const auto load = [&]<class T>(T)
    {
        io::safetensors_writer writer;
        writer.add_as<T>("weight", w);
        writer.add_as<T>("bias", structopt::zeros<double>(shape<1>{2}));
        const open_file opened(writer);
        io::load_state(layer, opened.file);
        return support::largest_difference(layer.weight, w);
    };
    CHECK(load(io::half{}) <= 0.004);
    CHECK(load(io::half{}) > 1e-6);
    CHECK(load(io::bfloat16{}) <= 0.03);
    CHECK(load(io::bfloat16{}) > 1e-5);
    CHECK(load(1.0) <= 1e-6);
    CHECK(load(1.0f) <= 1e-6);
    nn::dense<double> wide({.in = 3, .out = 2}, rng);
    io::safetensors_writer writer;
    io::add_state(writer, layer);
    CHECK(complaint(writer, wide) == "");
    CHECK(wide.weight(1, 2) == static_cast<double>(layer.weight(1, 2)));
}

TEST_CASE("a network that was only declared takes everything from the file")
{
    random_engine rng(8);
    nn::sequential net{nn::dense{{.in = 5, .out = 4}, rng}, nn::relu{},
        nn::dense{{.in = 4, .out = 2, .bias = false}, rng}};
    io::safetensors_writer writer;
    io::add_state(writer, net);
    decltype(net) declared;
    CHECK(complaint(writer, declared).find("2 mis-shaped") == std::string::npos);
    CHECK(complaint(writer, declared, {.resize = true}) == "");
    CHECK(bytes_of(declared) == bytes_of(net));
    // Weights that are nowhere are missed, also by a network without extents.
    decltype(net) lost;
    io::safetensors_writer half;
    half.add("0.weight", net.layer<0>().weight);
    check_parts(complaint(half, lost, {.resize = true}), {"1 missing: 2.weight [any, any]"});

    const auto sparse = nn::convert<csr8>(net);
    nn::sequential<nn::dense<csr8>, nn::relu, nn::dense<csr8>> empty;
    io::safetensors_writer stored;
    io::add_state(stored, sparse);
    CHECK(complaint(stored, empty, {.resize = true}) == "");
    CHECK(bytes_of(empty) == bytes_of(sparse));
    check_parts(complaint(half, empty, {.resize = true}),
        {"2 missing: 0.bias [any], 2.weight (format csr8) [any, any]",
            "1 unusable: 0.weight (expected format csr8, got a dense tensor)"});
}

TEST_CASE("a network whose units were removed loads into the one it came from")
{
    random_engine rng(9);
    nn::sequential net{nn::conv2d{{.in = 1, .out = 6, .kernel = 3}, rng},
        nn::batch_norm{{.features = 6}}, nn::relu{},
        nn::conv2d{{.in = 6, .out = 6, .kernel = 1, .groups = 6}, rng},
        nn::conv2d{{.in = 6, .out = 4, .kernel = 1}, rng}, nn::relu{}, nn::flatten{},
        nn::dense{{.in = 4 * 2 * 2, .out = 5}, rng}, nn::relu{},
        nn::dense{{.in = 5, .out = 3}, rng}};
    randomize(net, rng);
    const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5});
    const auto smaller = prune::compact(net, sample, kept);
    io::safetensors_writer writer;
    io::add_state(writer, smaller);
    check_parts(complaint(writer, net), {"0.weight expected [6, 1, 3, 3] got [3, 1, 3, 3]"});
    CHECK(complaint(writer, net, {.resize = true}) == "");
    CHECK(bytes_of(net) == bytes_of(smaller));
    const auto x = random_tensor<float>(sample, rng);
    CHECK(net(x) == smaller(x));
    // And the other way round.
    CHECK(net.layer<3>().options().groups == 3);
    CHECK(net.layer<1>().options().features == 3);
}

TEST_CASE("with resize, extents that disagree within a layer are refused")
{
    random_engine rng(10);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 4, .kernel = 3}, rng},
        nn::batch_norm{{.features = 4}}, nn::flatten{}, nn::dense{{.in = 4, .out = 3}, rng},
        nn::layer_norm{{.features = 3}}};
    const auto spoil = [&](const std::string& name, auto extents)
    {
        io::safetensors_writer writer;
        nn::visit_parameters(net,
            [&](const nn::parameter_name& path, const auto& parameter, nn::role)
            {
                if (path.text() != name)
                {
                    writer.add(path.text(), parameter);
                }
            });
        put<float>(writer, name, extents);
        return complaint(writer, net, {.resize = true});
    };
    check_parts(spoil("0.bias", shape<1>{5}), {"some.safetensors layer '0'", "conv2d"});
    check_parts(spoil("0.weight", shape<4>{5, 2, 3, 3}), {"layer '0'", "conv2d"});
    check_parts(spoil("0.weight", shape<4>{4, 2, 2, 2}), {"layer '0'", "conv2d"});
    check_parts(spoil("0.weight", shape<4>{0, 2, 3, 3}), {"layer '0'", "conv2d"});
    check_parts(spoil("0.weight", shape<4>{4, 0, 3, 3}), {"layer '0'", "conv2d"});
    check_parts(spoil("1.running_var", shape<1>{3}), {"layer '1'", "batch_norm"});
    check_parts(spoil("1.weight", shape<1>{5}), {"layer '1'", "batch_norm"});
    check_parts(spoil("3.bias", shape<1>{4}), {"layer '3'", "dense bias"});
    check_parts(spoil("3.weight", shape<2>{2, 4}), {"layer '3'", "dense bias"});
    check_parts(spoil("4.bias", shape<1>{2}), {"layer '4'", "layer_norm"});
    // Another rank is no other extent.
    check_parts(
        spoil("3.weight", shape<3>{3, 4, 1}), {"3.weight expected [any, any] got [3, 4, 1]"});
    // Between layers it shows at the first call, as ever.
    CHECK(spoil("3.weight", shape<2>{3, 9}) == "");
    CHECK(message_of<shape_error>(
              [&]
              {
                  net(structopt::zeros<float>(shape<4>{1, 2, 3, 3}));
              }) != "");
}

namespace
{

/// One matrix under two names, as in a language model whose first and last layer share it.
struct tied
{
    using value_type = float;

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("encoder", self.weight, nn::role::weight);
        visit("decoder", self.weight, nn::role::weight);
        visit("limit", self.limit, nn::role::statistic);
    }

    tensor<float, 2> weight = structopt::zeros<float>(shape<2>{2, 2});
    tensor<float, 1> limit = structopt::zeros<float>(shape<1>{1});
};

} // namespace

TEST_CASE("tied parameters are stored once, and loaded from their first name")
{
    tied layer;
    layer.weight.fill(3);
    io::safetensors_writer writer;
    io::add_state(writer, layer);
    CHECK(writer.contains("encoder"));
    CHECK(!writer.contains("decoder"));
    tied back;
    CHECK(complaint(writer, back) == "");
    CHECK(back.weight(1, 1) == 3);
    // A file that has both is no error.
    writer.add("decoder", structopt::full<float>(shape<2>{2, 2}, 4.0f));
    CHECK(complaint(writer, back) == "");
    CHECK(back.weight(1, 1) == 3);
    // This layer does not say that its extents may change.
    io::safetensors_writer other;
    put<float>(other, "encoder", shape<2>{2, 3});
    put<float>(other, "limit", shape<1>{1});
    check_parts(complaint(other, back, {.resize = true}),
        {"tensor 'encoder'", "[2, 2] (this layer takes no others)", "[2, 3]"});
}

TEST_CASE("metadata that is no format, and arrays that lie")
{
    auto net = csr_network();
    csr_arrays good;
    CHECK(complaint(good.writer(), net) == "");
    CHECK(net.layer<0>().weight.values()[2] == 3);

    const auto with_line = [&](const std::string& line, bool resize = true)
    {
        csr_arrays arrays;
        arrays.line = line;
        return complaint(arrays.writer(), net, {.resize = resize});
    };
    for (const char* const line : {"", "csr8", "csr8 2", "csr8 2 ", "csr8  2 3", "csr8 2 3 ",
             "csr8 2 3 4", "csr8 -2 3", "csr8 2 -3", "csr8 +2 3", "csr8 2 3x", "csr8 0x2 3",
             "csr8 2.0 3", "csr8 99999999999999999999 3", "csr8 2 9223372036854775807",
             "csr8 4611686018427387904 4", "csr8 1099511627777 0", "2 3 csr8"})
    {
        INFO(line);
        check_parts(with_line(line), {"1 unusable: 0.weight", "a format and two extents"});
    }
    check_parts(with_line("csr 2 3"), {"0.weight (expected format csr8, got 'csr')"});
    check_parts(with_line("int8 2 3"), {"expected format csr8, got 'int8'"});
    check_parts(with_line(" 2 3"), {"expected format csr8, got ''"});
    check_parts(with_line("csr8\x01 2 3"), {"expected format csr8, got 'csr8\\x01'"});
    check_parts(
        with_line("csr8 2 4", false), {"1 mis-shaped: 0.weight expected [2, 3] got [2, 4]"});
    check_parts(
        with_line("csr8 3 3", false), {"1 mis-shaped: 0.weight expected [2, 3] got [3, 3]"});
    check_parts(with_line("csr8 3 3"), {"1 unusable: 0.weight (csr offsets: expected 4 numbers"});
    check_parts(with_line("csr8 2 2"), {"csr indices, row 0, position 1", "columns below 2"});
    check_parts(with_line("csr8 2 257"), {"at most 256 columns"});
    check_parts(with_line("csr8 1099511627776 1"), {"csr offsets: expected 1099511627777"});

    csr_arrays bad;
    bad.offsets = {0, 3, 2};
    check_parts(complaint(bad.writer(), net), {"1 unusable: 0.weight (csr"});
    bad = good;
    bad.offsets = {0, 2, 200};
    check_parts(complaint(bad.writer(), net), {"0.weight (csr arrays"});
    bad = good;
    bad.indices = {0, 3, 1};
    check_parts(complaint(bad.writer(), net), {"0.weight (csr indices, row 0, position 1"});
    bad = good;
    bad.values.pop_back();
    check_parts(complaint(bad.writer(), net), {"0.weight (csr arrays"});

    // Arrays that are not there, of the wrong type, or too many.
    io::safetensors_writer lacking;
    lacking.set_metadata("0.weight", "csr8 2 3");
    put<float>(lacking, "0.bias", shape<1>{2});
    put<std::uint8_t>(lacking, "0.weight.offsets", shape<1>{3});
    check_parts(complaint(lacking, net), {"1 unusable: 0.weight", "'0.weight.indices'"});
    put<float>(lacking, "0.weight.indices", shape<1>{0});
    check_parts(complaint(lacking, net), {"1 unusable: 0.weight", "0.weight.indices", "F32"});
    auto surplus = good.writer();
    put<float>(surplus, "0.weight.scales", shape<1>{2});
    check_parts(complaint(surplus, net), {"1 unexpected: 0.weight.scales"});
    io::safetensors_writer nothing;
    check_parts(complaint(nothing, net), {"2 missing: 0.weight (format csr8) [2, 3], 0.bias [2]"});

    // Everything at once.
    bad = good;
    bad.line = "csr8 2 3";
    bad.indices = {0, 0, 1};
    auto all = bad.writer();
    put<float>(all, "extra", shape<1>{2});
    nn::sequential two{net.layer<0>(), nn::dense<float>()};
    check_parts(complaint(all, two, {.resize = true}),
        {"1 missing: 1.weight", "1 unexpected: extra", "1 unusable: 0.weight (csr indices"});
}

TEST_CASE("int8 arrays that lie")
{
    const auto w = structopt::full<float>(shape<2>{2, 3}, 1.0f);
    nn::sequential net{nn::dense<quantize::int8_matrix>(quantize::int8_matrix(as_view(w)))};
    std::vector<std::int8_t> codes = {1, 2, 3, 4, 5, 6};
    std::vector<float> scales = {0.5f, 0.25f};
    std::string line = "int8 2 3";
    const auto run = [&]
    {
        io::safetensors_writer writer;
        writer.add("0.weight.codes",
            view<const std::int8_t, 1>(codes.data(), {static_cast<index_t>(codes.size())}));
        writer.add("0.weight.scales",
            view<const float, 1>(scales.data(), {static_cast<index_t>(scales.size())}));
        writer.set_metadata("0.weight", line);
        return complaint(writer, net, {.resize = true});
    };
    CHECK(run() == "");
    CHECK(net.layer<0>().weight.codes().codes(1, 2) == 6);
    codes[4] = -128;
    check_parts(run(), {"0.weight (int8 codes, position 4", "-128"});
    codes[4] = 5;
    scales[1] = -1;
    check_parts(run(), {"0.weight (int8 scale, row 1"});
    scales[1] = std::numeric_limits<float>::quiet_NaN();
    check_parts(run(), {"0.weight (int8 scale, row 1"});
    scales = {1};
    check_parts(run(), {"0.weight (int8 scales: expected 2"});
    scales = {1, 1};
    for (const char* const wrong :
        {"int8 2 4", "int8 3 3", "int8 0 0", "int8 6 0", "int8 1048576 1048576"})
    {
        line = wrong;
        check_parts(run(), {"0.weight (int8"});
    }
    codes.clear();
    // 2^62 and 2^64 codes: the latter are none, if counted in 64 bits.
    for (const char* const wrong : {"int8 2147483648 2147483648", "int8 4294967296 4294967296"})
    {
        line = wrong;
        check_parts(run(), {"0.weight (expected a format"});
    }
}

TEST_CASE("formats that any_weight does not have, and dense files for converted networks")
{
    random_engine rng(11);
    const auto net = make_network(rng);
    auto chosen = nn::convert_smallest<tensor<float, 2>, csr8>(net);
    io::safetensors_writer int8;
    io::add_state(int8, quantize::convert(net));
    check_parts(complaint(int8, chosen),
        {"3 unusable", "0.weight (", "a format out of dense, csr8, got int8"});
    io::safetensors_writer dense;
    io::add_state(dense, net);
    check_parts(
        complaint(dense, chosen), {"3 unusable", "expected format of its own, got a dense tensor"});
    // The other way round, the message says what the file has.
    auto plain = net;
    check_parts(
        complaint(int8, plain), {"3 unusable: 0.weight (expected a dense tensor, got 'int8 3 9')"});
    CHECK(complaint(int8, plain).find("unexpected") == std::string::npos);
    // A dense matrix as one format among others is checked, too.
    io::safetensors_writer short_one;
    io::add_state(
        short_one, nn::sequential{nn::dense<any>(any(structopt::zeros<float>(shape<2>{2, 2})))});
    short_one.set_metadata("0.weight", "dense 2 3");
    nn::sequential<nn::dense<any>> one;
    check_parts(complaint(short_one, one, {.resize = true}), {"0.weight", "6 values", "got 4"});
}

TEST_CASE("a truncated file changes nothing")
{
    random_engine rng(12);
    const auto net = quantize::convert<quantize::sparse_int8<std::uint8_t>>(make_network(rng));
    auto other = quantize::convert<quantize::sparse_int8<std::uint8_t>>(make_network(rng));
    const auto before = bytes_of(other);
    support::scratch_folder folder;
    const auto path = folder.path("net.safetensors");
    io::save_state(net, path);
    const auto whole = support::slurp(path);
    for (std::size_t n = 0; n < whole.size(); n += 7)
    {
        support::spill(path, std::span(whole).first(n));
        CHECK(message_of<error>(
                  [&]
                  {
                      io::load_state(other, path);
                  })
                  .find("net.safetensors") != std::string::npos);
    }
    CHECK(bytes_of(other) == before);
    CHECK(message_of<error>(
              [&]
              {
                  io::load_state(other, folder.path("none"));
              })
              .find("none") != std::string::npos);
}

TEST_CASE("damaged files are refused or load something harmless")
{
    random_engine rng(13);
    const auto net = nn::sequential{nn::convert<csr8>(nn::dense{{.in = 9, .out = 6}, rng}),
        quantize::convert(nn::dense{{.in = 6, .out = 5}, rng})};
    io::safetensors_writer writer;
    io::add_state(writer, net);
    const auto good = writer.to_bytes();
    const auto x = random_tensor<float>(shape<2>{2, 9}, rng);
    int refused = 0;
    for (int i = 0; i < 3000; ++i)
    {
        auto bytes = good;
        for (int k = 0; k < 1 + i % 3; ++k)
        {
            const auto at =
                static_cast<std::size_t>(uniform_index(rng, static_cast<index_t>(bytes.size())));
            bytes[at] = static_cast<std::byte>(uniform_index(rng, 256));
        }
        auto loaded = net;
        try
        {
            const io::safetensors_file file(bytes, "damaged");
            io::load_state(loaded, file, {.resize = i % 2 == 0, .ignore_unexpected = i % 5 == 0});
            // Whatever came in can be used; nothing is read out of bounds.
            loaded(x);
        }
        catch (const error&)
        {
            ++refused;
        }
    }
    CHECK(refused > 1000);
    CHECK(refused < 3000);
}

TEST_CASE("further metadata is kept")
{
    random_engine rng(14);
    support::scratch_folder folder;
    const auto path = folder.path("net.safetensors");
    io::save_state(nn::dense{{.in = 1, .out = 1}, rng}, path,
        {.prefix = "a.", .metadata = {{"made by", "a test"}}});
    const io::safetensors_file file(path);
    CHECK(file.metadata().find("made by")->second == "a test");
    CHECK(file.find("a.weight") != nullptr);
}

TEST_CASE("a published network under Caffe's names")
{
    const auto path =
        support::real_file("STRUCTOPT_MODELS_DIR", "dns-lenet/lenet300100_sparse.safetensors");
    if (path.empty())
    {
        return;
    }
    nn::sequential<nn::dense<float>, nn::relu, nn::dense<float>, nn::relu, nn::dense<float>> net;
    const auto caffe = [](const std::string& name)
    {
        return "ip" + std::to_string(1 + (name[0] - '0') / 2) + name.substr(1);
    };
    io::load_state(net, path, {.name_map = caffe, .resize = true});
    CHECK(nn::parameter_count(net) == 266610);
    CHECK(shape_of(net.layer<0>().weight) == shape<2>{300, 784});
    const auto sparse = nn::convert<sparse::csr<float, std::uint16_t>>(net);
    CHECK(sparse.layer<0>().weight.nonzeros() == 4351);
    CHECK(sparse.layer<2>().weight.nonzeros() == 552);
    CHECK(sparse.layer<4>().weight.nonzeros() == 49);
    check_parts(message_of<format_error>(
                    [&]
                    {
                        io::load_state(net, path);
                    }),
        {"6 missing: 0.weight [300, 784]", "6 unexpected", "ip1.weight F32 [300, 784]"});
    // Its sparse file is small, and computes the same.
    support::scratch_folder folder;
    const std::size_t size = io::save_state(sparse, folder.path("sparse.safetensors"));
    CHECK(size < 35000);
    random_engine rng(15);
    const auto x = random_tensor<float>(shape<2>{4, 784}, rng);
    CHECK(support::largest_difference(net(x), sparse(x)) <= 1e-4);
}

} // namespace test_state
