/// @file
/// Streamed statistics of every feature: means, spread, share of zeros.
#pragma once

#include <structopt/calibrate/check.hpp>
#include <structopt/calibrate/tap.hpp>
#include <structopt/core/finite.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace calibrate
{

/// Mean, mean absolute value, second moment, variance and share of zeros of every feature (position
/// of axis 1), over all samples and all positions of the other axes.
///
/// Sums are in double, sample by sample in the order in which they come: the numbers have the same
/// bits however the samples are divided into batches. The variance is taken around running means
/// (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983), and keeps its
/// digits where the mean is large. Memory: five numbers per feature.
class moments
{
public:
    /// Takes in a batch [samples, features, ...], contiguous.
    ///
    /// Throws `shape_error` for another number of features than before, `argument_error` for a
    /// number that is NaN or infinite; nothing is added then.
    template <class T, std::size_t N>
        requires(N >= 2)
    void add(view<T, N> x)
    {
        if (!x.contiguous())
        {
            structopt::detail::raise<shape_error>("calibrate::moments",
                "a contiguous row-major batch", "strides " + describe(x.strides()));
        }
        const index_t features = x.shape(1);
        if (m_count > 0 && features != this->features())
        {
            structopt::detail::raise<shape_error>("calibrate::moments",
                std::to_string(this->features()) + " features", std::to_string(features));
        }
        detail::check_finite("calibrate::moments", x.data(), x.size());
        const index_t positions = count(tail(tail(x.shape())));
        if (x.size() == 0)
        {
            return;
        }
        m_sums.resize(static_cast<std::size_t>(features));
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            const auto* from = x.data() + b * features * positions;
            const double before = static_cast<double>(m_count);
            const double all = before + static_cast<double>(positions);
            for (sums& s : m_sums)
            {
                s.take(from, positions, before, all);
                from += positions;
            }
            m_count += positions;
        }
    }

    template <class T, std::size_t N>
    void add(const tensor<T, N>& x)
    {
        add(as_view(x));
    }

    /// Number of features; 0 before the first batch.
    index_t features() const noexcept
    {
        return static_cast<index_t>(m_sums.size());
    }

    /// Numbers seen of each feature: samples times positions.
    index_t size() const noexcept
    {
        return m_count;
    }

    /// Each of the following throws `argument_error` before the first sample.
    double mean(index_t feature) const
    {
        return at(feature).mean;
    }

    /// Mean of |x|.
    double mean_absolute(index_t feature) const
    {
        return at(feature).absolute / static_cast<double>(m_count);
    }

    /// Mean of x^2.
    double second_moment(index_t feature) const
    {
        return at(feature).square / static_cast<double>(m_count);
    }

    /// Mean of (x - mean)^2.
    double variance(index_t feature) const
    {
        return at(feature).spread / static_cast<double>(m_count);
    }

    /// Share of the numbers that are zero.
    double zero_share(index_t feature) const
    {
        return static_cast<double>(at(feature).zeros) / static_cast<double>(m_count);
    }

private:
    struct sums
    {
        double mean = 0;
        double spread = 0; ///< sum of (x - mean)^2
        double absolute = 0;
        double square = 0;
        std::int64_t zeros = 0;

        template <class T>
        void take(const T* x, index_t n, double before, double all) noexcept
        {
            double sum = 0;
            double size = 0;
            double squared = 0;
            for (index_t i = 0; i < n; ++i)
            {
                const double value = static_cast<double>(x[i]);
                sum += value;
                size += std::abs(value);
                squared += value * value;
                zeros += structopt::detail::is_zero(x[i]) ? 1 : 0;
            }
            const double own = sum / static_cast<double>(n);
            double around = 0;
            for (index_t i = 0; n > 1 && i < n; ++i)
            {
                const double d = static_cast<double>(x[i]) - own;
                around += d * d;
            }
            const double shift = own - mean;
            mean += shift * (static_cast<double>(n) / all);
            spread += around + shift * shift * (before * static_cast<double>(n) / all);
            absolute += size;
            square += squared;
        }
    };

    const sums& at(index_t feature) const
    {
        detail::check_some("calibrate::moments", m_count);
        STRUCTOPT_ASSERT(feature >= 0 && feature < features());
        return m_sums[static_cast<std::size_t>(feature)];
    }

    std::vector<sums> m_sums;
    index_t m_count = 0;
};

/// The moments of what goes into every leaf layer of a network and of what comes out, batch by batch.
///
///     calibrate::layer_moments seen;
///     seen.add(net, x);
///     seen.outputs(2).zero_share(0);
///
/// Positions are those of `leaf_layers`. Layers on tensors without features (rank 1) stay empty.
class layer_moments
{
public:
    /// Runs a batch. Throws what `visit_activations` and `moments::add` throw; batches added before
    /// remain, this one may have been added to some layers.
    template <class Network, class X>
    void add(const Network& network, const X& x)
    {
        const auto at = [](std::vector<moments>& list, index_t index) -> moments&
        {
            if (list.size() <= static_cast<std::size_t>(index))
            {
                list.resize(static_cast<std::size_t>(index) + 1);
            }
            return list[static_cast<std::size_t>(index)];
        };
        calibrate::visit_activations(network, x,
            [&]<class L, class T, std::size_t N, std::size_t M>(
                index_t index, const L&, view<const T, N> in, view<const T, M> out)
            {
                if constexpr (N >= 2)
                {
                    at(m_inputs, index).add(in);
                }
                if constexpr (M >= 2)
                {
                    at(m_outputs, index).add(out);
                }
            });
    }

    const moments& inputs(index_t layer) const
    {
        return of(m_inputs, layer);
    }

    const moments& outputs(index_t layer) const
    {
        return of(m_outputs, layer);
    }

private:
    static const moments& of(const std::vector<moments>& list, index_t layer)
    {
        if (layer < 0 || layer >= static_cast<index_t>(list.size()))
        {
            structopt::detail::raise<argument_error>("calibrate::layer_moments",
                "a layer that has run, of " + std::to_string(list.size()), std::to_string(layer));
        }
        return list[static_cast<std::size_t>(layer)];
    }

    std::vector<moments> m_inputs;
    std::vector<moments> m_outputs;
};

} // namespace calibrate
STRUCTOPT_END_NAMESPACE
