/// @file
/// Batch normalization of every channel, in one, two or no further dimensions.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Options of `batch_norm`, with PyTorch's defaults.
struct batch_norm_options
{
    index_t features;
    /// Added to the variance.
    double eps = 1e-5;
    /// Share of the newest batch in the running averages.
    double momentum = 0.1;
    /// Whether there is a weight and a bias per channel.
    bool affine = true;

    friend bool operator==(const batch_norm_options&, const batch_norm_options&) = default;
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias for each channel (axis 1) of x of rank 2, 3 or
/// 4 (Ioffe and Szegedy, "Batch Normalization", 2015).
///
/// Training normalizes by the batch, with the biased variance; inference by the running averages,
/// which `update_statistics` moves towards the batch's mean and unbiased variance.
template <class T = float>
class batch_norm
{
public:
    using value_type = T;

    static constexpr std::string_view name = "batch_norm";
    static constexpr bool in_place = true;

    /// Weight 1, bias 0, running mean 0 and variance 1. Throws `argument_error` for options out of
    /// range: features below 1, eps not above 0, momentum outside [0, 1].
    explicit batch_norm(const batch_norm_options& options)
        : weight(full<T>(shape<1>{checked(options).affine ? options.features : 0}, T(1)))
        , bias(structopt::zeros<T>(shape<1>{options.affine ? options.features : 0}))
        , running_mean(structopt::zeros<T>(shape<1>{options.features}))
        , running_var(full<T>(shape<1>{options.features}, T(1)))
        , m_options(options)
    {
    }

    const batch_norm_options& options() const noexcept
    {
        return m_options;
    }

    template <std::size_t N>
        requires(N >= 2 && N <= 4)
    shape<N> output_shape(const shape<N>& in)
    const
    {
        shape<N> expected{};
        expected.fill(-1);
        expected[1] = m_options.features;
        check_shape("batch_norm input", expected, in);
        return in;
    }

    template <class U, std::size_t N>
    std::size_t scratch_bytes(const shape<N>&) const noexcept
    {
        return scratch_size<T>(m_options.features);
    }

    template <std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch space) const noexcept
    {
        T* const scale = space.template take<T>(m_options.features);
        for (index_t c = 0; c < m_options.features; ++c)
        {
            scale[c] =
                weight_of(c) / std::sqrt(running_var.data()[c] + static_cast<T>(m_options.eps));
        }
        normalize(extents(x.shape()), x.data(), running_mean.data(), scale, y.data());
    }

    /// What the forward pass found out about the batch, per channel.
    template <class U, std::size_t N>
    struct cache
    {
        index_t count = 0; ///< values per channel; 0 before the first pass
        buffer<double> mean;
        buffer<double> var; ///< biased
        buffer<double> sums;
        buffer<double> products;
        buffer<T> centre;
        buffer<T> scale;
        buffer<T> average;
        buffer<T> slope;
    };

