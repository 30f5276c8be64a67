/// @file
/// Granularity: which elements of a tensor share their parameters.
#pragma once

#include <structopt/core/shape.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Where the slices of a row-major tensor lie. A slice is `runs` pieces of consecutive elements.
///
/// The tensor is read as rows of `row` elements, each cut every `step` elements into `per_row`
/// pieces, of which the last may be shorter. Piece i of a row belongs to slice i of all rows where
/// `runs` is the number of rows (channels), or else each row has slices of its own (groups).
struct slicing
{
    index_t slices = 1;
    index_t runs = 1;
    index_t per_row = 1;
    index_t row = 0;
    index_t step = 0;
    bool own = true; ///< each row has slices of its own

    /// The first element of run `r` of slice `s`.
    index_t first(index_t s, index_t r) const noexcept
    {
        return (s / per_row + r) * row + s % per_row * step;
    }

    /// Elements in each run of slice `s`.
    index_t length(index_t s) const noexcept
    {
        return std::min(step, row - s % per_row * step);
    }

    /// The slice of an element.
    index_t slice_of(index_t element) const noexcept
    {
        return (own ? element / row * per_row : 0) + element % row / step;
    }
};

/// Says how a tensor of N axes is cut, and its name in files ("per_group group=32").
template <class G, std::size_t N>
concept granularity = std::equality_comparable<G> && requires(const G& g, const shape<N>& extents)
{
    {
        g.slices(extents)
        } -> std::same_as<slicing>;
    {
        g.text()
        } -> std::same_as<std::string>;
};

/// One slice: the whole tensor.
struct per_tensor
{
    template <std::size_t N>
    slicing slices(const shape<N>& extents) const noexcept
    {
        return {.row = count(extents), .step = count(extents)};
    }

    std::string text() const
    {
        return "per_tensor";
    }

    friend bool operator==(const per_tensor&, const per_tensor&) = default;
};

/// One slice per position of an axis: axis 0 of a weight is its output (channel).
template <std::size_t Axis = 0>
struct per_channel
{
    template <std::size_t N>
    slicing slices(const shape<N>& extents) const noexcept
    {
        static_assert(Axis < N, "quantize::per_channel<Axis>: the tensor has no such axis");
        index_t outer = 1;
        index_t inner = 1;
        for (std::size_t i = 0; i < N; ++i)
        {
            outer *= i < Axis ? extents[i] : 1;
            inner *= i > Axis ? extents[i] : 1;
        }
        const index_t channels = extents[Axis < N ? Axis : 0];
        return {.slices = channels,
            .runs = outer,
            .per_row = std::max(channels, index_t{1}),
            .row = channels * inner,
            .step = inner,
            .own = false};
    }

    std::string text() const
    {
        return "per_channel axis=" + std::to_string(Axis);
    }

    friend bool operator==(const per_channel&, const per_channel&) = default;
};

/// One slice per `Size` consecutive elements of the last axis. Groups do not cross rows.
template <index_t Size>
struct per_group
{
    static_assert(Size >= 1, "quantize::per_group<Size>: Size is at least 1");

    bool partial = false; ///< allow a last group of each row that is shorter

    /// Throws `argument_error` where Size does not divide the last extent, unless `partial`.
    template <std::size_t N>
    slicing slices(const shape<N>& extents) const
    {
        static_assert(N >= 1, "quantize::per_group<Size>: the tensor has no axis");
        const index_t columns = extents[N - 1];
        if (!partial && columns % Size != 0)
        {
            structopt::detail::raise<argument_error>("quantize::per_group",
                "a last extent that is a multiple of " + std::to_string(Size) +
                    ", or .partial = true",
                std::to_string(columns));
        }
        const index_t groups = (columns + Size - 1) / Size;
        const index_t rows = columns == 0 ? 0 : count(extents) / columns;
        return {.slices = rows * groups,
            .runs = 1,
            .per_row = std::max(groups, index_t{1}),
            .row = columns,
            .step = Size};
    }

    std::string text() const
    {
        return "per_group group=" + std::to_string(Size);
    }

    friend bool operator==(const per_group&, const per_group&) = default;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
