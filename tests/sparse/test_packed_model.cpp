#include <structopt/core/random.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/sparse/packed_model.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/memory_file.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <limits>
#include <string>

namespace test_packed_model
{

using namespace structopt;
using support::largest_difference;
using support::random_tensor;

namespace
{

static_assert(nn::packable_storage<sparse::tiled<float>>);
static_assert(nn::packable_storage<sparse::sliced<double>>);
static_assert(nn::packable_storage<sparse::packed_nm<float, 2, 4>>);
static_assert(nn::packable_storage<sparse::bsr<float, 16, 1>>);
static_assert(nn::is_exact<sparse::tiled<float>>::value);

/// At most two of every four columns, in runs of 16 rows.
template <class T>
void thin_out(tensor<T, 2>& w, index_t columns)
{
    for (index_t i = 0; i < static_cast<index_t>(w.size()); ++i)
    {
        const index_t r = i / columns;
        const index_t c = i % columns;
        if ((c + r / 16) % 4 > 1 || (c / 4 + r / 16) % 3 == 0)
        {
            w.data()[i] = T(0);
        }
    }
}

template <class Format>
void check_format(const char* name)
{
    using traits = nn::storage_traits<Format>;
    using T = typename traits::value_type;
    CHECK(traits::name() == name);
    random_engine rng(1);
    nn::dense<T> layer({.in = 70, .out = 37}, rng);
    thin_out(layer.weight, 70);
    layer.bias = random_tensor<T>(shape<1>{37}, rng);
    const nn::sequential dense{layer, nn::relu{}};
    const auto packed = nn::convert<Format>(dense);
    const Format& weight = packed.template layer<0>().weight;
    CHECK(traits::rows(weight) == 37);
    CHECK(traits::columns(weight) == 70);
    CHECK(traits::nonzeros(weight) < 37 * 70);
    CHECK(traits::unpack(weight) == layer.weight);
    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    for (index_t batch : {0, 1, 2, 5, 33, 64})
    {
        const auto x = random_tensor<T>(shape<2>{batch, 70}, rng);
        CHECK(largest_difference(dense(x), packed(x)) <= 70 * epsilon);
    }
    const support::scratch_folder folder;
    const std::string path = folder.path("packed.safetensors");
    io::save_state(packed, path);
    const auto nothing = zeros<T>(shape<2>{37, 70});
    auto other = packed;
    other.template layer<0>().weight =
        traits::pack(view<const T, 2>(nothing.data(), shape<2>{37, 70}));
    io::load_state(other, path);
    CHECK(other.template layer<0>().weight == weight);
    support::memory_file file{37, 70};
    traits::save(weight, file);
    CHECK(traits::load(file) == weight);
    file.parts["values"].resize(4);
    CHECK_THROWS_AS(traits::load(file), format_error);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("dense layers over packed sparse formats compute the same, and come back from files")
    {
        check_format<sparse::tiled<float>>("tiled");
        check_format<sparse::sliced<float>>("sliced");
    }
}

TEST_CASE("all packed formats as weights")
{
    check_format<sparse::tiled<double>>("tiled");
    check_format<sparse::sliced<double>>("sliced");
    check_format<sparse::packed_nm<float, 2, 4>>("nm2x4");
    check_format<sparse::packed_nm<double, 4, 8>>("nm4x8");
    check_format<sparse::bsr<float, 16, 1>>("bsr16x1");
    check_format<sparse::bitmask<float>>("bitmask");
    check_format<sparse::bsr<float, 4, 4, std::uint16_t>>("bsr4x4");
}

TEST_CASE("what N:M cannot hold is told before")
{
    random_engine rng(1);
    const auto w = random_tensor<float>(shape<2>{2, 8}, rng);
    using traits = nn::storage_traits<sparse::packed_nm<float, 2, 4>>;
    CHECK_FALSE(traits::fits({w.data(), shape_of(w)}));
    const auto zero = zeros<float>(shape<2>{2, 8});
    CHECK(traits::fits({zero.data(), shape_of(zero)}));
}

} // namespace test_packed_model
