/// @file
/// What each layer becomes between int8 codes.
#pragma once

#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/identity.hpp>
#include <structopt/quantize/integer/conv2d.hpp>
#include <structopt/quantize/integer/dense.hpp>
#include <structopt/quantize/integer/float_island.hpp>
#include <structopt/quantize/integer/lookup.hpp>
#include <structopt/quantize/integer/pool.hpp>

#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A layer on int8 codes, and what the codes of its output mean.
template <class L>
struct integer_layer
{
    L layer;
    scale_and_zero output;
};

template <class L>
integer_layer(L, scale_and_zero) -> integer_layer<L>;

/// How a layer of floats becomes one of int8 codes; specialize it for a layer of your own.
///
/// - `fuses_relu`: whether `make` may be asked to apply ReLU too.
/// - `make(layer, input, range, relu)`: an `integer_layer`. `input` says what codes of the input
///   mean, `range` what the outputs were (after the ReLU, if asked for one).
///
/// The layer that comes out takes and gives `view`s of std::int8_t. By default it is a
/// `float_island`; a function of one number (`nn::pointwise`) becomes a table.
template <class L>
struct integer_form
{
    static constexpr bool fuses_relu = false;

    static auto make(const L& layer, const scale_and_zero& input, value_range range, bool)
    {
        const scale_and_zero output = activation_scheme{}.fit(range);
        if constexpr (nn::pointwise<L>)
        {
            return integer_layer{int8_lookup(
                                     [&](float x)
                                     {
                                         return layer.value(x);
                                     },
                                     input, output),
                output};
        }
        else
        {
            return integer_layer{float_island<L>(layer, input, output), output};
        }
    }
};

/// Codes pass as they are.
template <>
struct integer_form<nn::flatten>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::flatten& layer, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{layer, input};
    }
};

template <>
struct integer_form<nn::identity>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::identity& layer, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{layer, input};
    }
};

/// Inference drops nothing.
template <>
struct integer_form<nn::dropout>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::dropout&, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{nn::identity{}, input};
    }
};

template <>
struct integer_form<nn::max_pool2d>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::max_pool2d& layer, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{int8_max_pool2d(layer), input};
    }
};

template <>
struct integer_form<nn::avg_pool2d>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::avg_pool2d& layer, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{int8_avg_pool2d(layer, input), input};
    }
};

template <>
struct integer_form<nn::global_avg_pool>
{
    static constexpr bool fuses_relu = false;

    static auto make(const nn::global_avg_pool&, const scale_and_zero& input, value_range, bool)
    {
        return integer_layer{int8_global_avg_pool{}, input};
    }
};

template <class W>
struct integer_form<nn::dense<W>>
{
    static constexpr bool fuses_relu = true;

    static auto make(
        const nn::dense<W>& layer, const scale_and_zero& input, value_range range, bool relu)
    {
        using storage = std::remove_cvref_t<decltype(layer.weight)>;
        const scale_and_zero output = activation_scheme{}.fit(range);
        const auto w = nn::storage_traits<storage>::unpack(layer.weight);
        return integer_layer{
            int8_dense(integer_weight(as_view(w), layer.bias, input, output, relu)), output};
    }
};

template <class W>
struct integer_form<nn::conv2d<W>>
{
    static constexpr bool fuses_relu = true;

    static auto make(
        const nn::conv2d<W>& layer, const scale_and_zero& input, value_range range, bool relu)
    {
        using storage = std::remove_cvref_t<decltype(layer.weight)>;
        const scale_and_zero output = activation_scheme{}.fit(range);
        const auto w = nn::storage_traits<storage>::unpack(layer.weight);
        return integer_layer{int8_conv2d(layer.options(),
                                 integer_weight(as_view(w), layer.bias, input, output, relu)),
            output};
    }
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
