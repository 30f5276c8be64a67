/// @file
/// The explicit random engine, distributions and shuffle: the same numbers with every standard
/// library (the distributions of `<random>` differ between vendors).
#pragma once

#include <structopt/core/view.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE

/// xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021),
/// seeded by splitmix64. A plain value of four words that can be saved and restored.
///
/// A `std::uniform_random_bit_generator`, period 2^256 - 1.
class random_engine
{
public:
    using result_type = std::uint64_t;
    using state_type = std::array<std::uint64_t, 4>;

    explicit random_engine(std::uint64_t seed = 0) noexcept
    {
        for (auto& word : m_state)
        {
            seed += 0x9e3779b97f4a7c15u;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
            word = z ^ (z >> 31);
        }
    }

    static constexpr result_type min() noexcept
    {
        return 0;
    }

    static constexpr result_type max() noexcept
    {
        return std::numeric_limits<result_type>::max();
    }

    result_type operator()() noexcept
    {
        const std::uint64_t result = std::rotl(m_state[1] * 5, 7) * 9;
        const std::uint64_t t = m_state[1] << 17;
        m_state[2] ^= m_state[0];
        m_state[3] ^= m_state[1];
        m_state[1] ^= m_state[2];
        m_state[0] ^= m_state[3];
        m_state[2] ^= t;
        m_state[3] = std::rotl(m_state[3], 45);
        return result;
    }

    /// An engine for an independent part of the work, seeded by this one's next number.
    random_engine split() noexcept
    {
        return random_engine((*this)());
    }

    const state_type& state() const noexcept
    {
        return m_state;
    }

    /// Restores a saved state. All zeros is the one state the generator never leaves: refused.
    void restore(const state_type& state)
    {
        if ((state[0] | state[1] | state[2] | state[3]) == 0)
        {
            detail::raise<argument_error>("random_engine state", "a non-zero word", "four zeros");
        }
        m_state = state;
    }

    friend bool operator==(const random_engine&, const random_engine&) = default;

private:
    state_type m_state{};
};

/// Uniform on [0, 1): 24 (float) or 53 (double) random bits.
template <std::floating_point T>
T uniform(random_engine& rng) noexcept
{
    constexpr int digits = std::numeric_limits<T>::digits;
    return static_cast<T>(rng() >> (64 - digits)) * (T(1) / static_cast<T>(1ull << digits));
}

/// Uniform on [low, high).
template <std::floating_point T>
T uniform(random_engine& rng, T low, T high) noexcept
{
    const T x = low + (high - low) * uniform<T>(rng);
    return x < high ? x : std::nextafter(high, low); // the sum may round up
}

/// Uniform on the integers 0 .. n-1, without bias (rejection). `n` must be positive.
inline index_t uniform_index(random_engine& rng, index_t n) noexcept
{
    STRUCTOPT_ASSERT(n > 0);
    const auto range = static_cast<std::uint64_t>(n);
    const std::uint64_t reject = (0 - range) % range; // 2^64 mod range
    std::uint64_t draw = rng();
    while (draw < reject)
    {
        draw = rng();
    }
    return static_cast<index_t>(draw % range);
}

/// Standard normal, by the polar method of Marsaglia; one of each pair is used, so the engine is
/// the whole state.
template <std::floating_point T>
T normal(random_engine& rng) noexcept
{
    for (;;)
    {
        const double u = 2 * uniform<double>(rng) - 1;
        const double v = 2 * uniform<double>(rng) - 1;
        const double s = u * u + v * v;
        if (s > 0 && s < 1)
        {
            return static_cast<T>(u * std::sqrt(-2 * std::log(s) / s));
        }
    }
}

/// Normal with the given mean and standard deviation.
template <std::floating_point T>
T normal(random_engine& rng, T mean, T deviation) noexcept
{
    return mean + deviation * normal<T>(rng);
}

/// True with probability `p`.
inline bool bernoulli(random_engine& rng, double p) noexcept
{
    return uniform<double>(rng) < p;
}

/// Puts the elements in random order (Fisher-Yates).
template <class T>
void shuffle(std::span<T> items, random_engine& rng) noexcept
{
    for (std::size_t i = items.size(); i > 1; --i)
    {
        const auto j = static_cast<std::size_t>(uniform_index(rng, static_cast<index_t>(i)));
        std::swap(items[i - 1], items[j]);
    }
}

STRUCTOPT_END_NAMESPACE
