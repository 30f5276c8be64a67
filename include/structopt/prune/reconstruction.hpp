/// @file
/// What second-order pruning is about: weights W' with zeros whose outputs stay close to those of W,
/// measured by what the layer sees.
///
/// With G the mean of x^T x over the layer's inputs, the mean squared change of the outputs is
/// tr((W - W') G (W - W')^T): a quadratic form whose Hessian, row by row, is G (up to a factor 2).
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/linalg/cholesky.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight that was pruned with an eye on its outputs.
template <class T>
struct pruned_matrix
{
    tensor<T, 2> weight;            ///< zero where it is not kept
    std::vector<std::uint8_t> keep; ///< one byte per weight, row by row
    /// Mean squared change of the outputs, summed over them, as the method counts it (damping
    /// included).
    double loss = 0;
};

/// A method that chooses the weights to remove and changes the others, from W [outputs, inputs] and
/// the mean of x^T x [inputs, inputs]. One's own is one struct with this member.
template <class P>
concept matrix_pruner = requires(
    const P& method, view<const float, 2> w, view<const double, 2> gram)
{
    {
        method.prune(w, gram)
        } -> std::same_as<pruned_matrix<float>>;
};

/// tr((W - W') G (W - W')^T), the mean squared change of the outputs. O(rows columns^2).
template <std::floating_point T>
double output_change(view<const T, 2> w, view<const T, 2> changed, view<const double, 2> gram);

/// The best weights for given zeros: minimizes `output_change` plus the damping's share of
/// |W - W'|^2 over all W' that are zero where `keep` is 0.
///
/// For a row with removed set S this is w - w_S [H^-1]_SS^-1 [H^-1]_S (Hassibi and Stork, "Second order
/// derivatives for network pruning", 1993, for several weights at once), with H = G + damping * mean
/// of G's diagonal * I; where more weights go than stay, the normal equations of those that stay.
/// Fits any mask, magnitude's too. Cost per row: min(kept, removed)^3 / 6 multiply-adds.
///
/// Throws `shape_error` for extents that do not fit, `argument_error` for numbers that are not
/// finite and a damping below 0, `not_positive_definite_error` for a G that needs more damping.
template <std::floating_point T>
tensor<T, 2> reconstruct(view<const T, 2> w, view<const double, 2> gram,
    std::span<const std::uint8_t> keep, double damping = 0.01);

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class T>
void check_finite(const std::string& what, view<const T, 2> a)
{
    for (index_t i = 0; i < a.shape(0); ++i)
    {
        for (index_t j = 0; j < a.shape(1); ++j)
        {
            if (!structopt::detail::is_finite(a(i, j)))
            {
                structopt::detail::raise<argument_error>(what, "finite numbers",
                    "NaN or infinity in row " + std::to_string(i) + ", column " +
                        std::to_string(j));
            }
        }
    }
}

/// H: G with damping; next to nothing for an input that was always zero, whose weights are to go first.
template <class T>
tensor<double, 2> hessian(
    const std::string& where, view<const T, 2> w, view<const double, 2> gram, double damping)
{
    check_shape((where + " gram").c_str(), shape<2>{w.shape(1), w.shape(1)}, gram.shape());
    if (!structopt::detail::is_finite(damping) || damping < 0)
    {
        structopt::detail::raise<argument_error>(
            where + " damping", "a share of at least 0", std::to_string(damping));
    }
    detail::check_finite(where + " weight", w);
    detail::check_finite(where + " gram", gram);
    tensor<double, 2> h = structopt::copy(gram);
    linalg::damp(h, damping);
    const index_t n = w.shape(1);
    double sum = 0;
    for (index_t i = 0; i < n; ++i)
    {
        sum += gram(i, i);
    }
    const double mean = n > 0 && sum > 0 ? sum / static_cast<double>(n) : 1.0;
    for (index_t i = 0; i < n; ++i)
    {
        if (structopt::detail::is_zero(gram(i, i)))
        {
            h.data()[i * n + i] = 1e-9 * mean;
        }
    }
    return h;
}

/// [A]_SS for the listed positions, lower triangle.
inline void gather_square(
    const tensor<double, 2>& a, std::span<const index_t> at, tensor<double, 2>& to)
{
    const index_t n = shape_of(a)[0];
    const index_t m = static_cast<index_t>(at.size());
    resize(to, shape<2>{m, m});
    for (index_t i = 0; i < m; ++i)
    {
        const double* const from = a.data() + at[static_cast<std::size_t>(i)] * n;
        for (index_t j = 0; j <= i; ++j)
        {
            to.data()[i * m + j] = from[at[static_cast<std::size_t>(j)]];
        }
    }
}

