/// @file
/// SparseGPT: one-shot pruning of a layer, column by column, with the columns behind making up for
/// what went.
#pragma once

#include <structopt/prune/lowest.hpp>
#include <structopt/prune/reconstruction.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
/// 2023, algorithm 1.
///
/// With U the upper factor of H^-1 = U^T U, column c loses weights at the price w^2 / U_cc^2 each, and
/// for every weight that goes, the columns behind it take up w / U_cc times row c of U. Masks are
/// chosen block by block of columns from the weights as they are then. Exactly round(sparsity * n)
/// weights go, or M - N in every group of M columns; weights that are zero already go first and stay
/// zero, so that masks of rising sparsity are nested.
///
/// Cost: columns^3 / 3 multiply-adds for U, rows columns^2 / 2 for the updates. Memory: 3 columns^2
/// doubles and twice the weight.
///
///     const auto result = prune::sparse_gpt{.sparsity = 0.5}.prune(w, gram);
struct sparse_gpt
{
    /// Share of the weights that become zero, in [0, 1); without meaning where `of` is set.
    double sparsity = 0.5;
    /// N and M of N:M sparsity: of every `of` columns of a row `kept` stay. 0 is unstructured.
    index_t kept = 0;
    index_t of = 0;
    /// Columns whose mask is chosen together.
    index_t block = 128;
    /// Added to the diagonal of H, as a share of its mean.
    double damping = 0.01;
    /// Whether the survivors of every row are solved for anew at the end (`reconstruct`): the minimum
    /// for the zeros chosen, at min(kept, removed)^3 / 6 multiply-adds per row.
    bool refit = false;

    /// Throws `argument_error` for options out of range and numbers that are not finite, `shape_error`
    /// for a `gram` of other extents, `not_positive_definite_error` for one that needs more damping.
    template <std::floating_point T>
    pruned_matrix<T> prune(view<const T, 2> w, view<const double, 2> gram) const;

    template <std::floating_point T>
    pruned_matrix<T> prune(const tensor<T, 2>& w, const tensor<double, 2>& gram) const
    {
        return prune(as_view(w), as_view(gram));
    }

    friend bool operator==(const sparse_gpt&, const sparse_gpt&) = default;

    /// Throws `argument_error` for options out of range.
    void check() const;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sets to 0 the bytes of the `n` lowest scores; of equal ones the earlier go.
template <class T>
void drop_lowest(
    const std::vector<T>& scores, std::size_t n, std::vector<T>& room, std::uint8_t* keep)
{
    if (n == 0)
    {
        return;
    }
    room = scores;
    const auto last = room.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(room.begin(), last, room.end());
    const T limit = *last;
    std::size_t below = 0;
    for (const T score : scores)
    {
        below += score < limit ? 1 : 0;
    }
    std::size_t equal = n - below;
    for (std::size_t i = 0; i < scores.size(); ++i)
    {
        if (scores[i] < limit)
        {
            keep[i] = 0;
        }
        else if (equal > 0 && !(limit < scores[i]))
        {
            keep[i] = 0;
            --equal;
        }
    }
}

} // namespace detail

inline void sparse_gpt::check() const
{
    detail::check_share("sparse_gpt sparsity", sparsity);
    if (block < 1)
    {
        structopt::detail::raise<argument_error>(
            "sparse_gpt block", "at least one column", std::to_string(block));
    }
    if (of != 0 ? kept < 1 || kept > of : kept != 0)
    {
        structopt::detail::raise<argument_error>("sparse_gpt N:M", "1 <= N <= M, or neither",
            std::to_string(kept) + ":" + std::to_string(of));
    }
}

