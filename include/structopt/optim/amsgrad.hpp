/// @file
/// AMSGrad: Adam whose second moments never fall.
#pragma once

#include <structopt/optim/adam.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Adam that divides by the largest average of squares so far (Reddi et al., "On the Convergence of
/// Adam and Beyond", 2018; with the bias corrections of PyTorch's `Adam(amsgrad=True)`).
struct amsgrad
{
    double rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr bool zeroes_gradients = true;

    /// The same, spelled as `adam`.
    constexpr adam expanded() const noexcept
    {
        return {.rate = rate,
            .beta1 = beta1,
            .beta2 = beta2,
            .eps = eps,
            .amsgrad = true,
            .weight_decay = weight_decay,
            .decay_biases = decay_biases};
    }

    std::size_t slots() const noexcept
    {
        return expanded().slots();
    }

    /// @throws argument_error
    void validate() const
    {
        expanded().validate();
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        expanded().template update<T, Arch>(values, gradients, kept, at);
    }

    friend bool operator==(const amsgrad&, const amsgrad&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
