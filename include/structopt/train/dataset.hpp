/// @file
/// What the training loop reads: samples by number, gathered into batches.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/core/tensor.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The samples of one step: inputs [batch, ...] and whatever the loss compares the output with.
template <class T, std::size_t N, class Target>
struct batch
{
    using value_type = T;
    static constexpr std::size_t rank = N;

    tensor<T, N> x;
    Target target;
};

/// A set of samples.
///
/// | member | meaning |
/// |---|---|
/// | `batch_type` | `train::batch<T, N, Target>`, or a struct with the same members |
/// | `size()` | number of samples |
/// | `gather(rows, batch) const` | fills a batch with the samples of these numbers, in this order |
///
/// `gather(rows, batch, random_engine&)` is taken instead in training where there is one: it may
/// shift, mirror or disturb the samples. `check_target(output, row)`, where there is one, is called
/// for every sample before training changes anything, with the shape of the network's output for
/// one sample, and throws where the two do not fit. A dataset is copied by the functions that
/// divide it, so one that owns much data keeps it behind a pointer.
template <class D>
concept dataset = std::copy_constructible<D> &&
    requires(const D& data, std::span<const index_t> rows, typename D::batch_type& into)
{
    {
        data.size()
        } -> std::convertible_to<index_t>;
    data.gather(rows, into);
    into.x;
    into.target;
};

namespace detail
{

/// Rows of a contiguous tensor view, copied one after the other.
template <class T, std::size_t N>
void gather_rows(view<const T, N> from, std::span<const index_t> rows, tensor<T, N>& to)
{
    auto extents = from.shape();
    extents[0] = static_cast<index_t>(rows.size());
    resize(to, extents);
    const index_t length = count(tail(extents));
    T* out = to.data();
    for (const index_t row : rows)
    {
        out = std::copy_n(from.data() + row * length, length, out);
    }
}

template <class T, std::size_t N>
void check_samples(const char* what, view<const T, N> x)
{
    if (!x.contiguous())
    {
        structopt::detail::raise<shape_error>(
            what, "a contiguous row-major view", "strides " + describe(x.strides()));
    }
}

template <class X>
struct view_of;

template <class T, std::size_t N>
struct view_of<tensor<T, N>>
{
    using type = view<const T, N>;
};

/// The batches [first, last) of a dataset without a copy, where it offers that.
template <class D>
concept sliceable = requires(const D& data, index_t first, index_t last)
{
    data.slice(first, last).x;
    data.slice(first, last).target;
};

/// `gather` in training: with the random engine where the dataset wants one.
template <class D>
void gather_random(
    const D& data, std::span<const index_t> rows, typename D::batch_type& into, random_engine& rng)
{
    if constexpr (requires { data.gather(rows, into, rng); })
    {
        data.gather(rows, into, rng);
    }
    else
    {
        data.gather(rows, into);
    }
}

} // namespace detail

/// Inputs [n, ...] with one class per sample. A view: inputs and labels belong to somebody else.
template <class T, std::size_t N>
class labelled
{
public:
    using batch_type = batch<T, N, std::vector<std::int32_t>>;

    /// Consecutive samples without a copy.
    struct part
    {
        view<const T, N> x;
        std::span<const std::int32_t> target;
    };

    /// @throws shape_error where the numbers of samples and labels differ.
    labelled(view<const T, N> x, std::span<const std::int32_t> labels)
        : m_x(x)
        , m_labels(labels)
    {
        check();
    }

    labelled(const tensor<T, N>& x, std::span<const std::int32_t> labels)
        : m_x(as_view(x))
        , m_labels(labels)
    {
        check();
    }

    labelled(const tensor<T, N>&&, std::span<const std::int32_t>) = delete;

    /// Temporary labels would be gone before the first batch.
    template <class X, class Labels>
        requires(!std::is_lvalue_reference_v<Labels> && !std::ranges::borrowed_range<Labels>)
    labelled(const X&, Labels&&)
    = delete;

    index_t size() const noexcept
    {
        return m_x.shape(0);
    }

