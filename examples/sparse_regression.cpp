// Linear regression on sparse features: ridge on the ratings of MovieLens, with one column for each
// user, each movie and each year. Three numbers of a row of thousands are not zero.
//
// The columns of the users add up to a column of ones, and so do those of the movies: X^T X is
// singular, and only the damping of ridge regression makes the answer unique,
//
//     (X^T X + damping I) w = X^T (y - mean).
//
// Solved twice, by conjugate gradient, which needs products with X and X^T alone, and by Cholesky's
// method on the matrix of the normal equations, which is a product of two sparse matrices. For a part
// that fits into memory both are done with a dense X as well: the four answers agree.
//
// The data: Harper, Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015;
// movielens-latest-small/ratings.csv in the folder $STRUCTOPT_DATA_DIR.
//
//     sparse_regression [--quick] [--damping 5]

#include <structopt/core.hpp>
#include <structopt/io/csv.hpp>
#include <structopt/sparse.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace structopt;

namespace
{

using vector = tensor<double, 1>;
using features = sparse::csr<double, std::uint16_t>;

struct rating
{
    index_t user;
    index_t movie;
    index_t year;
    double stars;
};

/// Half stars from 0.5 to 5, in random order.
std::vector<rating> read_ratings(const std::string& path)
{
    const auto table = io::read_csv<double>(path, {.header_rows = 1});
    std::vector<rating> all;
    for (index_t i = 0; i < shape_of(table)[0]; ++i)
    {
        const double year = 1970 + table(i, 3) / 31'556'952; // seconds of a year
        all.push_back({static_cast<index_t>(table(i, 0)), static_cast<index_t>(table(i, 1)),
            static_cast<index_t>(year), table(i, 2)});
    }
    random_engine rng(1);
    structopt::shuffle(std::span<rating>(all), rng);
    return all;
}

/// Numbers the users, movies and years. Movies with few ratings share one column.
class feature_numbers
{
public:
    feature_numbers(const std::vector<rating>& ratings, index_t least)
    {
        std::map<index_t, index_t> seen;
        for (const rating& r : ratings)
        {
            ++seen[r.movie];
            number(m_users, r.user);
            number(m_years, r.year);
        }
        m_other = m_count++;
        for (const auto& [movie, times] : seen)
        {
            if (times >= least)
            {
                number(m_movies, movie);
            }
        }
    }

    index_t count() const
    {
        return m_count;
    }

    /// One row per rating. A user, movie or year that was not numbered has no column.
    features rows(const std::vector<rating>& ratings) const
    {
        sparse::coo<double> x(static_cast<index_t>(ratings.size()), m_count);
        for (std::size_t i = 0; i < ratings.size(); ++i)
        {
            const auto row = static_cast<index_t>(i);
            const auto add =
                [&](const std::map<index_t, index_t>& numbers, index_t name, bool other)
            {
                const auto found = numbers.find(name);
                if (found != numbers.end())
                {
                    x.add(row, found->second, 1);
                }
                else if (other)
                {
                    x.add(row, m_other, 1);
                }
            };
            add(m_users, ratings[i].user, false);
            add(m_movies, ratings[i].movie, true);
            add(m_years, ratings[i].year, false);
        }
        return sparse::convert<features>(x);
    }

private:
    void number(std::map<index_t, index_t>& numbers, index_t name)
    {
        if (numbers.emplace(name, m_count).second)
        {
            ++m_count;
        }
    }

