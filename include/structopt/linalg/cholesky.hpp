/// @file
/// Cholesky's factorization of symmetric positive definite matrices, and what is made of it:
/// solutions, the inverse, the factor of the inverse.
///
/// Blocks of 64 columns; everything outside the blocks on the diagonal is a product of the kernels.
/// Results have the same bits for every number of threads. Only the lower triangle of A is read.
/// Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., chapters 8, 10 and 14.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/linalg/not_positive_definite.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace linalg
{

/// The lower triangular L with A = L L^T; zeros above the diagonal.
///
/// n^3 / 6 multiply-adds. Residual |A - L L^T| of about n epsilon |A|. Throws
/// `not_positive_definite_error` naming the first pivot that is not positive or not a number,
/// `shape_error` for a matrix that is not square.
template <std::floating_point T>
tensor<T, 2> cholesky(view<const T, 2> a);

/// The inverse of a lower triangular matrix with a diagonal of no zeros; n^3 / 6 multiply-adds.
template <std::floating_point T>
tensor<T, 2> triangular_inverse(view<const T, 2> l);

/// X with A X = B, for L = `cholesky`(A) and B [n, k]; n^2 k multiply-adds.
template <std::floating_point T>
tensor<T, 2> solve(view<const T, 2> l, view<const T, 2> b);

/// A^-1, symmetric, for L = `cholesky`(A); n^3 / 3 multiply-adds.
template <std::floating_point T>
tensor<T, 2> inverse(view<const T, 2> l);

/// The upper triangular U with A^-1 = U^T U: row i of U holds what is left of row i of the inverse
/// when the variables before i are fixed, divided by its root; U(i, i)^2 is the inverse's pivot.
///
/// What SparseGPT and GPTQ walk along. With the rows and columns in reverse order A = R R^T for an
/// upper triangular R, and U = R^-1: no inverse is formed, n^3 / 3 multiply-adds in all. Throws as
/// `cholesky` does, naming the pivot in A's own order.
template <std::floating_point T>
tensor<T, 2> inverse_factor(view<const T, 2> a);

/// Adds `share` times the mean of the diagonal to the diagonal (percdamp of SparseGPT and GPTQ).
/// Returns what was added. Throws `argument_error` for a share that is negative or no number.
template <std::floating_point T>
T damp(tensor<T, 2>& a, double share);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline constexpr index_t block = 64;
/// Rows and columns of one product with a triangle: what lies beyond the triangle is wasted.
inline constexpr index_t strip = 256;

template <class T, std::size_t N>
void check_square(const char* where, view<const T, N> a)
{
    check_shape(where, shape<2>{a.shape(0), a.shape(0)}, a.shape());
}

/// Scratch for products; grows to what is asked for.
template <class T>
class workspace
{
public:
    /// C[m, n] (+)= A B.
    void product(index_t m, index_t n, index_t k, kernel::matrix_operand<T> a,
        kernel::matrix_operand<T> b, T* c, index_t row, bool accumulate)
    {
        const std::size_t bytes = kernel::gemm_scratch_bytes<T>(m, n, k);
        if (m_bytes.size() < bytes)
        {
            m_bytes.resize(bytes);
        }
        kernel::epilogue<T> e;
        e.accumulate = accumulate;
        kernel::gemm<T>(m, n, k, a, b, c, row, e, m_bytes.data());
    }

private:
    buffer<std::byte> m_bytes;
};

/// Factors a block of at most `block` rows in place, from the lower triangle. Returns the first bad
/// pivot, or n.
template <class T>
index_t factor_block(index_t n, T* a, index_t row) noexcept
{
    for (index_t j = 0; j < n; ++j)
    {
        T* const aj = a + j * row;
        T pivot = aj[j];
        for (index_t k = 0; k < j; ++k)
        {
            pivot -= aj[k] * aj[k];
        }
        if (!structopt::detail::is_finite(pivot) || !(pivot > T(0)))
        {
            aj[j] = pivot;
            return j;
        }
        const T root = std::sqrt(pivot);
        aj[j] = root;
        for (index_t i = j + 1; i < n; ++i)
        {
            T* const ai = a + i * row;
            T sum = ai[j];
            for (index_t k = 0; k < j; ++k)
            {
                sum -= ai[k] * aj[k];
            }
            ai[j] = sum / root;
        }
    }
    return n;
}

/// Factors A in place, lower triangle only. Returns the first bad pivot (its value is on the
/// diagonal), or n.
template <class T>
index_t factor(tensor<T, 2>& a)
{
    const index_t n = shape_of(a)[0];
    T* const data = a.data();
    buffer<T> panel;
    buffer<T> negative;
    workspace<T> room;
    for (index_t k = 0; k < n; k += block)
    {
        const index_t width = std::min(block, n - k);
        const index_t bad = factor_block(width, data + k * n + k, n);
        if (bad < width)
        {
            return k + bad;
        }
        const index_t m = n - k - width;
        if (m == 0)
        {
            break;
        }
        // The rows below, transposed: forward substitution for all of them at once.
        panel.resize(static_cast<std::size_t>(width * m));
        negative.resize(panel.size());
        for (index_t i = 0; i < m; ++i)
        {
            for (index_t j = 0; j < width; ++j)
            {
                panel[static_cast<std::size_t>(j * m + i)] = data[(k + width + i) * n + k + j];
            }
        }
        for (index_t j = 0; j < width; ++j)
        {
            T* const pj = panel.data() + j * m;
            const T* const lj = data + (k + j) * n + k;
            for (index_t c = 0; c < j; ++c)
            {
                const T* const pc = panel.data() + c * m;
                const T factor = lj[c];
                for (index_t i = 0; i < m; ++i)
                {
                    pj[i] -= factor * pc[i];
                }
            }
            const T pivot = lj[j];
            T* const nj = negative.data() + j * m;
            for (index_t i = 0; i < m; ++i)
            {
                pj[i] /= pivot;
                nj[i] = -pj[i];
            }
        }
        for (index_t i = 0; i < m; ++i)
        {
            for (index_t j = 0; j < width; ++j)
            {
                data[(k + width + i) * n + k + j] = panel[static_cast<std::size_t>(j * m + i)];
            }
        }
        for (index_t i = 0; i < m; i += strip)
        {
            const index_t height = std::min(strip, m - i);
            room.product(height, i + height, width, {negative.data() + i, 1, m},
                {panel.data(), m, 1}, data + (k + width + i) * n + k + width, n, true);
        }
    }
    return n;
}

template <class T>
void clear_above(tensor<T, 2>& a) noexcept
{
    const index_t n = shape_of(a)[0];
    for (index_t i = 0; i < n; ++i)
    {
        std::fill(a.data() + i * n + i + 1, a.data() + (i + 1) * n, T(0));
    }
}

/// Inverts a lower triangle in place, zeros above the diagonal.
template <class T>
void invert_triangle(tensor<T, 2>& l)
{
    const index_t n = shape_of(l)[0];
    T* const data = l.data();
    T own[block * block];
    buffer<T> product(static_cast<std::size_t>(block * n));
    workspace<T> room;
    for (index_t i = 0; i < n; i += block)
    {
        const index_t height = std::min(block, n - i);
        // The block on the diagonal, negative, column by column of the unit vectors.
        std::fill_n(own, block * block, T(0));
        for (index_t r = 0; r < height; ++r)
        {
            const T* const lr = data + (i + r) * n + i;
            T* const to = own + r * block;
            to[r] = T(1);
            for (index_t k = 0; k < r; ++k)
            {
                for (index_t c = 0; c <= k; ++c)
                {
                    to[c] -= lr[k] * own[k * block + c];
                }
            }
            for (index_t c = 0; c <= r; ++c)
            {
                to[c] /= lr[r];
            }
        }
        // Rows above are inverted already, and zero right of their diagonal.
        for (index_t j = 0; j < i; j += strip)
        {
            const index_t width = std::min(strip, i - j);
            room.product(height, width, i - j, {data + i * n + j, n, 1}, {data + j * n + j, n, 1},
                product.data() + j, n, false);
        }
        for (index_t r = 0; r < height; ++r)
        {
            for (index_t c = 0; c < height; ++c)
            {
                data[(i + r) * n + i + c] = own[r * block + c];
                own[r * block + c] = -own[r * block + c];
            }
        }
        if (i > 0)
        {
            room.product(
                height, i, height, {own, block, 1}, {product.data(), n, 1}, data + i * n, n, false);
        }
    }
}

template <class T>
[[noreturn]] void raise_pivot(const char* where, index_t pivot, T value)
{
    structopt::detail::raise<not_positive_definite_error>(where,
        "a positive definite matrix (damp it, or calibrate with more samples)",
        "pivot " + std::to_string(pivot) + " of " + std::to_string(value));
}

/// The matrix with rows and columns in reverse order.
template <class T>
tensor<T, 2> reversed(view<const T, 2> a)
{
    const index_t n = a.shape(0);
    auto r = make_tensor<T>(a.shape());
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j < n; ++j)
        {
            r.data()[i * n + j] = a(n - 1 - i, n - 1 - j);
        }
    }
    return r;
}

} // namespace detail

