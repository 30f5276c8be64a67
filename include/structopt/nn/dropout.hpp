/// @file
/// Dropout: random elements are zero in training.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// In training, each element is zero with probability p and scaled by 1 / (1 - p) otherwise
/// (Srivastava et al., "Dropout", 2014, in the inverted form); the identity in inference.
///
/// `dropout{0.5}`. The draws come from the engine in the training cache, in the order of elements.
class dropout
{
public:
    static constexpr std::string_view name = "dropout";
    static constexpr bool in_place = true;

    /// Throws `argument_error` unless 0 <= p < 1.
    explicit dropout(double p)
        : m_p(p)
    {
        if (!(p >= 0 && p < 1))
        {
            structopt::detail::raise<argument_error>(
                "dropout p", "a probability in [0, 1)", std::to_string(p));
        }
    }

    /// Probability of zero, as it was given.
    double p() const noexcept
    {
        return m_p;
    }

    template <std::size_t N>
    constexpr shape<N> output_shape(const shape<N>& in) const noexcept
    {
        return in;
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch) const noexcept
    {
        if (y.data() != x.data())
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
    }

    /// The engine, and one byte per element: 1 where it was kept.
    template <class T, std::size_t N>
    struct cache
    {
        random_engine rng;
        buffer<std::uint8_t> kept;

        void seed(random_engine& from)
        {
            rng = from.split();
        }
    };

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, cache<T, N>& state) const
    {
        const index_t n = x.size();
        state.kept.resize(static_cast<std::size_t>(n));
        std::uint8_t* const kept = state.kept.data();
        // Two draws of 32 bits from every number; p is taken as a multiple of 2^-32.
        const auto threshold = static_cast<std::uint64_t>(std::ldexp(m_p, 32));
        for (index_t i = 0; i < n; i += 2)
        {
            const std::uint64_t draw = state.rng();
            kept[i] = (draw >> 32) >= threshold;
            if (i + 1 < n)
            {
                kept[i + 1] = (draw & 0xffffffffu) >= threshold;
            }
        }
        scale(x.data(), kept, n, y.data());
    }

    template <class T, std::size_t N>
    void backward(view<const T, N>, view<const T, N>, view<const T, N> dy, view<T, N> dx,
        cache<T, N>& state, dropout&) const noexcept
    {
        if (dx.data() != nullptr)
        {
            scale(dy.data(), state.kept.data(), dy.size(), dx.data());
        }
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    friend bool operator==(const dropout&, const dropout&) = default;

private:
    template <class T>
    void scale(const T* from, const std::uint8_t* kept, index_t n, T* to) const noexcept
    {
        const auto factor = static_cast<T>(1 / (1 - m_p));
        for (index_t i = 0; i < n; ++i)
        {
            to[i] = kept[i] != 0 ? from[i] * factor : T(0);
        }
    }

    double m_p;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