    std::map<index_t, index_t> m_users;
    std::map<index_t, index_t> m_movies;
    std::map<index_t, index_t> m_years;
    index_t m_other = 0;
    index_t m_count = 0;
};

double dot(const vector& a, const vector& b)
{
    double sum = 0;
    for (index_t i = 0; i < size_of(a); ++i)
    {
        sum += a.data()[i] * b.data()[i];
    }
    return sum;
}

/// y + a x
vector plus(const vector& y, double a, const vector& x)
{
    vector sum = y;
    for (index_t i = 0; i < size_of(y); ++i)
    {
        sum.data()[i] += a * x.data()[i];
    }
    return sum;
}

struct solution
{
    vector weights;
    index_t iterations = 0;
    double seconds = 0;
};

template <class Solve>
solution timed(const Solve& solve)
{
    const auto start = std::chrono::steady_clock::now();
    solution result = solve();
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
}

/// Solves A w = b for a positive definite A of which only `apply(p)` = A p is known (Hestenes and
/// Stiefel, 1952).
template <class Apply>
solution conjugate_gradient(const Apply& apply, const vector& b)
{
    solution found{structopt::zeros<double>(shape_of(b))};
    vector residual = b;
    vector direction = b;
    double size = dot(residual, residual);
    const double enough = 1e-26 * size;
    while (size > enough && found.iterations < 10 * size_of(b))
    {
        const vector image = apply(direction);
        const double step = size / dot(direction, image);
        found.weights = plus(found.weights, step, direction);
        residual = plus(residual, -step, image);
        const double next = dot(residual, residual);
        direction = plus(residual, next / size, direction);
        size = next;
        ++found.iterations;
    }
    return found;
}

/// Solves A w = b for a dense positive definite A, which becomes its Cholesky factor.
vector cholesky(tensor<double, 2> a, vector b)
{
    const index_t n = size_of(b);
    double* const m = a.data();
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j <= i; ++j)
        {
            double sum = m[i * n + j];
            double parts[4] = {};
            index_t k = 0;
            for (; k + 4 <= j; k += 4)
            {
                for (index_t l = 0; l < 4; ++l)
                {
                    parts[l] += m[i * n + k + l] * m[j * n + k + l];
                }
            }
            for (; k < j; ++k)
            {
                parts[0] += m[i * n + k] * m[j * n + k];
            }
            sum -= (parts[0] + parts[1]) + (parts[2] + parts[3]);
            m[i * n + j] = i == j ? std::sqrt(sum) : sum / m[j * n + j];
        }
    }
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t k = 0; k < i; ++k)
        {
            b.data()[i] -= m[i * n + k] * b.data()[k];
        }
        b.data()[i] /= m[i * n + i];
    }
    for (index_t i = n; i-- > 0;)
    {
        for (index_t k = i + 1; k < n; ++k)
        {
            b.data()[i] -= m[k * n + i] * b.data()[k];
        }
        b.data()[i] /= m[i * n + i];
    }
    return b;
}

/// The two ways with a sparse matrix.
std::pair<solution, solution> solve_sparse(const features& x, const vector& y, double damping)
{
    const vector b = sparse::multiply(sparse::transposed(x), y);
    const solution iterated = timed(
        [&]
        {
            return conjugate_gradient(
                [&](const vector& p)
                {
                    const vector image = sparse::multiply(x, p);
                    return plus(sparse::multiply(sparse::transposed(x), image), damping, p);
                },
                b);
        });
    const solution direct = timed(
        [&]
        {
            const auto products = sparse::multiply(sparse::transposed(x), x);
            auto normal = products.to_dense();
            for (index_t i = 0; i < x.columns(); ++i)
            {
                normal(i, i) += damping;
            }
            return solution{cholesky(std::move(normal), b)};
        });
    return {iterated, direct};
}

/// y = X p, or y = X^T p, of a dense X.
vector dense_product(const tensor<double, 2>& x, const vector& p, bool turned)
{
    const auto [rows, columns] = shape_of(x);
    vector y = structopt::zeros<double>(shape<1>{turned ? columns : rows});
    for (index_t r = 0; r < rows; ++r)
    {
        const double* const row = x.data() + r * columns;
        for (index_t c = 0; c < columns; ++c)
        {
            (turned ? y.data()[c] : y.data()[r]) += row[c] * p.data()[turned ? r : c];
        }
    }
    return y;
}

/// The same two ways with a dense matrix.
std::pair<solution, solution> solve_dense(
    const tensor<double, 2>& x, const vector& y, double damping)
{
    const vector b = dense_product(x, y, true);
    const solution iterated = timed(
        [&]
        {
            return conjugate_gradient(
                [&](const vector& p)
                {
                    return plus(dense_product(x, dense_product(x, p, false), true), damping, p);
                },
                b);
        });
    const solution direct = timed(
        [&]
        {
            const auto [rows, columns] = shape_of(x);
            auto normal = structopt::zeros<double>(shape<2>{columns, columns});
            for (index_t r = 0; r < rows; ++r)
            {
                const double* const row = x.data() + r * columns;
                for (index_t i = 0; i < columns; ++i)
                {
                    for (index_t j = 0; j < columns && row[i] != 0; ++j)
                    {
                        normal(i, j) += row[i] * row[j];
                    }
                }
            }
            for (index_t i = 0; i < columns; ++i)
            {
                normal(i, i) += damping;
            }
            return solution{cholesky(std::move(normal), b)};
        });
    return {iterated, direct};
}

double largest_difference(const vector& a, const vector& b)
{
    double largest = 0;
    for (index_t i = 0; i < size_of(a); ++i)
    {
        largest = std::max(largest, std::abs(a.data()[i] - b.data()[i]));
    }
    return largest;
}

