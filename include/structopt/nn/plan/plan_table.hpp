/// @file
/// Measured times of products by weights in every format, and what they say of other products.
///
/// A table has three parts: dense layers, whose x and y are batch-major, convolutions (3 x 3), whose
/// patches are feature-major, and pointwise ones, which need no patches. Each has, on a grid of matrices, numbers of images and batches (positions
/// of an image count as its batch; one image is near, of many each comes from further away),
///
/// | what | unit |
/// |---|---|
/// | time of the dense product | femtoseconds per multiply-add of all images |
/// | time of each sparse format at each density | thousandths of the dense one; 0: not known |
/// | slots of `sliced` and `tiled` at each density | thousandths of the non-zeros: their padding |
///
/// In between, times are linear in the density, and their logarithms linear in the logarithms of the
/// matrix's elements, of the batch and of the number of images. Ratios are the more careful ones: between
/// two batches the larger neighbour and a fifth of it, between two numbers of images the larger neighbour,
/// for a matrix that is not square the larger of its own and that of its short side. Outside the grid they are those at its edge; but above the highest density, and
/// for matrices that are smaller or more slender (`plan_table::covers`), nothing is known. The densities of
/// a random pattern are measured; a pattern that takes more padding counts as a denser one, and beyond
/// half as much again nothing is known.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/shape.hpp>
#include <structopt/nn/plan/instruction_set.hpp>
#include <structopt/nn/plan/weight_format.hpp>
#include <structopt/nn/plan/weight_pattern.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Who multiplies.
enum class layer_kind
{
    dense,
    convolution,
    pointwise ///< a convolution by 1 x 1 without stride and padding: the image itself is multiplied
};

inline constexpr std::array every_layer_kind{
    layer_kind::dense, layer_kind::convolution, layer_kind::pointwise};

constexpr std::string_view name_of(layer_kind kind) noexcept
{
    constexpr std::array<std::string_view, every_layer_kind.size()> names{
        "dense", "convolution", "pointwise"};
    return names[static_cast<std::size_t>(kind)];
}

/// The product that a format is chosen for.
struct weight_use
{
    layer_kind kind = layer_kind::dense;
    /// Rows of x: samples of a dense layer, positions of one image of a convolution.
    index_t batch = 1;
    /// Of a convolution, of either kind, one after the other.
    index_t images = 1;

    friend bool operator==(const weight_use&, const weight_use&) = default;
};

/// The grid of one kind of layer.
struct plan_grid
{
    std::span<const index_t> rows;    ///< of the matrices
    std::span<const index_t> columns; ///< of the matrices
    std::span<const index_t> images;
    std::span<const index_t> batches;

    std::size_t sizes() const noexcept
    {
        return rows.size();
    }

    /// Place of a point among those of one density.
    std::size_t place(std::size_t size, std::size_t image, std::size_t batch) const noexcept
    {
        return (size * images.size() + image) * batches.size() + batch;
    }
};

/// Ascending. Of N:M there is one density.
inline constexpr std::array<double, 5> plan_densities{0.02, 0.1, 0.3, 0.5, 0.8};

namespace detail
{

inline constexpr std::array<index_t, 5> plan_dense_extents{32, 128, 512, 1024, 4096};
inline constexpr std::array<index_t, 7> plan_dense_batches{1, 2, 4, 8, 16, 64, 256};
inline constexpr std::array<index_t, 1> plan_dense_images{1};
inline constexpr std::array<index_t, 3> plan_filters{16, 64, 256};
inline constexpr std::array<index_t, 3> plan_patches{144, 576, 2304};
inline constexpr std::array<index_t, 3> plan_pointwise{32, 128, 512};
inline constexpr std::array<index_t, 4> plan_positions{16, 64, 256, 1024};
inline constexpr std::array<index_t, 2> plan_images{1, 16};

} // namespace detail

inline plan_grid plan_grid_of(layer_kind kind) noexcept
{
    if (kind == layer_kind::dense)
    {
        return {detail::plan_dense_extents, detail::plan_dense_extents, detail::plan_dense_images,
            detail::plan_dense_batches};
    }
    if (kind == layer_kind::pointwise)
    {
        return {detail::plan_pointwise, detail::plan_pointwise, detail::plan_images,
            detail::plan_positions};
    }
    return {
        detail::plan_filters, detail::plan_patches, detail::plan_images, detail::plan_positions};
}

/// The format that dense weights are multiplied in fastest.
inline constexpr weight_format fastest_dense = weight_format::packed;

