#include <doctest/doctest.h>

#include <structopt/nn/dense.hpp>
#include <structopt/nn/initializer.hpp>

#include <cmath>

namespace test_initializer
{

using namespace structopt;
using namespace structopt::nn;

namespace
{

struct statistics
{
    double mean = 0;
    double variance = 0;
    double largest = 0;
};

template <class T, class Init>
statistics of(const Init& init, index_t fan_in, index_t fan_out)
{
    static_assert(initializer<Init>);
    random_engine rng(1);
    auto weight = make_tensor<T>(shape<2>{200, 250});
    init(as_view(weight), fan_in, fan_out, rng);
    statistics s;
    const double n = 200 * 250;
    for (const T w : weight)
    {
        s.mean += static_cast<double>(w) / n;
        s.largest = std::max(s.largest, std::abs(static_cast<double>(w)));
    }
    for (const T w : weight)
    {
        const double d = static_cast<double>(w) - s.mean;
        s.variance += d * d / n;
    }
    return s;
}

template <class T, class Init>
void spreads(const Init& init, double variance, bool bounded)
{
    const statistics s = of<T>(init, 250, 200);
    CHECK(std::abs(s.mean) <= 5 * std::sqrt(variance / 50000));
    CHECK(s.variance == doctest::Approx(variance).epsilon(0.03));
    const double bound = std::sqrt(3 * variance);
    if (bounded)
    {
        CHECK(s.largest <= bound * (1 + 1e-6));
        CHECK(s.largest > 0.99 * bound);
    }
    else
    {
        CHECK(s.largest > 3 * std::sqrt(variance));
    }
}

/// Largest deviation of the smaller Gram matrix of W from gain^2 times the identity.
template <class T>
double from_orthogonal(const tensor<T, 2>& w, double gain)
{
    const bool by_rows = w.shape()[0] <= w.shape()[1];
    const auto n = static_cast<index_t>(w.shape()[by_rows ? 0 : 1]);
    const auto length = static_cast<index_t>(w.shape()[by_rows ? 1 : 0]);
    double largest = 0;
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j < n; ++j)
        {
            double sum = 0;
            for (index_t k = 0; k < length; ++k)
            {
                sum += static_cast<double>(by_rows ? w(i, k) : w(k, i)) *
                       static_cast<double>(by_rows ? w(j, k) : w(k, j));
            }
            largest = std::max(largest, std::abs(sum - (i == j ? gain * gain : 0.0)));
        }
    }
    return largest;
}

} // namespace

TEST_SUITE("smoke initializer")
{
    TEST_CASE_TEMPLATE("mean, variance and bounds", T, float, double)
    {
        spreads<T>(he_uniform{}, 2.0 / 250, true);
        spreads<T>(he_normal{}, 2.0 / 250, false);
        spreads<T>(glorot_uniform{}, 2.0 / 450, true);
        spreads<T>(glorot_normal{}, 2.0 / 450, false);
        spreads<T>(lecun_uniform{}, 1.0 / 250, true);
        spreads<T>(lecun_normal{}, 1.0 / 250, false);
    }
}

TEST_SUITE("initializer")
{
    TEST_CASE_TEMPLATE("orthogonal rows or columns", T, float, double)
    {
        random_engine rng(2);
        const double tolerance = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
        for (const auto& extents :
            {shape<2>{1, 1}, shape<2>{20, 20}, shape<2>{7, 90}, shape<2>{90, 7}, shape<2>{1, 5}})
        {
            for (const double gain : {1.0, std::sqrt(2.0)})
            {
                auto w = make_tensor<T>(extents);
                orthogonal{.gain = gain}(as_view(w), 1, 1, rng);
                CHECK(from_orthogonal(w, gain) <= tolerance);
            }
        }
    }

    TEST_CASE("orthogonal signs are even")
    {
        random_engine rng(3);
        int positive = 0;
        for (int i = 0; i < 1000; ++i)
        {
            auto w = make_tensor<double>(shape<2>{2, 2});
            orthogonal{}(as_view(w), 2, 2, rng);
            positive += w(0, 0) * w(1, 1) - w(0, 1) * w(1, 0) > 0 ? 1 : 0;
        }
        CHECK(positive > 420);
        CHECK(positive < 580);
    }

    TEST_CASE("a constant, and the initializer of a layer")
    {
        random_engine rng(4);
        const dense zero{{.in = 3, .out = 2}, rng, constant{}};
        const dense half{{.in = 3, .out = 2}, rng, constant{.number = 0.5}};
        const dense<double> turned({.in = 3, .out = 2}, rng, orthogonal{});
        CHECK(zero.weight(1, 2) == 0.0f);
        CHECK(half.weight(1, 2) == 0.5f);
        CHECK(from_orthogonal(turned.weight, 1.0) <= 1e-12);
        CHECK(turned.bias(1) == 0.0);
    }

    TEST_CASE("one seed, one weight")
    {
        random_engine a(5);
        random_engine b(5);
        const dense first{{.in = 30, .out = 20}, a, he_normal{}};
        const dense second{{.in = 30, .out = 20}, b, he_normal{}};
        CHECK(first.weight == second.weight);
    }
}

} // namespace test_initializer
