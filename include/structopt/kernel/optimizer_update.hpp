/// @file
/// The inner loops of the optimizers: one pass over parallel arrays, a register at a time.
///
/// `update<Arch, Zero>(rule, n, arrays)` walks through `Rule::arrays` arrays of n numbers each:
/// values, gradients, then the optimizer's slots. At every position it loads one register of each,
/// applies the rule, and writes values and slots back; gradients are not written, or set to zero
/// with `Zero`. The last few positions go through the same registers, partly filled, so an element's
/// result depends neither on its position nor on n. No alignment is asked for.
///
/// A rule is a struct of constants of type T with `operator()(V* r)`, r[0] being the values, r[1]
/// the gradients (a scratch register: it is not written back) and r[2...] the slots.
#pragma once

#include <structopt/simd/sqrt.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

template <class Arch, bool Zero, class Rule, class T>
void update(Rule rule, index_t n, T* const* arrays) noexcept;

/// Stochastic gradient descent without momentum.
template <class T>
struct sgd_rule
{
    static constexpr index_t arrays = 2;
    T rate, decay;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[0] = simd::fma(V(-rate), g, r[0]);
    }
};

/// Momentum: b = keep b + gain g, then along b, or along g + ahead b (Nesterov).
template <class T, bool Nesterov>
struct momentum_rule
{
    static constexpr index_t arrays = 3;
    T rate, decay, keep, gain, ahead;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(V(keep), r[2], V(gain) * g);
        if constexpr (Nesterov)
        {
            r[0] = simd::fma(V(-rate), simd::fma(V(ahead), r[2], g), r[0]);
        }
        else
        {
            r[0] = simd::fma(V(-rate), r[2], r[0]);
        }
    }
};

/// Adagrad: slot 0 sums the squares.
template <class T>
struct adagrad_rule
{
    static constexpr index_t arrays = 3;
    T rate, decay, eps;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(g, g, r[2]);
        r[0] = simd::fma(V(-rate), g / (simd::sqrt(r[2]) + V(eps)), r[0]);
    }
};

/// Adadelta: slot 0 averages squared gradients, slot 1 squared updates.
template <class T>
struct adadelta_rule
{
    static constexpr index_t arrays = 4;
    T rate, decay, rho, rest, eps;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(V(rho), r[2], V(rest) * (g * g));
        const V ratio = simd::sqrt(r[3] + V(eps)) / simd::sqrt(r[2] + V(eps));
        const V change = ratio * g;
        r[3] = simd::fma(V(rho), r[3], V(rest) * (change * change));
        r[0] = simd::fma(V(-rate), change, r[0]);
    }
};

/// Adam, AMSGrad and AdamW: slots 0 and 1 average gradients and their squares, slot 2 keeps the
/// largest average of squares. `shrink` is the factor of decoupled decay, `rate` and `root` hold
/// the corrections of both averages.
template <class T, bool Amsgrad>
struct adam_rule
{
    static constexpr index_t arrays = Amsgrad ? 5 : 4;
    T rate, decay, shrink, beta1, rest1, beta2, rest2, root, eps;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(V(beta1), r[2], V(rest1) * g);
        r[3] = simd::fma(V(beta2), r[3], V(rest2) * (g * g));
        V square = r[3];
        if constexpr (Amsgrad)
        {
            r[4] = simd::larger(r[4], r[3]);
            square = r[4];
        }
        const V divisor = simd::fma(simd::sqrt(square), V(root), V(eps));
        r[0] = simd::fma(V(-rate), r[2] / divisor, r[0] * V(shrink));
    }
};

/// RMSprop: slot 0 averages squares; then, if centred, one that averages gradients; then, with
/// momentum, the buffer.
template <class T, bool Centred, bool Momentum>
struct rmsprop_rule
{
    static constexpr index_t arrays = 3 + (Centred ? 1 : 0) + (Momentum ? 1 : 0);
    T rate, decay, alpha, rest, eps, momentum;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(V(alpha), r[2], V(rest) * (g * g));
        V square = r[2];
        if constexpr (Centred)
        {
            r[3] = simd::fma(V(alpha), r[3], V(rest) * g);
            // Rounding may leave a variance just below zero.
            square = simd::relu(square - r[3] * r[3]);
        }
        V change = g / (simd::sqrt(square) + V(eps));
        if constexpr (Momentum)
        {
            V& buffer = r[arrays - 1];
            buffer = simd::fma(V(momentum), buffer, change);
            change = buffer;
        }
        r[0] = simd::fma(V(-rate), change, r[0]);
    }
};

/// Nadam: slots as Adam's. `now` and `next` are the rates of the gradient and of its average.
template <class T>
struct nadam_rule
{
    static constexpr index_t arrays = 4;
    T now, next, decay, beta1, rest1, beta2, rest2, root, eps;

    template <class V>
    STRUCTOPT_ALWAYS_INLINE void operator()(V* r) const noexcept
    {
        const V g = simd::fma(V(decay), r[0], r[1]);
        r[2] = simd::fma(V(beta1), r[2], V(rest1) * g);
        r[3] = simd::fma(V(beta2), r[3], V(rest2) * (g * g));
        const V divisor = simd::fma(simd::sqrt(r[3]), V(root), V(eps));
        const V step = simd::fma(V(next), r[2], V(now) * g);
        r[0] = r[0] - step / divisor;
    }
};

// ---------------------------------------------------------------------------------------------

template <class Arch, bool Zero, class Rule, class T>
void update(Rule rule, index_t n, T* const* arrays) noexcept
{
    using V = simd::batch<T, Arch>;
    constexpr index_t width = simd::width<T, Arch>;
    T* from[Rule::arrays];
    STRUCTOPT_UNROLL
    for (index_t a = 0; a < Rule::arrays; ++a)
    {
        from[a] = arrays[a];
    }
    index_t i = 0;
    for (; i + width <= n; i += width)
    {
        V r[Rule::arrays];
        STRUCTOPT_UNROLL
        for (index_t a = 0; a < Rule::arrays; ++a)
        {
            r[a] = simd::load<Arch>(from[a] + i);
        }
        rule(r);
        if constexpr (Zero)
        {
            r[1] = V(T(0));
        }
        STRUCTOPT_UNROLL
        for (index_t a = 0; a < Rule::arrays; ++a)
        {
            if (Zero || a != 1)
            {
                simd::store(from[a] + i, r[a]);
            }
        }
    }
    if (i < n)
    {
        V r[Rule::arrays];
        STRUCTOPT_UNROLL
        for (index_t a = 0; a < Rule::arrays; ++a)
        {
            r[a] = simd::load_tail<Arch>(from[a] + i, n - i);
        }
        rule(r);
        if constexpr (Zero)
        {
            r[1] = V(T(0));
        }
        STRUCTOPT_UNROLL
        for (index_t a = 0; a < Rule::arrays; ++a)
        {
            if (Zero || a != 1)
            {
                simd::store_tail(from[a] + i, r[a], n - i);
            }
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_OPTIMIZER_RULES(STRUCTOPT_DISPATCHED_RULE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