/// A measured table, or an empty one, which knows nothing.
class plan_table
{
public:
    /// Fewer rows or columns were not measured, nor was a matrix so many times as long as wide.
    static constexpr index_t least_rows = 16;
    static constexpr index_t least_columns = 32;
    static constexpr index_t most_slender = 16;

    /// Whether a matrix of such extents is like one that was measured.
    static constexpr bool covers(index_t rows, index_t columns) noexcept
    {
        return rows >= least_rows && columns >= least_columns && rows / most_slender <= columns &&
               columns / most_slender <= rows;
    }

    /// Knows nothing: every plan for latency is dense.
    plan_table() = default;

    /// Room for the times of elements of so many bytes, not known yet. `target` is one line of text
    /// that says where they were measured. Throws `argument_error` for other bytes than 4 and 8.
    plan_table(std::string target, std::size_t element_bytes);

    /// Where it was measured: "avx512", or what the caller said.
    const std::string& target() const noexcept
    {
        return m_target;
    }

    /// Bytes of the elements that were measured: 4 (float) or 8 (double).
    std::size_t element_bytes() const noexcept
    {
        return m_element_bytes;
    }

    bool empty() const noexcept
    {
        return m_parts[0].dense.empty();
    }

    /// Numbers of one kind of layer. The densities of a format follow each other, then batches,
    /// numbers of images, matrices, formats.
    struct part
    {
        std::vector<std::uint32_t> dense;  ///< [matrices][images][batches]
        std::vector<std::uint16_t> ratios; ///< of sparse formats
        std::vector<std::uint16_t> slots;  ///< [sliced, tiled][matrices][densities]

        friend bool operator==(const part&, const part&) = default;
    };

    /// How many numbers a part has.
    static std::size_t dense_count(layer_kind kind) noexcept;
    static std::size_t ratio_count(layer_kind kind) noexcept;
    static std::size_t slot_count(layer_kind kind) noexcept;

    const part& of(layer_kind kind) const noexcept
    {
        return m_parts[static_cast<std::size_t>(kind)];
    }

    /// To be filled in.
    part& of(layer_kind kind) noexcept
    {
        return m_parts[static_cast<std::size_t>(kind)];
    }

    /// Place in `ratios` of a sparse format at a point of the grid (`plan_grid::place`); `density` is 0
    /// for N:M.
    static std::size_t ratio_place(
        layer_kind kind, weight_format format, std::size_t point, std::size_t density) noexcept;

    /// Place in `slots`; `format` is `sliced` or `tiled`.
    static std::size_t slot_place(
        layer_kind kind, weight_format format, std::size_t size, std::size_t density) noexcept;

    /// Predicted microseconds of the dense product; 0 if not known.
    double dense_us(const weight_pattern& pattern, const weight_use& use) const noexcept;

    /// Predicted time of a format, as a fraction of the dense product's; 0 if not known.
    double ratio(
        const weight_pattern& pattern, weight_format format, const weight_use& use) const noexcept;

    /// As a text of a few kilobytes, for a file. Throws `argument_error` for an empty table.
    std::string text() const;

    /// From such a text; `name` is for messages. Throws `format_error` naming the line.
    static plan_table parse(std::string_view text, const std::string& name);

    friend bool operator==(const plan_table&, const plan_table&) = default;

private:
    double effective_density(
        const weight_pattern& pattern, weight_format format, const weight_use& use) const noexcept;

