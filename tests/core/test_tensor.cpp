#include <structopt/core/tensor.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

namespace test_tensor
{

using namespace structopt;

namespace
{

template <class T>
bool aligned(const T* p)
{
    return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

static_assert(std::is_same_v<tensor_traits<tensor<float, 3>>::value_type, float>);
static_assert(tensor_traits<tensor<double, 2>>::rank == 2);
static_assert(
    std::is_same_v<tensor<float, 2>::storage_type, xt::uvector<float, aligned_allocator<float>>>);
static_assert(std::is_nothrow_move_constructible_v<buffer<float>>);

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("tensors are aligned to 64 bytes, whatever their size")
    {
        for (index_t n = 1; n < 70; ++n)
        {
            CHECK(aligned(zeros<float>(shape<1>{n}).data()));
            CHECK(aligned(zeros<std::int8_t>(shape<2>{n, 3}).data()));
            CHECK(aligned(buffer<double>(static_cast<std::size_t>(n)).data()));
        }
    }

    TEST_CASE("zeros, full, make_tensor and copy")
    {
        const auto z = zeros<float>(shape<2>{2, 3});
        CHECK(shape_of(z) == shape<2>{2, 3});
        CHECK(size_of(z) == 6);
        for (const float element : as_view(z).flat())
        {
            CHECK(element == 0);
        }
        auto x = full<int>(shape<3>{2, 1, 2}, 7);
        for (const int element : as_view(x).flat())
        {
            CHECK(element == 7);
        }
        const auto y = copy(as_view(x));
        x(0, 0, 0) = 8;
        CHECK(y(0, 0, 0) == 7);
        CHECK(shape_of(y) == shape<3>{2, 1, 2});
    }
}

TEST_CASE("tensors of no elements and of rank 0")
{
    const auto none = zeros<float>(shape<2>{0, 4});
    CHECK(size_of(none) == 0);
    CHECK(shape_of(none) == shape<2>{0, 4});
    CHECK(size_of(copy(as_view(none))) == 0);

    auto scalar = full<double>(shape<0>{}, 2.5);
    CHECK(size_of(scalar) == 1);
    CHECK(as_view(scalar)() == 2.5);
}

TEST_CASE("copies are independent, moves take the storage")
{
    auto x = full<float>(shape<1>{100}, 1.0F);
    auto y = x;
    y(3) = 5;
    CHECK(x(3) == 1);
    const float* elements = y.data();
    const auto z = std::move(y);
    CHECK(z.data() == elements);
    CHECK(z(3) == 5);
}

TEST_CASE("resize changes the extents and allocates only when the count changes")
{
    auto x = full<float>(shape<2>{4, 6}, 3.0F);
    const float* before = x.data();
    resize(x, shape<2>{8, 3});
    CHECK(shape_of(x) == shape<2>{8, 3});
    CHECK(x.data() == before);
    resize(x, shape<2>{2, 2});
    CHECK(size_of(x) == 4);
    CHECK(aligned(x.data()));
}

TEST_CASE("shape_of works on xtensor's own containers")
{
    const xt::xtensor<int, 2> x{{1, 2, 3}, {4, 5, 6}};
    CHECK(shape_of(x) == shape<2>{2, 3});
}

// The address sanitizer's operator new ends the program rather than throw.
#ifdef __has_feature
#define TEST_HAS_FEATURE(x) __has_feature(x) // clang's
#else
#define TEST_HAS_FEATURE(x) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !TEST_HAS_FEATURE(address_sanitizer)
TEST_CASE("a size that overflows is refused, not wrapped around")
{
    aligned_allocator<double> allocator;
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    // Not a constant, so that the compiler does not warn about what is tested.
    for (volatile std::size_t n : {most, most / 2, most / 8 + 2})
    {
        CHECK_THROWS_AS(allocator.deallocate(allocator.allocate(n), n), std::bad_alloc);
    }
}
#endif

TEST_CASE("allocators compare equal, so storage may move between them")
{
    CHECK(aligned_allocator<float>() == aligned_allocator<double>());
    CHECK(aligned_allocator<float>(aligned_allocator<int>()) == aligned_allocator<float>());
}

} // namespace test_tensor