    /// @throws argument_error where the sample's label is no class of such an output [1, classes];
    /// what a label means for a single number is the loss's business.
    template <std::size_t M>
    void check_target(const shape<M>& output, index_t row) const requires(M >= 2)
    {
        const std::int32_t label = m_labels[static_cast<std::size_t>(row)];
        if (output[1] > 1 && (label < 0 || label >= output[1]))
        {
            structopt::detail::raise<argument_error>("train::labelled labels",
                "classes from 0 to " + std::to_string(output[1] - 1),
                std::to_string(label) + " of sample " + std::to_string(row));
        }
    }

    view<const T, N> x() const noexcept
    {
        return m_x;
    }

    std::span<const std::int32_t> labels() const noexcept
    {
        return m_labels;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        detail::gather_rows(m_x, rows, into.x);
        into.target.resize(rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i)
        {
            into.target[i] = m_labels[static_cast<std::size_t>(rows[i])];
        }
    }

    part slice(index_t first, index_t last) const noexcept
    {
        return {m_x.slice(first, last), m_labels.subspan(static_cast<std::size_t>(first),
                                            static_cast<std::size_t>(last - first))};
    }

private:
    void check() const
    {
        detail::check_samples("train::labelled inputs", m_x);
        if (static_cast<index_t>(m_labels.size()) != m_x.shape(0))
        {
            structopt::detail::raise<shape_error>("train::labelled labels",
                std::to_string(m_x.shape(0)) + " labels, one per sample",
                std::to_string(m_labels.size()));
        }
    }

    view<const T, N> m_x;
    std::span<const std::int32_t> m_labels;
};

template <class T, std::size_t N, class Labels>
labelled(const tensor<T, N>&, const Labels&) -> labelled<T, N>;

template <class T, std::size_t N, class Labels>
labelled(view<T, N>, const Labels&) -> labelled<std::remove_const_t<T>, N>;

/// Inputs [n, ...] with a wanted output [n, ...] per sample: regression, soft labels, autoencoders.
/// A view: the tensors belong to somebody else.
template <class T, std::size_t N, std::size_t M>
class paired
{
public:
    using batch_type = batch<T, N, tensor<T, M>>;

    /// Consecutive samples without a copy.
    struct part
    {
        view<const T, N> x;
        view<const T, M> target;
    };

    /// @throws shape_error where the numbers of samples and targets differ.
    paired(view<const T, N> x, view<const T, M> targets)
        : m_x(x)
        , m_targets(targets)
    {
        check();
    }

    paired(const tensor<T, N>& x, const tensor<T, M>& targets)
        : m_x(as_view(x))
        , m_targets(as_view(targets))
    {
        check();
    }

    paired(const tensor<T, N>&&, const tensor<T, M>&) = delete;
    paired(const tensor<T, N>&, const tensor<T, M>&&) = delete;
    paired(const tensor<T, N>&&, const tensor<T, M>&&) = delete;

    index_t size() const noexcept
    {
        return m_x.shape(0);
    }

    view<const T, N> x() const noexcept
    {
        return m_x;
    }

    view<const T, M> targets() const noexcept
    {
        return m_targets;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        detail::gather_rows(m_x, rows, into.x);
        detail::gather_rows(m_targets, rows, into.target);
    }

    part slice(index_t first, index_t last) const noexcept
    {
        return {m_x.slice(first, last), m_targets.slice(first, last)};
    }

private:
    void check() const
    {
        detail::check_samples("train::paired inputs", m_x);
        detail::check_samples("train::paired targets", m_targets);
        if (m_targets.shape(0) != m_x.shape(0))
        {
            structopt::detail::raise<shape_error>("train::paired targets",
                std::to_string(m_x.shape(0)) + " rows, one per sample",
                std::to_string(m_targets.shape(0)));
        }
    }

    view<const T, N> m_x;
    view<const T, M> m_targets;
};

template <class T, std::size_t N, std::size_t M>
paired(const tensor<T, N>&, const tensor<T, M>&) -> paired<T, N, M>;