template <std::floating_point T>
tensor<T, 2> cholesky(view<const T, 2> a)
{
    detail::check_square("linalg::cholesky", a);
    tensor<T, 2> l = structopt::copy(a);
    const index_t n = a.shape(0);
    const index_t bad = detail::factor(l);
    if (bad < n)
    {
        detail::raise_pivot("linalg::cholesky", bad, l.data()[bad * n + bad]);
    }
    detail::clear_above(l);
    return l;
}

template <std::floating_point T>
tensor<T, 2> triangular_inverse(view<const T, 2> l)
{
    detail::check_square("linalg::triangular_inverse", l);
    tensor<T, 2> result = structopt::copy(l);
    detail::clear_above(result);
    detail::invert_triangle(result);
    return result;
}

template <std::floating_point T>
tensor<T, 2> solve(view<const T, 2> l, view<const T, 2> b)
{
    detail::check_square("linalg::solve", l);
    check_shape("linalg::solve", shape<2>{l.shape(0), -1}, b.shape());
    const tensor<T, 2> factor = structopt::copy(l);
    tensor<T, 2> x = structopt::copy(b);
    const index_t n = l.shape(0);
    const index_t k = b.shape(1);
    const T* const lower = factor.data();
    // Blocks of rows: what is known already leaves them by one product.
    buffer<T> negative(static_cast<std::size_t>(detail::block * n));
    detail::workspace<T> room;
    for (index_t i = 0; i < n; i += detail::block)
    {
        const index_t height = std::min(detail::block, n - i);
        for (index_t r = 0; r < height; ++r)
        {
            for (index_t c = 0; c < i; ++c)
            {
                negative[static_cast<std::size_t>(r * n + c)] = -lower[(i + r) * n + c];
            }
        }
        if (i > 0)
        {
            room.product(
                height, k, i, {negative.data(), n, 1}, {x.data(), k, 1}, x.data() + i * k, k, true);
        }
        for (index_t r = i; r < i + height; ++r)
        {
            T* const to = x.data() + r * k;
            for (index_t c = i; c < r; ++c)
            {
                const T* const from = x.data() + c * k;
                for (index_t j = 0; j < k; ++j)
                {
                    to[j] -= lower[r * n + c] * from[j];
                }
            }
            for (index_t j = 0; j < k; ++j)
            {
                to[j] /= lower[r * n + r];
            }
        }
    }
    for (index_t end = n; end > 0;)
    {
        const index_t height = end % detail::block == 0 ? detail::block : end % detail::block;
        const index_t i = end - height;
        const index_t below = n - end;
        for (index_t c = 0; c < below; ++c)
        {
            for (index_t r = 0; r < height; ++r)
            {
                negative[static_cast<std::size_t>(r * n + c)] = -lower[(end + c) * n + i + r];
            }
        }
        if (below > 0)
        {
            room.product(height, k, below, {negative.data(), n, 1}, {x.data() + end * k, k, 1},
                x.data() + i * k, k, true);
        }
        for (index_t r = end; r-- > i;)
        {
            T* const to = x.data() + r * k;
            for (index_t c = r + 1; c < end; ++c)
            {
                const T* const from = x.data() + c * k;
                for (index_t j = 0; j < k; ++j)
                {
                    to[j] -= lower[c * n + r] * from[j];
                }
            }
            for (index_t j = 0; j < k; ++j)
            {
                to[j] /= lower[r * n + r];
            }
        }
        end = i;
    }
    return x;
}

