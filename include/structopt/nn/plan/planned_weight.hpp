/// @file
/// A weight in whichever format a plan has chosen.
#pragma once

#include <structopt/nn/any_weight.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/nn/plan/choose_format.hpp>
#include <structopt/sparse/model.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// One of the formats of `weight_format`, in its order.
template <std::floating_point T>
using planned_weight =
    any_weight<T, tensor<T, 2>, packed_matrix<T>, sparse::sliced<T>, sparse::tiled<T>,
        sparse::csr<T, std::uint16_t>, sparse::bitmask<T>, sparse::bsr<T, 16, 1, std::uint16_t>,
        sparse::packed_nm<T, 2, 4>, sparse::packed_nm<T, 1, 4>, sparse::packed_nm<T, 4, 8>>;

/// A matrix of any strides in a given format. Throws `argument_error` if the format cannot hold it.
template <std::floating_point T>
planned_weight<T> pack_as(weight_format format, view<const T, 2> w);

/// A weight and why it has the format that it has.
template <std::floating_point T>
struct planned_matrix
{
    planned_weight<T> weight;
    plan_choice choice;
};

/// Chooses the format of a matrix as `choose_format` does, and packs it.
///
/// Where `sliced` or `tiled` could be chosen they are packed before that is decided: rows whose
/// non-zeros lie awkwardly take more padding than random ones, and count as denser. Throws as
/// `choose_format`.
template <std::floating_point T>
planned_matrix<T> plan_matrix(view<const T, 2> w, const weight_use& use,
    const plan_options& options, const plan_table& table);

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Calls `body(std::type_identity<Format>)` with the type of a format.
template <class T, class... Formats, class Body>
void with_format(
    std::type_identity<any_weight<T, Formats...>>, weight_format format, const Body& body)
{
    static_assert(sizeof...(Formats) == weight_format_count);
    std::size_t number = 0;
    const auto attempt = [&]<class S>(std::type_identity<S> type)
    {
        if (number++ == static_cast<std::size_t>(format))
        {
            body(type);
        }
    };
    (attempt(std::type_identity<Formats>{}), ...);
}

} // namespace detail

template <std::floating_point T>
planned_weight<T> pack_as(weight_format format, view<const T, 2> w)
{
    std::optional<planned_weight<T>> packed;
    detail::with_format(std::type_identity<planned_weight<T>>{}, format,
        [&]<class S>(std::type_identity<S>)
        {
            packed.emplace(storage_traits<S>::pack(w));
        });
    return std::move(*packed);
}

template <std::floating_point T>
planned_matrix<T> plan_matrix(
    view<const T, 2> w, const weight_use& use, const plan_options& options, const plan_table& table)
{
    detail::check_plan(use, options);
    weight_pattern pattern = pattern_of(w);
    std::optional<sparse::sliced<T>> sliced;
    std::optional<sparse::tiled<T>> tiled;
    const auto pack = [&](weight_format format)
    {
        if (format == weight_format::sliced && !sliced)
        {
            sliced.emplace(w);
            pattern.sliced_slots = sliced->slots();
            pattern.sliced_bytes = sliced->bytes();
            return true;
        }
        if (format == weight_format::tiled && !tiled)
        {
            tiled.emplace(w);
            pattern.tiled_slots = tiled->slots();
            pattern.tiled_bytes = tiled->bytes();
            return true;
        }
        return false;
    };
    if (options.goal == objective::bytes)
    {
        pack(weight_format::sliced);
        pack(weight_format::tiled);
    }
    plan_choice choice = choose_format(pattern, use, options, table);
    while (pack(choice.format))
    {
        choice = choose_format(pattern, use, options, table);
    }
    if (choice.format == weight_format::sliced)
    {
        return {planned_weight<T>(std::move(*sliced)), std::move(choice)};
    }
    if (choice.format == weight_format::tiled)
    {
        return {planned_weight<T>(std::move(*tiled)), std::move(choice)};
    }
    return {nn::pack_as(choice.format, w), std::move(choice)};
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