template <class T, std::size_t N, class U, std::size_t M>
paired(view<T, N>, view<U, M>) -> paired<std::remove_const_t<T>, N, M>;

/// Some samples of a dataset, in an order of one's own.
template <dataset Data>
class subset
{
public:
    using batch_type = typename Data::batch_type;

    /// @throws argument_error for a number that is not a sample's.
    subset(Data data, std::vector<index_t> rows)
        : m_data(std::move(data))
        , m_rows(std::move(rows))
    {
        const auto most = static_cast<index_t>(m_data.size());
        for (const index_t row : m_rows)
        {
            if (row < 0 || row >= most)
            {
                structopt::detail::raise<argument_error>("train::subset rows",
                    "samples from 0 to " + std::to_string(most - 1), std::to_string(row));
            }
        }
    }

    index_t size() const noexcept
    {
        return static_cast<index_t>(m_rows.size());
    }

    const std::vector<index_t>& rows() const noexcept
    {
        return m_rows;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        m_data.gather(translated(rows), into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const requires
        requires(const Data& data)
    {
        data.gather(rows, into, rng);
    }
    {
        m_data.gather(translated(rows), into, rng);
    }

    template <std::size_t M>
    void check_target(const shape<M>& output, index_t row) const requires requires(const Data& data)
    {
        data.check_target(output, row);
    }
    {
        m_data.check_target(output, m_rows[static_cast<std::size_t>(row)]);
    }

private:
    std::vector<index_t> translated(std::span<const index_t> rows) const
    {
        std::vector<index_t> numbers(rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i)
        {
            numbers[i] = m_rows[static_cast<std::size_t>(rows[i])];
        }
        return numbers;
    }

    Data m_data;
    std::vector<index_t> m_rows;
};

/// A dataset in two parts.
template <class Data>
struct halves
{
    subset<Data> training;
    subset<Data> validation;
};

/// Divides a dataset at random: `share` of the samples (rounded, at least one on either side) for
/// validation, the rest for training. Both keep the dataset's order.
/// @throws argument_error for fewer than two samples or a share outside (0, 1).
template <dataset Data>
halves<Data> split(const Data& data, double share, random_engine& rng)
{
    const auto n = static_cast<index_t>(data.size());
    if (n < 2 || !(share > 0 && share < 1))
    {
        structopt::detail::raise<argument_error>("train::split",
            "at least 2 samples and a share between 0 and 1",
            std::to_string(n) + " samples and a share of " + std::to_string(share));
    }
    std::vector<index_t> order(static_cast<std::size_t>(n));
    for (index_t i = 0; i < n; ++i)
    {
        order[static_cast<std::size_t>(i)] = i;
    }
    structopt::shuffle(std::span<index_t>(order), rng);
    const auto wanted = static_cast<index_t>(share * static_cast<double>(n) + 0.5);
    const auto held = std::clamp<index_t>(wanted, 1, n - 1);
    std::vector<index_t> validation(order.begin(), order.begin() + held);
    std::vector<index_t> training(order.begin() + held, order.end());
    std::sort(validation.begin(), validation.end());
    std::sort(training.begin(), training.end());
    return {subset<Data>(data, std::move(training)), subset<Data>(data, std::move(validation))};
}

/// Samples first ... last - 1 of a dataset.
/// @throws argument_error unless 0 <= first <= last <= size.
template <dataset Data>
subset<Data> range(const Data& data, index_t first, index_t last)
{
    if (first < 0 || last < first || last > static_cast<index_t>(data.size()))
    {
        structopt::detail::raise<argument_error>("train::range",
            "0 <= first <= last <= " + std::to_string(data.size()),
            std::to_string(first) + ", " + std::to_string(last));
    }
    std::vector<index_t> rows;
    for (index_t row = first; row < last; ++row)
    {
        rows.push_back(row);
    }
    return subset<Data>(data, std::move(rows));
}

} // namespace train
STRUCTOPT_END_NAMESPACE