    /// Throws `argument_error` for a batch with one value per channel: it has no variance.
    template <std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, cache<T, N>& kept) const
    {
        const extents e(x.shape());
        if (e.batch * e.inner < 2)
        {
            structopt::detail::raise<argument_error>("batch_norm in training",
                "more than one value per channel", "an input of shape " + describe(x.shape()));
        }
        for (auto* values : {&kept.mean, &kept.var, &kept.sums, &kept.products})
        {
            values->resize(static_cast<std::size_t>(e.channels));
        }
        for (auto* values : {&kept.centre, &kept.scale, &kept.average, &kept.slope})
        {
            values->resize(static_cast<std::size_t>(e.channels));
        }
        kept.count = e.batch * e.inner;
        const auto n = static_cast<double>(kept.count);
        const T* const from = x.data();
        double* const mean = kept.mean.data();
        double* const var = kept.var.data();
        add_up(e, mean,
            [=](index_t)
            {
                return [=](index_t i)
                {
                    return static_cast<double>(from[i]);
                };
            });
        for (index_t c = 0; c < e.channels; ++c)
        {
            mean[c] /= n;
        }
        add_up(e, var,
            [=](index_t c)
            {
                return [from, centre = mean[c]](index_t i)
                {
                    const double d = static_cast<double>(from[i]) - centre;
                    return d * d;
                };
            });
        for (index_t c = 0; c < e.channels; ++c)
        {
            var[c] /= n;
            kept.centre.data()[c] = static_cast<T>(mean[c]);
            kept.scale.data()[c] = static_cast<T>(
                static_cast<double>(weight_of(c)) / std::sqrt(var[c] + m_options.eps));
        }
        normalize(e, from, kept.centre.data(), kept.scale.data(), y.data());
    }

    template <std::size_t N>
    void backward(view<const T, N> x, view<const T, N>, view<const T, N> dy, view<T, N> dx,
        cache<T, N>& kept, batch_norm& gradients) const noexcept
    {
        const extents e(x.shape());
        const auto n = static_cast<double>(kept.count);
        const T* const from = x.data();
        const T* const slopes = dy.data();
        const double* const mean = kept.mean.data();
        double* const sums = kept.sums.data();
        double* const products = kept.products.data();
        add_up(e, sums,
            [=](index_t)
            {
                return [=](index_t i)
                {
                    return static_cast<double>(slopes[i]);
                };
            });
        add_up(e, products,
            [=](index_t c)
            {
                return [slopes, from, centre = mean[c]](index_t i)
                {
                    return static_cast<double>(slopes[i]) * (static_cast<double>(from[i]) - centre);
                };
            });
        for (index_t c = 0; c < e.channels; ++c)
        {
            const double variance = kept.var.data()[c] + m_options.eps;
            if (m_options.affine)
            {
                gradients.weight.data()[c] += static_cast<T>(products[c] / std::sqrt(variance));
                gradients.bias.data()[c] += static_cast<T>(sums[c]);
            }
            kept.average.data()[c] = static_cast<T>(sums[c] / n);
            kept.slope.data()[c] = static_cast<T>(products[c] / (n * variance));
        }
        if (dx.data() == nullptr)
        {
            return;
        }
        // dx = scale (dy - mean(dy) - (x - mean(x)) mean(dy (x - mean(x))) / (var + eps))
        T* const to = dx.data();
        const T* const centres = kept.centre.data();
        const T* const scales = kept.scale.data();
        const T* const averages = kept.average.data();
        const T* const bends = kept.slope.data();
        for_each(e,
            [=](index_t c)
            {
                return [from, slopes, to, centre = centres[c], scale = scales[c],
                           average = averages[c], bend = bends[c]](index_t i)
                {
                    to[i] = scale * (slopes[i] - average - (from[i] - centre) * bend);
                };
            });
    }

    /// Moves the running averages; does nothing before the first forward pass of training.
    template <class U, std::size_t N>
    void update_statistics(const cache<U, N>& kept)
    {
        const double n = static_cast<double>(kept.count);
        for (index_t c = 0; kept.count > 1 && c < m_options.features; ++c)
        {
            const auto moved = [this](T old, double now)
            {
                return static_cast<T>(
                    (1 - m_options.momentum) * static_cast<double>(old) + m_options.momentum * now);
            };
            T& mean = running_mean.data()[c];
            T& var = running_var.data()[c];
            mean = moved(mean, kept.mean.data()[c]);
            var = moved(var, kept.var.data()[c] * n / (n - 1));
        }
    }

    /// Takes the number of features from parameters that came from a file. Throws `format_error` if
    /// they disagree.
    void refresh()
    {
        const index_t features = size_of(running_mean);
        const auto fits = [&](const tensor<T, 1>& each)
        {
            return size_of(each) == (m_options.affine ? features : 0);
        };
        if (features < 1 || size_of(running_var) != features || !fits(weight) || !fits(bias))
        {
            structopt::detail::raise<format_error>("batch_norm",
                "weight, bias, running_mean and running_var of one number per feature",
                std::to_string(size_of(weight)) + ", " + std::to_string(size_of(bias)) + ", " +
                    std::to_string(features) + " and " + std::to_string(size_of(running_var)));
        }
        m_options.features = features;
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, role::scale);
        visit("bias", self.bias, role::bias);
        visit("running_mean", self.running_mean, role::statistic);
        visit("running_var", self.running_var, role::statistic);
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    /// The listed channels.
    batch_norm select_units(std::span<const index_t> indices) const
    {
        batch_norm_options options = m_options;
        options.features = static_cast<index_t>(indices.size());
        batch_norm fewer(options);
        if (m_options.affine)
        {
            fewer.weight = take_rows(weight, indices);
            fewer.bias = take_rows(bias, indices);
        }
        fewer.running_mean = take_rows(running_mean, indices);
        fewer.running_var = take_rows(running_var, indices);
        return fewer;
    }

    tensor<T, 1> weight;
    tensor<T, 1> bias;
    tensor<T, 1> running_mean;
    tensor<T, 1> running_var;