    std::string m_target;
    std::size_t m_element_bytes = 0;
    std::array<part, every_layer_kind.size()> m_parts;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sparse formats in the order of the table: those with a density first.
inline constexpr std::array plan_formats{weight_format::sliced, weight_format::tiled,
    weight_format::csr16, weight_format::bitmask, weight_format::vectors, weight_format::nm2x4,
    weight_format::nm1x4, weight_format::nm4x8};

inline constexpr std::size_t plan_formats_with_density = 5;

/// Where x lies on an ascending axis: between point `at` and the next, `part` of the way in
/// logarithms, and at the edge outside.
struct axis_place
{
    std::size_t at = 0;
    double part = 0;
};

template <class Point>
axis_place place_on_axis(
    std::size_t points, double x, const Point& point, bool logarithmic) noexcept
{
    if (!(x > point(0)))
    {
        return {0, 0};
    }
    for (std::size_t i = 0; i + 1 < points; ++i)
    {
        const double low = point(i);
        const double high = point(i + 1);
        if (x < high)
        {
            return {i,
                logarithmic ? std::log(x / low) / std::log(high / low) : (x - low) / (high - low)};
        }
    }
    return {points - 1, 0};
}

/// Between two numbers of which neither is 0; else 0.
inline double between_logarithms(double low, double high, double part) noexcept
{
    if (part == 0)
    {
        return low;
    }
    return low > 0 && high > 0 ? std::exp(std::log(low) * (1 - part) + std::log(high) * part) : 0;
}

inline axis_place place_of_size(const plan_grid& grid, double elements) noexcept
{
    return place_on_axis(
        grid.sizes(), elements,
        [&](std::size_t i)
        {
            return static_cast<double>(grid.rows[i]) * static_cast<double>(grid.columns[i]);
        },
        true);
}

inline axis_place place_of_batch(const plan_grid& grid, index_t batch) noexcept
{
    return place_on_axis(
        grid.batches.size(), static_cast<double>(batch),
        [&](std::size_t i)
        {
            return static_cast<double>(grid.batches[i]);
        },
        true);
}

inline axis_place place_of_images(const plan_grid& grid, index_t images) noexcept
{
    return place_on_axis(
        grid.images.size(), static_cast<double>(images),
        [&](std::size_t i)
        {
            return static_cast<double>(grid.images[i]);
        },
        true);
}

inline axis_place place_of_density(double density) noexcept
{
    return place_on_axis(
        plan_densities.size(), density,
        [](std::size_t i)
        {
            return plan_densities[i];
        },
        false);
}

/// The value at a place of the two axes of matrices and batches, from `value(size, batch)`.
template <class Value>
double between(const axis_place& size, const axis_place& batch, const Value& value) noexcept
{
    const auto along = [&](std::size_t s)
    {
        const double low = value(s, batch.at);
        return batch.part == 0 ? low : between_logarithms(low, value(s, batch.at + 1), batch.part);
    };
    const double low = along(size.at);
    return size.part == 0 ? low : between_logarithms(low, along(size.at + 1), size.part);
}

} // namespace detail

inline plan_table::plan_table(std::string target, std::size_t element_bytes)
    : m_target(std::move(target))
    , m_element_bytes(element_bytes)
{
    if (element_bytes != sizeof(float) && element_bytes != sizeof(double))
    {
        structopt::detail::raise<argument_error>(
            "plan_table", "elements of 4 or 8 bytes", std::to_string(element_bytes));
    }
    if (m_target.empty() || m_target.find('\n') != std::string::npos)
    {
        structopt::detail::raise<argument_error>(
            "plan_table", "a target of one line", m_target.empty() ? "none" : "several lines");
    }
    for (const layer_kind kind : every_layer_kind)
    {
        of(kind).dense.assign(dense_count(kind), 0);
        of(kind).ratios.assign(ratio_count(kind), 0);
        of(kind).slots.assign(slot_count(kind), 0);
    }
}

inline std::size_t plan_table::dense_count(layer_kind kind) noexcept
{
    return plan_grid_of(kind).place(plan_grid_of(kind).sizes(), 0, 0);
}

inline std::size_t plan_table::ratio_count(layer_kind kind) noexcept
{
    const std::size_t with = detail::plan_formats_with_density;
    return dense_count(kind) *
           (with * plan_densities.size() + (detail::plan_formats.size() - with));
}

inline std::size_t plan_table::slot_count(layer_kind kind) noexcept
{
    return 2 * plan_grid_of(kind).sizes() * plan_densities.size();
}

inline std::size_t plan_table::ratio_place(
    layer_kind kind, weight_format format, std::size_t point, std::size_t density) noexcept
{
    std::size_t number = 0;
    while (detail::plan_formats[number] != format)
    {
        ++number;
    }
    const std::size_t with = detail::plan_formats_with_density;
    const std::size_t points = dense_count(kind);
    return number < with ? (number * points + point) * plan_densities.size() + density
                         : with * points * plan_densities.size() + (number - with) * points + point;
}

inline std::size_t plan_table::slot_place(
    layer_kind kind, weight_format format, std::size_t size, std::size_t density) noexcept
{
    const std::size_t number = format == weight_format::sliced ? 0 : 1;
    return (number * plan_grid_of(kind).sizes() + size) * plan_densities.size() + density;
}

