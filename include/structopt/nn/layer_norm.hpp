/// @file
/// Layer normalization: every sample by its own mean and variance.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// The last `Axes` extents of a tensor: `.features = 64`, or `.features = {8, 4, 4}` for three.
template <std::size_t Axes>
struct trailing_extents
{
    shape<Axes> extents;

    template <std::convertible_to<index_t>... Index>
        requires(sizeof...(Index) == Axes)
    constexpr trailing_extents(Index... each) noexcept
        : extents{static_cast<index_t>(each)...}
    {
    }

    friend bool operator==(const trailing_extents&, const trailing_extents&) = default;
};

/// Options of `layer_norm`, with PyTorch's defaults.
template <std::size_t Axes = 1>
struct layer_norm_options
{
    trailing_extents<Axes> features;
    /// Added to the variance.
    double eps = 1e-5;
    /// Whether there is a weight and a bias per feature.
    bool affine = true;
    /// The number of features that mean and variance count; 0: as many as there are. Greater where
    /// features were removed that are zero.
    index_t normalized_over = 0;

    friend bool operator==(const layer_norm_options&, const layer_norm_options&) = default;
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias over the last `Axes` axes of x (Ba, Kiros and
/// Hinton, "Layer Normalization", 2016). Takes inputs of any higher rank; training and inference
/// compute the same. With `normalized_over` = m mean and variance are those of the features and as
/// many zeros as are missing to m.
///
/// `layer_norm{{.features = 64}}` normalizes the last axis; `layer_norm<float, 3>{{.features =
/// {8, 4, 4}}}` all axes of a sample of images.
template <class T = float, std::size_t Axes = 1>
class layer_norm
{
    static_assert(Axes >= 1);

public:
    using value_type = T;

    static constexpr std::string_view name = "layer_norm";
    static constexpr bool in_place = true;

    /// Weight 1 and bias 0. Throws `argument_error` for extents below 1, eps not above 0, or a
    /// `normalized_over` smaller than the number of features.
    explicit layer_norm(const layer_norm_options<Axes>& options)
        : weight(full<T>(options.affine ? checked(options) : shape<Axes>{}, T(1)))
        , bias(structopt::zeros<T>(options.affine ? options.features.extents : shape<Axes>{}))
        , m_options((checked(options), options))
    {
        if (options.normalized_over > count(options.features.extents))
        {
            normalized_over = full<T>(shape<1>{1}, static_cast<T>(options.normalized_over));
        }
    }

    const layer_norm_options<Axes>& options() const noexcept
    {
        return m_options;
    }

    template <std::size_t N>
        requires(N > Axes)
    shape<N> output_shape(const shape<N>& in)
    const
    {
        shape<N> expected{};
        expected.fill(-1);
        std::copy_n(m_options.features.extents.begin(), Axes, expected.end() - Axes);
        check_shape("layer_norm input", expected, in);
        return in;
    }

    template <std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch) const noexcept
    {
        const index_t n = features();
        parallel_for(x.size() / n, grain(),
            [&](index_t first, index_t last)
            {
                for (index_t row = first; row < last; ++row)
                {
                    const T* const from = x.data() + row * n;
                    normalize(from, moments_of(from), y.data() + row * n);
                }
            });
    }

    /// Mean and inverse deviation of every sample.
    template <class U, std::size_t N>
    struct cache
    {
        buffer<double> moments;
    };

    template <std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, cache<T, N>& kept) const
    {
        const index_t n = features();
        kept.moments.resize(static_cast<std::size_t>(2 * (x.size() / n)));
        parallel_for(x.size() / n, grain(),
            [&](index_t first, index_t last)
            {
                for (index_t row = first; row < last; ++row)
                {
                    const T* const from = x.data() + row * n;
                    const moments found = moments_of(from);
                    kept.moments.data()[2 * row] = found.mean;
                    kept.moments.data()[2 * row + 1] = found.inverse;
                    normalize(from, found, y.data() + row * n);
                }
            });
    }

