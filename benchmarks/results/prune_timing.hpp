// Forward passes of two networks, timed in turns.
#pragma once

#include <structopt/nn.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

using namespace structopt;

/// Processor time of so many forward passes, in microseconds, of a packed network.
template <class Network, std::size_t N>
class timed_network
{
public:
    timed_network(const Network& network, const shape<N>& in)
        : m_network(network)
        , m_x(structopt::full<float>(in, 0.5f))
        , m_y(make_tensor<float>(nn::output_shape(network, in)))
        , m_scratch(nn::scratch_bytes<float>(network, in))
    {
    }

    double operator()(int passes)
    {
        const std::clock_t start = std::clock();
        for (int i = 0; i < passes; ++i)
        {
            nn::forward(m_network, as_view(std::as_const(m_x)), as_view(m_y),
                nn::scratch(m_scratch.data(), m_scratch.size()));
        }
        return 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }

private:
    Network m_network;
    tensor<float, N> m_x;
    decltype(make_tensor<float>(
        nn::output_shape(std::declval<const Network&>(), std::declval<shape<N>>()))) m_y;
    buffer<std::byte> m_scratch;
};

/// Microseconds of a pass of either network: medians of 21 groups of 10 ms, in turns.
template <class A, class B>
std::pair<double, double> time_in_turns(A a, B b)
{
    const auto groups = [](auto& timed)
    {
        int passes = 1;
        while (timed(passes) < 10000 && passes < (1 << 24))
        {
            passes *= 2;
        }
        return passes;
    };
    const int passes_a = groups(a);
    const int passes_b = groups(b);
    std::vector<double> times_a;
    std::vector<double> times_b;
    for (int i = 0; i < 21; ++i)
    {
        times_a.push_back(a(passes_a) / passes_a);
        times_b.push_back(b(passes_b) / passes_b);
    }
    std::sort(times_a.begin(), times_a.end());
    std::sort(times_b.begin(), times_b.end());
    return {times_a[10], times_b[10]};
}

/// "3.1" of microseconds, "2.4x" of a ratio.
inline std::string with_digits(double value, const char* end = "")
{
    char text[32];
    std::snprintf(text, sizeof text,
        value < 10    ? "%.2f%s"
        : value < 100 ? "%.1f%s"
                      : "%.0f%s",
        value, end);
    return text;
}

} // namespace prune_results