vector stars(const std::vector<rating>& ratings, double mean)
{
    vector y = structopt::zeros<double>(shape<1>{static_cast<index_t>(ratings.size())});
    for (std::size_t i = 0; i < ratings.size(); ++i)
    {
        y.data()[i] = ratings[i].stars - mean;
    }
    return y;
}

double mean_of(const std::vector<rating>& ratings)
{
    double sum = 0;
    for (const rating& r : ratings)
    {
        sum += r.stars;
    }
    return sum / static_cast<double>(ratings.size());
}

/// Root of the mean square.
double root_mean_square(const vector& x)
{
    return std::sqrt(dot(x, x) / static_cast<double>(x.size()));
}

/// All ratings: what the features explain of ratings that were not seen.
bool run_all(std::vector<rating> train, double damping, index_t least)
{
    const std::size_t held_out = train.size() / 10;
    const std::vector<rating> test(
        train.end() - static_cast<std::ptrdiff_t>(held_out), train.end());
    train.resize(train.size() - held_out);
    const double mean = mean_of(train);
    const feature_numbers numbers(train, least);
    const auto x = numbers.rows(train);
    const auto [iterated, direct] = solve_sparse(x, stars(train, mean), damping);
    const double apart = largest_difference(iterated.weights, direct.weights);

    const vector target = stars(test, mean);
    const vector predicted = sparse::multiply(numbers.rows(test), iterated.weights);
    const double before = root_mean_square(target);
    const double after = root_mean_square(plus(target, -1, predicted));
    std::printf("%zu ratings, %td features, %td non-zeros: %.1f MB sparse, %.0f MB dense\n",
        train.size(), x.columns(), x.nonzeros(), static_cast<double>(x.bytes()) / 1e6,
        static_cast<double>(x.size()) * 8 / 1e6);
    std::printf("conjugate gradient: %td iterations, %.3f s; normal equations: %.3f s; weights "
                "differ by at most %.1e\n",
        iterated.iterations, iterated.seconds, direct.seconds, apart);
    std::printf("%zu ratings not seen: error %.3f stars with the mean alone, %.3f with ridge\n",
        test.size(), before, after);
    return apart < 1e-9 && after < 0.9 * before;
}

/// The ratings of the first users: small enough for a dense matrix.
bool run_part(const std::vector<rating>& all, double damping, index_t users)
{
    std::vector<rating> part;
    for (const rating& r : all)
    {
        if (r.user <= users)
        {
            part.push_back(r);
        }
    }
    const double mean = mean_of(part);
    const auto x = feature_numbers(part, 20).rows(part);
    const vector y = stars(part, mean);
    const auto [sparse_iterated, sparse_direct] = solve_sparse(x, y, damping);
    const auto [dense_iterated, dense_direct] = solve_dense(x.to_dense(), y, damping);
    const double apart =
        std::max({largest_difference(sparse_iterated.weights, dense_iterated.weights),
            largest_difference(sparse_direct.weights, dense_direct.weights),
            largest_difference(sparse_iterated.weights, dense_direct.weights)});
    std::printf("the %zu ratings of %td users, %td features: conjugate gradient %.4f s sparse, "
                "%.4f s dense; all four answers differ by at most %.1e\n",
        part.size(), users, x.columns(), sparse_iterated.seconds, dense_iterated.seconds, apart);
    return apart < 1e-9;
}

} // namespace

int main(int argc, char** argv)
{
    bool quick = false;
    double damping = 5;
    for (int i = 1; i < argc; ++i)
    {
        const std::string argument = argv[i];
        if (argument == "--quick")
        {
            quick = true;
        }
        else if (argument == "--damping" && i + 1 < argc)
        {
            damping = std::atof(argv[++i]);
        }
        else
        {
            std::fprintf(stderr, "usage: %s [--quick] [--damping X]\n", argv[0]);
            return 2;
        }
    }
    const char* const folder = std::getenv("STRUCTOPT_DATA_DIR");
    const std::string path =
        std::string(folder == nullptr ? "" : folder) + "/movielens-latest-small/ratings.csv";
    if (folder == nullptr || !std::filesystem::exists(path))
    {
        std::printf("skipped: no movielens-latest-small/ratings.csv under $STRUCTOPT_DATA_DIR\n");
        return 0;
    }
    try
    {
        const auto ratings = read_ratings(path);
        const bool part = run_part(ratings, damping, quick ? 30 : 100);
        const bool all = run_all(ratings, damping, quick ? 100 : 20);
        std::printf("all answers agree, and the features explain what was not seen: %s\n",
            part && all ? "yes" : "no");
        return part && all ? 0 : 1;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
        return 1;
    }
}