private:
    /// The input as [batch, channels, inner].
    struct extents
    {
        index_t batch;
        index_t channels;
        index_t inner;

        template <std::size_t N>
        constexpr explicit extents(const shape<N>& in) noexcept
            : batch(in[0])
            , channels(in[1])
            , inner(count(tail(tail(in))))
        {
        }
    };

    static const batch_norm_options& checked(const batch_norm_options& o)
    {
        if (o.features < 1)
        {
            structopt::detail::raise<argument_error>(
                "batch_norm features", "at least 1", std::to_string(o.features));
        }
        if (!(o.eps > 0))
        {
            structopt::detail::raise<argument_error>(
                "batch_norm eps", "a positive number", std::to_string(o.eps));
        }
        if (!(o.momentum >= 0 && o.momentum <= 1))
        {
            structopt::detail::raise<argument_error>(
                "batch_norm momentum", "a number in [0, 1]", std::to_string(o.momentum));
        }
        return o;
    }

    T weight_of(index_t c) const noexcept
    {
        return m_options.affine ? weight.data()[c] : T(1);
    }

    /// Calls `at_channel(c)(i)` for every element i of every channel c. Channels of one value per
    /// sample are taken row by row, others plane by plane: either way memory is read in order.
    template <class AtChannel>
    static void for_each(const extents& e, const AtChannel& at_channel) noexcept
    {
        const index_t row = e.inner == 1 ? e.channels : e.inner;
        const index_t rows = e.inner == 1 ? e.batch : e.batch * e.channels;
        parallel_for(rows,
            std::max<index_t>(detail::pointwise_grain / std::max<index_t>(row, 1), 1),
            [&](index_t first, index_t last)
            {
                for (index_t r = first; r < last; ++r)
                {
                    if (e.inner == 1)
                    {
                        for (index_t c = 0; c < e.channels; ++c)
                        {
                            at_channel(c)(r * e.channels + c);
                        }
                        continue;
                    }
                    const auto body = at_channel(r % e.channels);
                    for (index_t i = r * e.inner; i < (r + 1) * e.inner; ++i)
                    {
                        body(i);
                    }
                }
            });
    }

    /// sums[c] = sum over the elements i of channel c of `at_channel(c)(i)`.
    template <class AtChannel>
    static void add_up(const extents& e, double* sums, const AtChannel& at_channel) noexcept
    {
        const index_t per_channel = std::max<index_t>(e.batch * e.inner, 1);
        parallel_for(e.channels, std::max<index_t>(detail::pointwise_grain / per_channel, 16),
            [&](index_t first, index_t last)
            {
                std::fill(sums + first, sums + last, 0.0);
                for (index_t b = 0; b < e.batch; ++b)
                {
                    const index_t start = b * e.channels * e.inner;
                    for (index_t c = first; c < last; ++c)
                    {
                        const auto term = at_channel(c);
                        sums[c] += e.inner == 1 ? term(start + c)
                                                : detail::sum_of<double>(e.inner,
                                                      [&](index_t i)
                                                      {
                                                          return term(start + c * e.inner + i);
                                                      });
                    }
                }
            });
    }

    /// y = (x - centre) scale + bias
    void normalize(
        const extents& e, const T* x, const T* centres, const T* scales, T* y) const noexcept
    {
        const T* const biases = m_options.affine ? bias.data() : nullptr;
        for_each(e,
            [=](index_t c)
            {
                return [x, y, centre = centres[c], scale = scales[c],
                           shift = biases == nullptr ? T(0) : biases[c]](index_t i)
                {
                    y[i] = (x[i] - centre) * scale + shift;
                };
            });
    }

    batch_norm_options m_options;
};

batch_norm(const batch_norm_options&)->batch_norm<float>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