template <std::floating_point T>
tensor<T, 2> inverse(view<const T, 2> l)
{
    const tensor<T, 2> m = linalg::triangular_inverse(l);
    const index_t n = l.shape(0);
    auto result = make_tensor<T>(l.shape());
    detail::workspace<T> room;
    // A^-1 = M^T M with M = L^-1; rows before the strip have zeros in its columns.
    for (index_t i = 0; i < n; i += detail::strip)
    {
        const index_t height = std::min(detail::strip, n - i);
        room.product(height, i + height, n - i, {m.data() + i * n + i, 1, n},
            {m.data() + i * n, n, 1}, result.data() + i * n, n, false);
    }
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = i + 1; j < n; ++j)
        {
            result.data()[i * n + j] = result.data()[j * n + i];
        }
    }
    return result;
}

template <std::floating_point T>
tensor<T, 2> inverse_factor(view<const T, 2> a)
{
    detail::check_square("linalg::inverse_factor", a);
    const index_t n = a.shape(0);
    // Reversed, the lower triangle that is read comes from the upper one: symmetric matrices only
    // have to have one, so it is taken from below.
    tensor<T, 2> r =
        detail::reversed(view<const T, 2>(a.data(), a.shape(), {a.stride(1), a.stride(0)}));
    const index_t bad = detail::factor(r);
    if (bad < n)
    {
        detail::raise_pivot("linalg::inverse_factor", n - 1 - bad, r.data()[bad * n + bad]);
    }
    detail::clear_above(r);
    detail::invert_triangle(r);
    return detail::reversed(as_view(std::as_const(r)));
}