inline double plan_table::dense_us(
    const weight_pattern& pattern, const weight_use& use) const noexcept
{
    if (empty())
    {
        return 0;
    }
    const plan_grid grid = plan_grid_of(use.kind);
    const auto for_images = [&](std::size_t image)
    {
        return detail::between(detail::place_of_size(grid, pattern.elements()),
            detail::place_of_batch(grid, use.batch),
            [&](std::size_t size, std::size_t batch)
            {
                return static_cast<double>(of(use.kind).dense[grid.place(size, image, batch)]);
            });
    };
    const auto images = detail::place_of_images(grid, use.images);
    const double fewer = for_images(images.at);
    const double each = images.part == 0 ? fewer
                                         : detail::between_logarithms(
                                               fewer, for_images(images.at + 1), images.part);
    return each * 1e-9 * pattern.elements() * static_cast<double>(use.batch) *
           static_cast<double>(use.images);
}

inline double plan_table::effective_density(
    const weight_pattern& pattern, weight_format format, const weight_use& use) const noexcept
{
    const double density = stored_density(pattern, format);
    const bool sliced = format == weight_format::sliced;
    const bool packed = sliced                           ? pattern.sliced_bytes > 0
                        : format == weight_format::tiled ? pattern.tiled_bytes > 0
                                                         : false;
    if (!packed || pattern.nonzeros == 0)
    {
        return density;
    }
    const plan_grid grid = plan_grid_of(use.kind);
    const auto size = detail::place_of_size(grid, pattern.elements());
    const auto place = detail::place_of_density(density);
    const double expected = detail::between(size, {},
        [&](std::size_t s, std::size_t)
        {
            const auto at = [&](std::size_t d)
            {
                return static_cast<double>(of(use.kind).slots[slot_place(use.kind, format, s, d)]);
            };
            return place.part == 0
                       ? at(place.at)
                       : at(place.at) * (1 - place.part) + at(place.at + 1) * place.part;
        });
    const double found = 1000 *
                         static_cast<double>(sliced ? pattern.sliced_slots : pattern.tiled_slots) /
                         static_cast<double>(pattern.nonzeros);
    // Unlike anything that was measured.
    return expected > 0 && found > 1.5 * expected ? 2.0
           : expected > 0 && found > expected     ? density * found / expected
                                                  : density;
}

inline double plan_table::ratio(
    const weight_pattern& pattern, weight_format format, const weight_use& use) const noexcept
{
    if (is_dense(format))
    {
        return format == fastest_dense ? 1 : 0;
    }
    if (empty() || !covers(pattern.rows, pattern.columns))
    {
        return 0;
    }
    const double density = effective_density(pattern, format, use);
    if (density > plan_densities.back())
    {
        return 0;
    }
    const bool fixed = format == weight_format::nm2x4 || format == weight_format::nm1x4 ||
                       format == weight_format::nm4x8;
    const auto place = fixed ? detail::axis_place{} : detail::place_of_density(density);
    const plan_grid grid = plan_grid_of(use.kind);
    const auto images = detail::place_of_images(grid, use.images);
    const auto value_for = [&](std::size_t size, std::size_t image, std::size_t batch)
    {
        const auto at = [&](std::size_t d)
        {
            return static_cast<double>(
                of(use.kind)
                    .ratios[ratio_place(use.kind, format, grid.place(size, image, batch), d)]);
        };
        const double low = at(place.at);
        if (place.part == 0)
        {
            return low;
        }
        const double high = at(place.at + 1);
        return low > 0 && high > 0 ? low * (1 - place.part) + high * place.part : 0.0;
    };
    const auto value = [&](std::size_t size, std::size_t batch)
    {
        const double few = value_for(size, images.at, batch);
        if (images.part == 0)
        {
            return few;
        }
        const double many = value_for(size, images.at + 1, batch);
        return few > 0 && many > 0 ? std::max(few, many) : 0.0;
    };
    const auto for_elements = [&](double elements)
    {
        const auto size = detail::place_of_size(grid, elements);
        const auto batch = detail::place_of_batch(grid, use.batch);
        const double low = detail::between(size, {batch.at, 0}, value);
        if (batch.part == 0)
        {
            return low;
        }
        // Kernels go through a batch in steps: the worse neighbour, and a bit.
        const double high = detail::between(size, {batch.at + 1, 0}, value);
        return low > 0 && high > 0 ? 1.2 * std::max(low, high) : 0.0;
    };
    // A narrow matrix has the overheads of a small one: also as its short side would be.
    const bool square = use.kind != layer_kind::convolution;
    const auto columns = static_cast<double>(pattern.columns);
    const double side = std::min(static_cast<double>(pattern.rows), square ? columns : columns / 4);
    const double elements = pattern.elements();
    const double own = for_elements(elements);
    const double narrow = for_elements(std::min((square ? 1 : 9) * side * side, elements));
    return own > 0 && narrow > 0 ? 1e-3 * std::max(own, narrow) : 0;
}

