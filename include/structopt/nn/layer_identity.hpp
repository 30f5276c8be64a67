/// @file
/// Telling the layers of a network apart.
#pragma once

#include <structopt/config.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

template <class L>
inline constexpr char type_mark = 0;

} // namespace detail

/// A layer by address and type: a container may lie where its first child lies, and an empty layer where
/// one of another type does.
struct layer_identity
{
    const void* address = nullptr;
    const void* type = nullptr;

    template <class L>
    static layer_identity of(const L& layer) noexcept
    {
        return {&layer, &detail::type_mark<L>};
    }

    friend bool operator==(const layer_identity&, const layer_identity&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