template <std::floating_point T>
T damp(tensor<T, 2>& a, double share)
{
    detail::check_square("linalg::damp", as_view(std::as_const(a)));
    if (!structopt::detail::is_finite(share) || share < 0)
    {
        structopt::detail::raise<argument_error>(
            "linalg::damp", "a share of at least 0", std::to_string(share));
    }
    const index_t n = shape_of(a)[0];
    double sum = 0;
    for (index_t i = 0; i < n; ++i)
    {
        sum += static_cast<double>(a.data()[i * n + i]);
    }
    const T added = n == 0 ? T(0) : static_cast<T>(share * sum / static_cast<double>(n));
    for (index_t i = 0; i < n; ++i)
    {
        a.data()[i * n + i] += added;
    }
    return added;
}

/// The same of tensors.
template <std::floating_point T>
tensor<T, 2> cholesky(const tensor<T, 2>& a)
{
    return linalg::cholesky(as_view(a));
}

template <std::floating_point T>
tensor<T, 2> triangular_inverse(const tensor<T, 2>& l)
{
    return linalg::triangular_inverse(as_view(l));
}

template <std::floating_point T>
tensor<T, 2> solve(const tensor<T, 2>& l, const tensor<T, 2>& b)
{
    return linalg::solve(as_view(l), as_view(b));
}

template <std::floating_point T>
tensor<T, 2> inverse(const tensor<T, 2>& l)
{
    return linalg::inverse(as_view(l));
}

template <std::floating_point T>
tensor<T, 2> inverse_factor(const tensor<T, 2>& a)
{
    return linalg::inverse_factor(as_view(a));
}

} // namespace linalg
STRUCTOPT_END_NAMESPACE