namespace detail
{

inline constexpr std::string_view plan_table_title = "structopt plan table 2";

/// Numbers of a list on lines of at most 20, behind the list's name.
template <class Number>
void put_numbers(std::string& text, std::string_view name, const std::vector<Number>& numbers)
{
    text += name;
    for (std::size_t i = 0; i < numbers.size(); ++i)
    {
        text += i % 20 == 0 ? '\n' : ' ';
        text += std::to_string(numbers[i]);
    }
    text += '\n';
}

/// Reads what `plan_table::text` writes.
class plan_table_reader
{
public:
    plan_table_reader(std::string_view text, const std::string& name)
        : m_text(text)
        , m_name(name)
    {
    }

    std::string_view line()
    {
        ++m_number;
        const std::size_t end = m_text.find('\n');
        if (end == std::string_view::npos)
        {
            fail("a line that ends", m_text.empty() ? "the end of the text" : "none");
        }
        const std::string_view found = m_text.substr(0, end);
        m_text.remove_prefix(end + 1);
        return found;
    }

    void expect(std::string_view expected)
    {
        if (line() != expected)
        {
            fail("the line `" + std::string(expected) + "`", "another one");
        }
    }

    template <class Number>
    void numbers(std::string_view name, std::vector<Number>& to)
    {
        expect(name);
        std::string_view rest;
        for (std::size_t i = 0; i < to.size(); ++i)
        {
            if (i % 20 == 0)
            {
                if (!rest.empty())
                {
                    fail("20 numbers on a line", "more");
                }
                rest = line();
            }
            Number value = 0;
            const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), value);
            if (parsed.ec != std::errc())
            {
                fail("a number up to " + std::to_string(std::numeric_limits<Number>::max()),
                    "something else");
            }
            to[i] = value;
            rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
            if (!rest.empty() && rest.front() != ' ')
            {
                fail("a space between numbers", "something else");
            }
            rest.remove_prefix(rest.empty() ? 0 : 1);
        }
        if (!rest.empty())
        {
            fail("as many numbers as the grid has points", "more");
        }
    }

    void end()
    {
        if (!m_text.empty())
        {
            ++m_number;
            fail("the end of the text", "more");
        }
    }

    [[noreturn]] void fail(const std::string& expected, const std::string& found) const
    {
        structopt::detail::raise<format_error>(
            m_name + " line " + std::to_string(m_number), expected, found);
    }

private:
    std::string_view m_text;
    const std::string& m_name;
    std::size_t m_number = 0;
};

} // namespace detail

inline std::string plan_table::text() const
{
    if (empty())
    {
        structopt::detail::raise<argument_error>("plan_table", "measured times", "none");
    }
    std::string out(detail::plan_table_title);
    out += "\ntarget " + m_target + "\nelement bytes " + std::to_string(m_element_bytes) + "\n";
    for (const layer_kind kind : every_layer_kind)
    {
        const std::string name(name_of(kind));
        detail::put_numbers(out, name + " times", of(kind).dense);
        detail::put_numbers(out, name + " ratios", of(kind).ratios);
        detail::put_numbers(out, name + " slots", of(kind).slots);
    }
    return out;
}

inline plan_table plan_table::parse(std::string_view text, const std::string& name)
{
    detail::plan_table_reader reader(text, name);
    reader.expect(detail::plan_table_title);
    constexpr std::string_view start = "target ";
    const std::string_view target = reader.line();
    if (target.size() <= start.size() || target.substr(0, start.size()) != start)
    {
        reader.fail("`target` and its name", "another line");
    }
    const std::string_view element = reader.line();
    if (element != "element bytes 4" && element != "element bytes 8")
    {
        reader.fail("`element bytes 4` or `element bytes 8`", "another line");
    }
    plan_table table(std::string(target.substr(start.size())),
        element.back() == '4' ? sizeof(float) : sizeof(double));
    for (const layer_kind kind : every_layer_kind)
    {
        const std::string part(name_of(kind));
        reader.numbers(part + " times", table.of(kind).dense);
        reader.numbers(part + " ratios", table.of(kind).ratios);
        reader.numbers(part + " slots", table.of(kind).slots);
    }
    reader.end();
    return table;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
