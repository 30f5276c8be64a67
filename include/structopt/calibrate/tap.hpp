/// @file
/// Looking at activations: what goes into every layer of a network and what comes out.
#pragma once

#include <structopt/nn/layer_identity.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/transform.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if STRUCTOPT_HAS_EXCEPTIONS
#include <exception>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace calibrate
{

/// Where a leaf layer is.
struct layer_place
{
    /// "0.branch.2", the prefix of its parameters' names; "" for a network that is one layer.
    std::string name;
    /// Position of its weight in `nn::trainable_parameters`; -1 if it has none that trains.
    index_t parameter = -1;

    friend bool operator==(const layer_place&, const layer_place&) = default;
};

namespace detail
{

/// A container that is looked into; everything else is a leaf.
template <class L>
concept open_container = nn::has_children<const L> && nn::transformable<L>;

template <class L, class Visitor>
void visit_leaves_below(const L& layer, const nn::parameter_name* path, Visitor& visit)
{
    if constexpr (open_container<L>)
    {
        L::children(layer,
            [&](std::string_view part, const auto& child)
            {
                const nn::parameter_name name(part, path);
                detail::visit_leaves_below(child, &name, visit);
            });
    }
    else
    {
        visit(path, layer);
    }
}

} // namespace detail

/// Calls `visit(index, layer)` for every leaf layer, depth first, in the order of `children`.
///
/// A leaf is a layer that is no container, or a container without `children` and `transform`.
template <class Network, class Visitor>
void visit_layers(const Network& network, Visitor&& visit)
{
    index_t index = 0;
    auto counted = [&](const nn::parameter_name*, const auto& layer)
    {
        visit(index++, layer);
    };
    detail::visit_leaves_below(network, nullptr, counted);
}

/// The leaf layers of a network, in the order of `visit_layers`: position i describes the layer that
/// a recorder is given as index i.
template <class Network>
std::vector<layer_place> leaf_layers(const Network& network)
{
    const std::vector<const void*> parameters = nn::trainable_addresses(network);
    std::vector<layer_place> places;
    auto visit = [&](const nn::parameter_name* path, const auto& layer)
    {
        layer_place place{path == nullptr ? std::string() : path->text(), -1};
        if constexpr (nn::weighted<std::remove_cvref_t<decltype(layer)>>)
        {
            for (std::size_t p = 0; p < parameters.size(); ++p)
            {
                if (parameters[p] == static_cast<const void*>(&layer.weight))
                {
                    place.parameter = static_cast<index_t>(p);
                }
            }
        }
        places.push_back(std::move(place));
    };
    detail::visit_leaves_below(network, nullptr, visit);
    return places;
}

/// A layer that computes what another one computes and then calls `recorder(index, layer, x, y)`,
/// with views of its input and output. Made by `tap`; refers to both.
///
/// A recorder with a member `skips(index)` that answers true saves the layer's work: its output is
/// zero then, and it is not recorded.
template <class L, class Recorder>
class tapped
{
public:
    static constexpr std::string_view name = nn::layer_traits<L>::name();
    static constexpr std::size_t input_rank = nn::detail::declared_input_rank<L>();
    static constexpr std::size_t output_rank = nn::detail::declared_output_rank<L>();

    using value_type = nn::value_type<L>;

    tapped(const L& layer, Recorder& recorder, index_t index) noexcept
        : m_layer(&layer)
        , m_recorder(&recorder)
        , m_index(index)
    {
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const requires nn::layer_on<L, N>
    {
        return nn::layer_traits<L>::output_shape(*m_layer, in);
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return nn::layer_traits<L>::template scratch_bytes<T>(*m_layer, in);
    }

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, nn::scratch space) const noexcept requires
        requires(const L& layer)
    {
        nn::layer_traits<L>::forward(layer, x, y, space);
    }
    {
        if constexpr (requires { m_recorder->skips(m_index); })
        {
            if (m_recorder->skips(m_index))
            {
                std::fill_n(y.data(), y.size(), T(0));
                return;
            }
        }
        nn::layer_traits<L>::forward(*m_layer, x, y, space);
        (*m_recorder)(m_index, *m_layer, x, view<const T, M>(y));
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return nn::layer_traits<L>::multiply_adds(*m_layer, in);
    }

    /// Inference on a whole batch.
    template <class X>
    auto operator()(const X& x) const
    {
        return nn::forward(*this, x);
    }

private:
    const L* m_layer;
    Recorder* m_recorder;
    index_t m_index;
};

namespace detail
{

template <class L, class Recorder>
auto tap_below(const L& layer, Recorder& recorder, const std::vector<nn::layer_identity>& leaves)
{
    if constexpr (open_container<L>)
    {
        return layer.transform(
            [&](const auto& child)
            {
                return detail::tap_below(child, recorder, leaves);
            });
    }
    else
    {
        const auto self = nn::layer_identity::of(layer);
        std::size_t index = 0;
        while (index < leaves.size() && !(leaves[index] == self))
        {
            ++index;
        }
        if (index == leaves.size())
        {
            structopt::detail::raise<argument_error>("calibrate::tap",
                "a container whose transform hands out the layers that its children shows",
                "another " + std::string(nn::layer_traits<L>::name()));
        }
        return tapped<L, Recorder>(layer, recorder, static_cast<index_t>(index));
    }
}

} // namespace detail

/// The same network with every leaf layer tapped: inference also calls
/// `recorder(index, layer, x, y)` after each layer, `index` counting as in `leaf_layers`.
///
/// Containers take part through the contract's `children` and `transform`, users' own as well. The
/// result copies no weights: network and recorder must outlive it, and a change of the network's
/// numbers shows at the next call. The recorder runs inside `forward`, which is `noexcept`: it must
/// not throw (`visit_activations` takes functions that do). Inference of the tapped network is for
/// one thread at a time, as far as the recorder is.
template <class Network, class Recorder>
auto tap(const Network& network, Recorder& recorder)
{
    std::vector<nn::layer_identity> leaves;
    calibrate::visit_layers(network,
        [&](index_t, const auto& layer)
        {
            leaves.push_back(nn::layer_identity::of(layer));
        });
    return detail::tap_below(network, recorder, leaves);
}

namespace detail
{

/// Calls a function that may throw from where nothing may; the first exception is kept, and nothing
/// is called or computed after it.
template <class Function>
class guarded_recorder
{
public:
    explicit guarded_recorder(Function& function) noexcept
        : m_function(&function)
    {
    }

    template <class L, class X, class Y>
    void operator()(index_t index, const L& layer, const X& x, const Y& y) noexcept
    {
#if STRUCTOPT_HAS_EXCEPTIONS
        try
        {
            (*m_function)(index, layer, x, y);
        }
        catch (...)
        {
            m_error = std::current_exception();
        }
#else
        (*m_function)(index, layer, x, y);
#endif
    }

    bool skips(index_t index) const noexcept
    {
#if STRUCTOPT_HAS_EXCEPTIONS
        if (m_error)
        {
            return true;
        }
#endif
        if constexpr (requires { m_function->skips(index); })
        {
            return m_function->skips(index);
        }
        else
        {
            return false;
        }
    }

    void rethrow() const
    {
#if STRUCTOPT_HAS_EXCEPTIONS
        if (m_error)
        {
            std::rethrow_exception(m_error);
        }
#endif
    }

private:
    Function* m_function;
#if STRUCTOPT_HAS_EXCEPTIONS
    std::exception_ptr m_error;
#endif
};

} // namespace detail

/// Runs a batch through a network and calls `f(index, layer, x, y)` after every leaf layer; returns
/// the network's output.
///
/// What `f` throws comes out of this call, and the rest of the network is not computed then. Throws
/// `shape_error` if the batch does not fit the network.
///
///     calibrate::visit_activations(net, x,
///         [&](index_t i, const auto& layer, auto x, auto y) { ... });
template <class Network, class X, class Function>
auto visit_activations(const Network& network, const X& x, Function&& f)
{
    detail::guarded_recorder<std::remove_reference_t<Function>> recorder(f);
    const auto tapped_network = calibrate::tap(network, recorder);
    auto y = nn::forward(tapped_network, x);
    recorder.rethrow();
    return y;
}

} // namespace calibrate
STRUCTOPT_END_NAMESPACE
