/// @file
/// Questions to all weights of a network at compile time: what an operation demands of their formats
/// is refused in one line, before anything is instantiated.
#pragma once

#include <structopt/nn/layer.hpp>

#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

template <template <class> class Answer, class L>
constexpr bool ask_weights() noexcept;

template <template <class> class Answer, template <class...> class Container, class... Layers>
constexpr bool ask_children(std::type_identity<Container<Layers...>>) noexcept
{
    return (ask_weights<Answer, Layers>() && ...);
}

template <template <class> class Answer>
constexpr bool ask_children(...) noexcept
{
    return true;
}

template <template <class> class Answer, class L>
constexpr bool ask_weights() noexcept
{
    if constexpr (weighted<L>)
    {
        return Answer<std::remove_cvref_t<decltype(std::declval<const L&>().weight)>>::value;
    }
    else if constexpr (has_children<L>)
    {
        return ask_children<Answer>(std::type_identity<L>{});
    }
    else
    {
        return true;
    }
}

} // namespace detail

/// Whether `Answer<S>::value` is true for the weight storage S of every layer. Containers that are
/// templates over their layers (`sequential`, `residual`, `concat`) are looked into; others count as
/// having no weights.
template <class Network, template <class> class Answer>
inline constexpr bool every_weight = detail::ask_weights<Answer, std::remove_cv_t<Network>>();

} // namespace nn
STRUCTOPT_END_NAMESPACE
