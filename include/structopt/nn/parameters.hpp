/// @file
/// Named parameters: how a network shows its tensors to optimizers, files, pruners and reports.
///
/// A layer with parameters has one static member that works on const and mutable layers alike:
///
///     template <class Self, class Visitor>
///     static void parameters(Self& self, Visitor&& visit)
///     {
///         visit("weight", self.weight, nn::role::weight);
///         visit("bias", self.bias, nn::role::bias);
///     }
///
/// A layer made of layers has `children(self, visit)` of the same form with `visit("0", child)`.
/// Names follow PyTorch: "0.weight" is the weight of the first layer of a `sequential`.
#pragma once

#include <structopt/core/tensor.hpp>

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// What a parameter is for. Weight decay and pruning treat weights and biases differently;
/// statistics are saved, but no optimizer touches them.
enum class role
{
    weight,
    bias,
    scale,
    statistic
};

/// A name in the making: text is built only when somebody asks for it.
class parameter_name
{
public:
    constexpr explicit parameter_name(
        std::string_view part, const parameter_name* parent = nullptr) noexcept
        : m_parent(parent)
        , m_part(part)
    {
    }

    /// "2.branch.weight"
    std::string text() const
    {
        std::string name = m_parent != nullptr ? m_parent->text() : std::string();
        if (!name.empty())
        {
            name += '.';
        }
        return name += m_part;
    }

private:
    const parameter_name* m_parent;
    std::string_view m_part;
};

/// Accepts anything: stands for "some visitor" in the concepts.
struct any_visitor
{
    template <class... Arguments>
    void operator()(Arguments&&...) const noexcept
    {
    }
};

/// A layer that owns tensors.
template <class L>
concept has_parameters = requires(L& layer)
{
    std::remove_const_t<L>::parameters(layer, any_visitor{});
};

/// A layer made of other layers.
template <class L>
concept has_children = requires(L& layer)
{
    std::remove_const_t<L>::children(layer, any_visitor{});
};

namespace detail
{

template <class L, class Visitor>
void visit_all(L& layer, const parameter_name* path, Visitor& visitor)
{
    if constexpr (has_parameters<L>)
    {
        std::remove_const_t<L>::parameters(layer,
            [&](std::string_view part, auto& parameter, role kind)
            {
                visitor(parameter_name(part, path), parameter, kind);
            });
    }
    if constexpr (has_children<L>)
    {
        std::remove_const_t<L>::children(layer,
            [&](std::string_view part, auto& child)
            {
                const parameter_name name(part, path);
                visit_all(child, &name, visitor);
            });
    }
}

} // namespace detail

/// Calls `visitor(name, parameter, role)` for every parameter of a network, depth first.
///
/// A parameter that is reached twice (tied weights: two names, one object) is visited once, under
/// its first name. Empty tensors (a bias that was switched off) are not visited.
template <class L, class Visitor>
void visit_parameters(L& network, Visitor&& visitor)
{
    std::vector<const void*> seen;
    auto once = [&](const parameter_name& name, auto& parameter, role kind)
    {
        if (parameter.size() == 0)
        {
            return;
        }
        const void* const identity = &parameter;
        for (const void* other : seen)
        {
            if (other == identity)
            {
                return;
            }
        }
        seen.push_back(identity);
        visitor(name, parameter, kind);
    };
    detail::visit_all(network, nullptr, once);
}

/// The trainable numbers of one parameter, in a row. Weight formats of the user's own provide
/// `values()` returning a span; formats without it (integer codes) are not trainable.
template <std::floating_point T, std::size_t N>
std::span<T> trainable_values(tensor<T, N>& parameter) noexcept
{
    return {parameter.data(), parameter.size()};
}

template <std::floating_point T, std::size_t N>
std::span<const T> trainable_values(const tensor<T, N>& parameter) noexcept
{
    return {parameter.data(), parameter.size()};
}

template <class P>
    requires requires(P& parameter)
    {
        {
            parameter.values()
            } -> std::convertible_to<std::span<typename P::value_type>>;
    }
std::span<typename P::value_type> trainable_values(P& parameter) noexcept
{
    return parameter.values();
}

/// Read-only, of a parameter that is trainable where it can be written.
template <class P>
    requires requires(const P& parameter, P& writable)
    {
        {
            writable.values()
            } -> std::convertible_to<std::span<typename P::value_type>>;
        {
            parameter.values()
            } -> std::convertible_to<std::span<const typename P::value_type>>;
    }
std::span<const typename P::value_type> trainable_values(const P& parameter) noexcept
{
    return parameter.values();
}

/// A parameter whose numbers an optimizer can change.
template <class P>
concept trainable_parameter = requires(P& parameter)
{
    nn::trainable_values(parameter);
};

/// One trainable parameter of a network, as an optimizer sees it.
template <class T>
struct parameter_span
{
    std::span<T> values;
    nn::role role;
};

/// The trainable parameters of a network, in visiting order. Two networks of the same type (a
/// network, its gradients, its momentum) give lists that match position by position.
template <class T, class L>
std::vector<parameter_span<T>> trainable_parameters(L& network)
{
    std::vector<parameter_span<T>> list;
    visit_parameters(network,
        [&](const parameter_name&, auto& parameter, role kind)
        {
            using parameter_type = std::remove_reference_t<decltype(parameter)>;
            if constexpr (trainable_parameter<parameter_type>)
            {
                if (kind != role::statistic)
                {
                    list.push_back({nn::trainable_values(parameter), kind});
                }
            }
        });
    return list;
}

/// Addresses of the trainable parameters, in the order of `trainable_parameters`: to find a layer's own
/// among them.
template <class L>
std::vector<const void*> trainable_addresses(const L& network)
{
    std::vector<const void*> list;
    visit_parameters(network,
        [&](const parameter_name&, const auto& parameter, role kind)
        {
            if constexpr (trainable_parameter<const std::remove_cvref_t<decltype(parameter)>>)
            {
                if (kind != role::statistic)
                {
                    list.push_back(&parameter);
                }
            }
        });
    return list;
}

/// Sets every trainable number of a network to zero.
template <class L>
void set_zero(L& network)
{
    visit_parameters(network,
        [](const parameter_name&, auto& parameter, role)
        {
            using parameter_type = std::remove_reference_t<decltype(parameter)>;
            if constexpr (trainable_parameter<parameter_type>)
            {
                for (auto& value : nn::trainable_values(parameter))
                {
                    value = 0;
                }
            }
        });
}

/// A network of the same shape with all trainable numbers zero: gradients, momentum, averages.
template <class L>
L zeros_like(const L& network)
{
    L zero = network;
    set_zero(zero);
    return zero;
}

/// Number of trainable parameters; tied ones count once.
template <class L>
index_t parameter_count(const L& network)
{
    index_t n = 0;
    visit_parameters(network,
        [&](const parameter_name&, const auto& parameter, role kind)
        {
            n += kind == role::statistic ? 0 : static_cast<index_t>(parameter.size());
        });
    return n;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