/// `reconstruct` with a Hessian that is damped and checked, and its inverse (empty if no row needs
/// it).
template <class T>
tensor<T, 2> reconstruct_rows(view<const T, 2> w, const tensor<double, 2>& h,
    const tensor<double, 2>& inverse, std::span<const std::uint8_t> keep)
{
    const index_t n = w.shape(1);
    auto result = make_tensor<T>(w.shape());
    tensor<double, 2> part;
    std::vector<index_t> kept;
    std::vector<index_t> gone;
    for (index_t r = 0; r < w.shape(0); ++r)
    {
        kept.clear();
        gone.clear();
        T* const to = result.data() + r * n;
        for (index_t c = 0; c < n; ++c)
        {
            const bool stays = keep[static_cast<std::size_t>(r * n + c)] != 0;
            to[c] = stays ? w(r, c) : T(0);
            (stays ? kept : gone).push_back(c);
        }
        if (kept.empty() || gone.empty())
        {
            continue;
        }
        const bool by_inverse = inverse.size() != 0 && gone.size() <= kept.size();
        const auto& list = by_inverse ? gone : kept;
        const index_t m = static_cast<index_t>(list.size());
        auto b = make_tensor<double>(shape<2>{m, 1});
        for (index_t i = 0; i < m; ++i)
        {
            const index_t c = list[static_cast<std::size_t>(i)];
            double sum = by_inverse ? static_cast<double>(w(r, c)) : 0.0;
            for (std::size_t k = 0; !by_inverse && k < gone.size(); ++k)
            {
                sum += h.data()[c * n + gone[k]] * static_cast<double>(w(r, gone[k]));
            }
            b.data()[i] = sum;
        }
        detail::gather_square(by_inverse ? inverse : h, list, part);
        const auto solution = linalg::solve(linalg::cholesky(part), b);
        for (std::size_t i = 0; i < kept.size(); ++i)
        {
            const index_t c = kept[i];
            double change = by_inverse ? 0.0 : solution.data()[i];
            for (std::size_t k = 0; by_inverse && k < gone.size(); ++k)
            {
                change -= inverse.data()[c * n + gone[k]] * solution.data()[k];
            }
            to[c] = static_cast<T>(static_cast<double>(w(r, c)) + change);
        }
    }
    return result;
}

/// The survivors of a choice, and what it costs. Weights that are zero already go too, so that they do
/// not come back.
template <class T>
pruned_matrix<T> finish(view<const T, 2> w, const tensor<double, 2>& h,
    const tensor<double, 2>& inverse, std::vector<std::uint8_t> keep)
{
    std::size_t i = 0;
    for (index_t r = 0; r < w.shape(0); ++r)
    {
        for (index_t c = 0; c < w.shape(1); ++c, ++i)
        {
            keep[i] = structopt::detail::is_zero(w(r, c)) ? std::uint8_t{0} : keep[i];
        }
    }
    pruned_matrix<T> result;
    result.weight = detail::reconstruct_rows(w, h, inverse, keep);
    result.keep = std::move(keep);
    result.loss = prune::output_change(w, view<const T, 2>(result.weight), as_view(h));
    return result;
}

/// Whether the inverse helps: if a row loses no more weights than it keeps.
inline bool wants_inverse(std::span<const std::uint8_t> keep, index_t columns) noexcept
{
    for (std::size_t i = 0; columns > 0 && i < keep.size(); i += static_cast<std::size_t>(columns))
    {
        index_t kept = 0;
        for (index_t c = 0; c < columns; ++c)
        {
            kept += keep[i + static_cast<std::size_t>(c)] != 0 ? 1 : 0;
        }
        if (kept < columns && columns - kept <= kept)
        {
            return true;
        }
    }
    return false;
}

} // namespace detail

template <std::floating_point T>
double output_change(view<const T, 2> w, view<const T, 2> changed, view<const double, 2> gram)
{
    check_shape("prune::output_change", w.shape(), changed.shape());
    check_shape("prune::output_change gram", shape<2>{w.shape(1), w.shape(1)}, gram.shape());
    const index_t rows = w.shape(0);
    const index_t n = w.shape(1);
    auto difference = make_tensor<double>(w.shape());
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t c = 0; c < n; ++c)
        {
            difference.data()[r * n + c] =
                static_cast<double>(w(r, c)) - static_cast<double>(changed(r, c));
        }
    }
    auto product = make_tensor<double>(w.shape());
    buffer<std::byte> bytes(kernel::gemm_scratch_bytes<double>(rows, n, n));
    kernel::gemm<double>(rows, n, n, {difference.data(), n, 1},
        {gram.data(), gram.stride(0), gram.stride(1)}, product.data(), n, {}, bytes.data());
    double sum = 0;
    for (index_t i = 0; i < rows * n; ++i)
    {
        sum += difference.data()[i] * product.data()[i];
    }
    return sum;
}

template <std::floating_point T>
tensor<T, 2> reconstruct(view<const T, 2> w, view<const double, 2> gram,
    std::span<const std::uint8_t> keep, double damping)
{
    if (keep.size() != static_cast<std::size_t>(w.size()))
    {
        structopt::detail::raise<shape_error>("prune::reconstruct mask",
            std::to_string(w.size()) + " numbers", std::to_string(keep.size()));
    }
    const tensor<double, 2> h = detail::hessian("prune::reconstruct", w, gram, damping);
    tensor<double, 2> inverse;
    if (detail::wants_inverse(keep, w.shape(1)))
    {
        inverse = linalg::inverse(linalg::cholesky(h));
    }
    return detail::reconstruct_rows(w, h, inverse, keep);
}

/// The same of tensors.
template <std::floating_point T>
double output_change(
    const tensor<T, 2>& w, const tensor<T, 2>& changed, const tensor<double, 2>& gram)
{
    return prune::output_change(as_view(w), as_view(changed), as_view(gram));
}

template <std::floating_point T>
tensor<T, 2> reconstruct(const tensor<T, 2>& w, const tensor<double, 2>& gram,
    std::span<const std::uint8_t> keep, double damping = 0.01)
{
    return prune::reconstruct(as_view(w), as_view(gram), keep, damping);
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