template <std::floating_point T>
pruned_matrix<T> sparse_gpt::prune(view<const T, 2> w, view<const double, 2> gram) const
{
    check();
    const tensor<double, 2> h = detail::hessian("sparse_gpt", w, gram, damping);
    const index_t rows = w.shape(0);
    const index_t n = w.shape(1);
    tensor<T, 2> u = make_tensor<T>(shape<2>{n, n});
    {
        const tensor<double, 2> exact = linalg::inverse_factor(h);
        std::transform(exact.data(), exact.data() + exact.size(), u.data(),
            [](double value)
            {
                return static_cast<T>(value);
            });
    }
    // Column after column of W is one row here.
    auto columns = make_tensor<T>(shape<2>{n, rows});
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(n * rows), 1);
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t c = 0; c < n; ++c)
        {
            columns.data()[c * rows + r] = w(r, c);
            // Marks zeros until the block is reached.
            keep[static_cast<std::size_t>(c * rows + r)] =
                structopt::detail::is_zero(w(r, c)) ? 2 : 1;
        }
    }
    const index_t group = of == 0 ? 1 : of;
    const index_t wide = (std::min(block, n) + group - 1) / group * group;
    buffer<T> negative(static_cast<std::size_t>(wide * rows));
    std::vector<T> scores;
    std::vector<T> room;
    std::vector<std::uint8_t> stay;
    buffer<std::byte> bytes;
    std::size_t removed = 0;
    double loss = 0;
    for (index_t first = 0; first < n; first += wide)
    {
        const index_t end = std::min(first + wide, n);
        const auto score = [&](index_t c, index_t r)
        {
            const T root = columns.data()[c * rows + r] / u.data()[c * n + c];
            return keep[static_cast<std::size_t>(c * rows + r)] == 2 ? T(-1) : root * root;
        };
        std::uint8_t* const marks = keep.data() + first * rows;
        if (of == 0)
        {
            const auto width = static_cast<std::size_t>((end - first) * rows);
            scores.resize(width);
            std::size_t zeros = 0;
            for (index_t c = first; c < end; ++c)
            {
                for (index_t r = 0; r < rows; ++r)
                {
                    const T value = score(c, r);
                    scores[static_cast<std::size_t>((c - first) * rows + r)] = value;
                    zeros += value < T(0) ? 1 : 0;
                }
            }
            const std::size_t due =
                detail::share_of(sparsity, static_cast<std::size_t>(end * rows));
            const std::size_t go = std::max(due > removed ? due - removed : 0, zeros);
            std::fill_n(marks, width, std::uint8_t{1});
            detail::drop_lowest(scores, std::min(go, width), room, marks);
            removed += std::min(go, width);
        }
        for (index_t c = first; c < end; ++c)
        {
            if (of != 0 && c % of == 0)
            {
                const index_t last = std::min(c + of, n);
                for (index_t r = 0; r < rows; ++r)
                {
                    scores.clear();
                    std::size_t zeros = 0;
                    for (index_t k = c; k < last; ++k)
                    {
                        scores.push_back(score(k, r));
                        zeros += scores.back() < T(0) ? 1 : 0;
                    }
                    stay.assign(scores.size(), 1);
                    const std::size_t most = static_cast<std::size_t>(
                        std::max<index_t>(static_cast<index_t>(scores.size()) - kept, 0));
                    detail::drop_lowest(scores, std::max(most, zeros), room, stay.data());
                    for (index_t k = c; k < last; ++k)
                    {
                        keep[static_cast<std::size_t>(k * rows + r)] =
                            stay[static_cast<std::size_t>(k - c)];
                    }
                }
            }
            const std::uint8_t* const stays = keep.data() + c * rows;
            T* const own = columns.data() + c * rows;
            T* const error = negative.data() + (c - first) * rows;
            const T root = u.data()[c * n + c];
            for (index_t r = 0; r < rows; ++r)
            {
                const T e = stays[r] != 0 ? T(0) : own[r] / root;
                own[r] = stays[r] != 0 ? own[r] : T(0);
                error[r] = -e;
                loss += static_cast<double>(e) * static_cast<double>(e);
            }
            for (index_t k = c + 1; k < end; ++k)
            {
                const T share = u.data()[c * n + k];
                T* const to = columns.data() + k * rows;
                for (index_t r = 0; r < rows; ++r)
                {
                    to[r] += share * error[r];
                }
            }
        }
        if (end < n)
        {
            bytes.resize(
                std::max(bytes.size(), kernel::gemm_scratch_bytes<T>(n - end, rows, end - first)));
            kernel::epilogue<T> add;
            add.accumulate = true;
            kernel::gemm<T>(n - end, rows, end - first, {u.data() + first * n + end, 1, n},
                {negative.data(), rows, 1}, columns.data() + end * rows, rows, add, bytes.data());
        }
    }
    pruned_matrix<T> result;
    result.loss = loss;
    result.weight = make_tensor<T>(w.shape());
    result.keep.resize(keep.size());
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t c = 0; c < n; ++c)
        {
            result.weight.data()[r * n + c] = columns.data()[c * rows + r];
            result.keep[static_cast<std::size_t>(r * n + c)] =
                keep[static_cast<std::size_t>(c * rows + r)];
        }
    }
    if (refit)
    {
        const bool wanted = detail::wants_inverse(result.keep, n);
        return detail::finish(w, h,
            wanted ? linalg::inverse(linalg::cholesky(h)) : tensor<double, 2>(),
            std::move(result.keep));
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