    template <std::size_t N>
    void backward(view<const T, N> x, view<const T, N>, view<const T, N> dy, view<T, N> dx,
        cache<T, N>& kept, layer_norm& gradients) const noexcept
    {
        const index_t n = features();
        const index_t rows = x.size() / n;
        if (m_options.affine)
        {
            // Rows in order for every feature: the sums do not depend on the threads.
            parallel_for(n,
                std::max<index_t>(detail::pointwise_grain / std::max<index_t>(rows, 1), 16),
                [&](index_t first, index_t last)
                {
                    T* const dw = gradients.weight.data();
                    T* const db = gradients.bias.data();
                    for (index_t row = 0; row < rows; ++row)
                    {
                        const auto mean = static_cast<T>(kept.moments.data()[2 * row]);
                        const auto inverse = static_cast<T>(kept.moments.data()[2 * row + 1]);
                        const T* const from = x.data() + row * n;
                        const T* const slope = dy.data() + row * n;
                        for (index_t i = first; i < last; ++i)
                        {
                            dw[i] += slope[i] * (from[i] - mean) * inverse;
                            db[i] += slope[i];
                        }
                    }
                });
        }
        if (dx.data() == nullptr)
        {
            return;
        }
        parallel_for(rows, grain(),
            [&](index_t first, index_t last)
            {
                const T* const w = m_options.affine ? weight.data() : nullptr;
                for (index_t row = first; row < last; ++row)
                {
                    const double mean = kept.moments.data()[2 * row];
                    const double inverse = kept.moments.data()[2 * row + 1];
                    backward_row(x.data() + row * n, dy.data() + row * n, w, mean, inverse,
                        dx.data() + row * n);
                }
            });
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, role::scale);
        visit("bias", self.bias, role::bias);
        visit("normalized_over", self.normalized_over, role::statistic);
    }

    /// `normalizes` where axis 1 of the input is the first of the normalized ones and every feature
    /// has a weight; features that are removed count as zeros.
    template <std::size_t N>
    coupling unit_coupling(const shape<N>&) const noexcept
    {
        return N == Axes + 1 && m_options.affine ? coupling::normalizes : coupling::blocks;
    }

    /// The listed features (of the first normalized axis), mean and variance over as many as before.
    layer_norm select_units(std::span<const index_t> indices) const
    {
        layer_norm_options<Axes> options = m_options;
        options.features.extents[0] = static_cast<index_t>(indices.size());
        options.normalized_over = total();
        layer_norm fewer(options);
        if (m_options.affine)
        {
            fewer.weight = take_rows(weight, indices);
            fewer.bias = take_rows(bias, indices);
        }
        return fewer;
    }

    /// Takes the features from parameters that came from a file. Throws `format_error` if they
    /// disagree.
    void refresh()
    {
        const index_t counted =
            normalized_over.size() == 1 ? static_cast<index_t>(normalized_over.data()[0]) : 0;
        if (normalized_over.size() > 1 || counted < 0 ||
            (counted > 0 && counted < count(shape_of(weight))))
        {
            structopt::detail::raise<format_error>("layer_norm normalized_over",
                "one number, at least that of the features", std::to_string(counted));
        }
        m_options.normalized_over = counted;
        const auto extents = shape_of(weight);
        const bool empty = count(extents) < 1;
        if (m_options.affine == empty || shape_of(bias) != extents)
        {
            structopt::detail::raise<format_error>("layer_norm",
                "weight and bias of one number per feature",
                describe(extents) + " and " + describe(shape_of(bias)));
        }
        if (m_options.affine)
        {
            m_options.features.extents = extents;
        }
    }

    tensor<T, Axes> weight;
    tensor<T, Axes> bias;
    /// The option of this name where it differs from the number of features, to be saved; empty
    /// otherwise.
    tensor<T, 1> normalized_over = structopt::zeros<T>(shape<1>{0});

private:
    struct moments
    {
        double mean;
        double inverse;
    };

    static const shape<Axes>& checked(const layer_norm_options<Axes>& o)
    {
        for (const index_t extent : o.features.extents)
        {
            if (extent < 1)
            {
                structopt::detail::raise<argument_error>(
                    "layer_norm features", "at least 1", describe(o.features.extents));
            }
        }
        if (o.normalized_over != 0 && o.normalized_over < count(o.features.extents))
        {
            structopt::detail::raise<argument_error>("layer_norm normalized_over",
                "0 or at least the number of features", std::to_string(o.normalized_over));
        }
        if (!(o.eps > 0))
        {
            structopt::detail::raise<argument_error>(
                "layer_norm eps", "a positive number", std::to_string(o.eps));
        }
        return o.features.extents;
    }

    index_t features() const noexcept
    {
        return count(m_options.features.extents);
    }

    /// The features that mean and variance count.
    index_t total() const noexcept
    {
        return std::max(m_options.normalized_over, features());
    }

    index_t grain() const noexcept
    {
        return std::max<index_t>(detail::pointwise_grain / features(), 1);
    }

    moments moments_of(const T* x) const noexcept
    {
        const index_t n = features();
        const double mean = detail::sum_of<double>(n,
                                [x](index_t i)
                                {
                                    return x[i];
                                }) /
                            static_cast<double>(total());
        const double zeros = static_cast<double>(total() - n);
        const double var = (detail::sum_of<double>(n,
                                [x, mean](index_t i)
                                {
                                    const double d = static_cast<double>(x[i]) - mean;
                                    return d * d;
                                }) +
                               zeros * mean * mean) /
                           static_cast<double>(total());
        return {mean, 1 / std::sqrt(var + m_options.eps)};
    }

    void normalize(const T* x, const moments& found, T* y) const noexcept
    {
        const index_t n = features();
        const auto mean = static_cast<T>(found.mean);
        const auto inverse = static_cast<T>(found.inverse);
        if (!m_options.affine)
        {
            for (index_t i = 0; i < n; ++i)
            {
                y[i] = (x[i] - mean) * inverse;
            }
            return;
        }
        const T* const w = weight.data();
        const T* const b = bias.data();
        for (index_t i = 0; i < n; ++i)
        {
            y[i] = (x[i] - mean) * inverse * w[i] + b[i];
        }
    }

    /// dx = inverse (g - mean(g) - (x - mean) inverse^2 mean(g (x - mean))) with g = dy weight; of
    /// features that were removed g is zero.
    void backward_row(
        const T* x, const T* dy, const T* w, double mean, double inverse, T* dx) const noexcept
    {
        const index_t n = features();
        const auto slope = [=](index_t i)
        {
            return w == nullptr ? dy[i] : dy[i] * w[i];
        };
        const double sum = detail::sum_of<double>(n, slope);
        const double product = detail::sum_of<double>(n,
            [=](index_t i)
            {
                return static_cast<double>(slope(i)) * (static_cast<double>(x[i]) - mean);
            });
        const auto counted = static_cast<double>(total());
        const auto average = static_cast<T>(sum / counted);
        const auto bend = static_cast<T>(product * inverse * inverse / counted);
        const auto centre = static_cast<T>(mean);
        const auto scale = static_cast<T>(inverse);
        for (index_t i = 0; i < n; ++i)
        {
            dx[i] = scale * (slope(i) - average - (x[i] - centre) * bend);
        }
    }

    layer_norm_options<Axes> m_options;
};

layer_norm(const layer_norm_options<1>&)->layer_norm<float, 1>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
