// Sparse layers Y[B, N] = X[B, K] W[N, K]^T: our formats, dense products of ours and of peers, and
// peers' sparse products, on the same data. Results are checked against double sums before anything
// is timed.
//
// | workload | W | X and Y |
// |---|---|---|
// | spmm_f32 | random zeros | batch-major |
// | spmm_f32_feature_major | random zeros | feature-major |
// | spmm_v16x1_f32 | random vectors of 16 rows | batch-major |
// | spmm_2x4_f32 | two of four columns | batch-major |
// | dlmc_f32 | patterns of pruned ResNet-50 and Transformer layers, where STRUCTOPT_DATA_DIR is set | batch-major |
//
// The last part of a name is the density. Dense products work on a dense W. Peers that are sparse
// in feature-major only turn X and Y inside the timed region where the workload is batch-major.
//
// Counters: GFLOP/s counted on non-zeros, and the bytes of the weights as they are multiplied.

#include <structopt/core.hpp>
#include <structopt/io/smtx.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/sparse/bsr.hpp>
#include <structopt/sparse/model.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifdef STRUCTOPT_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef STRUCTOPT_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#if DNNL_VERSION_MAJOR > 3 || (DNNL_VERSION_MAJOR == 3 && DNNL_VERSION_MINOR >= 4)
#define STRUCTOPT_HAVE_ONEDNN_CSR 1
#endif
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
#include <xnnpack.h>
#endif
#ifdef STRUCTOPT_HAVE_EIGEN
#include <Eigen/Core>
#include <Eigen/SparseCore>
#endif

using namespace structopt;

namespace
{

struct extents
{
    index_t batch;
    index_t in;
    index_t out;

    friend bool operator==(const extents&, const extents&) = default;
};

enum class pattern
{
    random,
    vectors,
    two_of_four
};

/// What W looks like; a file's pattern where a path is given.
struct weights
{
    pattern kind = pattern::random;
    double density = 1;
    std::string path = {};

    friend bool operator==(const weights&, const weights&) = default;
};

/// W, scaled so that an output is about 1.
struct matrix
{
    matrix(index_t out, index_t in, const weights& how)
        : w(static_cast<std::size_t>(out * in))
    {
        random_engine rng(1);
        if (!how.path.empty())
        {
            const auto pattern = io::read_smtx<float>(how.path);
            pattern.visit(
                [&](index_t r, index_t c, float)
                {
                    w[static_cast<std::size_t>(r * in + c)] = 1.0f;
                });
        }
        else
        {
            const index_t run = how.kind == pattern::vectors ? 16 : 1;
            for (index_t r = 0; r < out; r += run)
            {
                index_t left = 2;
                for (index_t c = 0; c < in; ++c)
                {
                    left = c % 4 == 0 ? 2 : left;
                    const double chance =
                        how.kind == pattern::two_of_four
                            ? static_cast<double>(left) / static_cast<double>(4 - c % 4)
                            : how.density;
                    if (uniform<double>(rng) < chance)
                    {
                        --left;
                        for (index_t i = r; i < r + run && i < out; ++i)
                        {
                            w[static_cast<std::size_t>(i * in + c)] = 1.0f;
                        }
                    }
                }
            }
        }
        const double share = how.kind == pattern::two_of_four ? 0.5 : how.density;
        const double deviation = 1 / std::sqrt(static_cast<double>(in) * share);
        for (float& value : w)
        {
            if (value != 0.0f)
            {
                value = normal<float>(rng, 0, static_cast<float>(deviation));
                nonzeros += 1;
            }
        }
    }

    buffer<float> w;
    index_t nonzeros = 0;
};

/// The matrix that was asked for last is kept: contenders on one matrix follow each other often.
const matrix& matrix_for(index_t out, index_t in, const weights& how)
{
    static std::unique_ptr<matrix> last;
    static std::pair<extents, weights> key;
    if (!last || key != std::pair{extents{0, in, out}, how})
    {
        last.reset();
        last = std::make_unique<matrix>(out, in, how);
        key = {extents{0, in, out}, how};
    }
    return *last;
}

/// One layer: activations in both layouts, and 64 outputs, spread over y, in double.
struct layer
{
    layer(const extents& e, bool by_feature, const weights& how)
        : size(e)
        , feature_major(by_feature)
        , from(matrix_for(e.out, e.in, how))
        , x(static_cast<std::size_t>(e.batch * e.in))
        , y(static_cast<std::size_t>(e.batch * e.out))
        , nonzeros(from.nonzeros)
    {
        random_engine rng(2);
        for (float& value : x)
        {
            value = normal<float>(rng);
        }
        for (index_t i = 0; i < 64; ++i)
        {
            const auto [b, n] = sample(i);
            double sum = 0;
            for (index_t k = 0; k < e.in; ++k)
            {
                sum += static_cast<double>(x[static_cast<std::size_t>(
                           b * x_strides().first + k * x_strides().second)]) *
                       static_cast<double>(from.w[static_cast<std::size_t>(n * e.in + k)]);
            }
            expected.push_back(sum);
        }
    }

    std::pair<index_t, index_t> sample(index_t i) const
    {
        return {i * size.batch / 64, i * 37 % size.out};
    }

    std::pair<index_t, index_t> x_strides() const
    {
        return feature_major ? std::pair{index_t{1}, size.batch} : std::pair{size.in, index_t{1}};
    }

    std::pair<index_t, index_t> y_strides() const
    {
        return feature_major ? std::pair{index_t{1}, size.batch} : std::pair{size.out, index_t{1}};
    }

    view<const float, 2> dense() const
    {
        return {from.w.data(), shape<2>{size.out, size.in}};
    }

    kernel::matrix_operand<float> operand() const
    {
        return {x.data(), x_strides().first, x_strides().second};
    }

    kernel::spmm_result<float> result()
    {
        return {y.data(), y_strides().first, y_strides().second};
    }

    /// A zero output fails.
    bool right() const
    {
        for (index_t i = 0; i < 64; ++i)
        {
            const auto [b, n] = sample(i);
            const double found =
                y[static_cast<std::size_t>(b * y_strides().first + n * y_strides().second)];
            const double sum = expected[static_cast<std::size_t>(i)];
            if (!(std::abs(found - sum) <= 1e-4))
            {
                return false;
            }
        }
        return true;
    }

    extents size;
    bool feature_major;
    /// Valid while the contender is built, not when it runs.
    const matrix& from;
    buffer<float> x;
    buffer<float> y;
    index_t nonzeros;
    std::vector<double> expected;
};

/// A contender ready to run.
struct contender
{
    std::shared_ptr<layer> problem;
    std::function<void()> run;
    std::size_t bytes = 0;
    std::string refused = {};
};

using maker = contender (*)(std::shared_ptr<layer>);

std::size_t count(index_t n)
{
    return static_cast<std::size_t>(n);
}

contender structopt_dense(std::shared_ptr<layer> l)
{
    const auto& e = l->size;
    auto panels = std::make_shared<buffer<float>>(count(kernel::packed_size<float>(e.out, e.in)));
    kernel::pack_b<float>(e.out, e.in, l->from.w.data(), e.in, panels->data());
    auto scratch = std::make_shared<buffer<std::byte>>(
        kernel::gemm_packed_scratch_bytes<float>(e.batch, e.out, e.in));
    return {l,
        [l, panels, scratch]
        {
            kernel::gemm_packed<float>(l->size.batch, l->size.out, l->size.in, l->operand(),
                panels->data(), l->y.data(), l->size.out, {}, scratch->data());
        },
        panels->size() * sizeof(float)};
}

/// Any storage through the interface that layers use.
template <class Format>
contender stored(std::shared_ptr<layer> l)
{
    using traits = nn::storage_traits<Format>;
    auto w = std::make_shared<Format>(traits::pack(l->dense()));
    auto scratch =
        std::make_shared<buffer<std::byte>>(traits::scratch_bytes(*w, l->size.batch) + 64);
    return {l,
        [l, w, scratch]
        {
            const auto in = l->x_strides();
            const auto out = l->y_strides();
            traits::product(*w,
                {l->x.data(), shape<2>{l->size.batch, l->size.in}, shape<2>{in.first, in.second}},
                nullptr,
                {l->y.data(), shape<2>{l->size.batch, l->size.out},
                    shape<2>{out.first, out.second}},
                nn::scratch(scratch->data(), scratch->size()));
        },
        traits::bytes(*w)};
}

#ifdef STRUCTOPT_HAVE_OPENBLAS
contender openblas_dense(std::shared_ptr<layer> l)
{
    auto w = std::make_shared<buffer<float>>(l->from.w);
    return {l,
        [l, w]
        {
            const auto narrow = [](index_t n)
            {
                return static_cast<blasint>(n);
            };
            const auto& e = l->size;
            if (e.batch == 1)
            {
                cblas_sgemv(CblasRowMajor, CblasNoTrans, narrow(e.out), narrow(e.in), 1.0f,
                    w->data(), narrow(e.in), l->x.data(), 1, 0.0f, l->y.data(), 1);
            }
            else
            {
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, narrow(e.batch), narrow(e.out),
                    narrow(e.in), 1.0f, l->x.data(), narrow(e.in), w->data(), narrow(e.in), 0.0f,
                    l->y.data(), narrow(e.out));
            }
        },
        w->size() * sizeof(float)};
}
#endif

#ifdef STRUCTOPT_HAVE_ONEDNN
dnnl::engine& onednn_engine()
{
    static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

contender onednn_dense(std::shared_ptr<layer> l)
{
    using namespace dnnl;
    engine& cpu = onednn_engine();
    const auto& e = l->size;
    const auto f32 = memory::data_type::f32;
    const memory::desc x_desc({e.batch, e.in}, f32, memory::format_tag::ab);
    const memory::desc w_plain({e.in, e.out}, f32, memory::format_tag::ba);
    const memory::desc w_any({e.in, e.out}, f32, memory::format_tag::any);
    const memory::desc y_desc({e.batch, e.out}, f32, memory::format_tag::ab);
    const matmul::primitive_desc chosen(cpu, x_desc, w_any, y_desc);
    buffer<float> plain(l->from.w);
    memory from(w_plain, cpu, plain.data());
    memory w(chosen.weights_desc(), cpu);
    stream queue(cpu);
    reorder(from, w).execute(queue, from, w);
    queue.wait();
    memory x(x_desc, cpu, l->x.data());
    memory y(y_desc, cpu, l->y.data());
    const matmul product(chosen);
    return {l,
        [=]() mutable
        {
            product.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
            queue.wait();
        },
        chosen.weights_desc().get_size()};
}
#endif

#ifdef STRUCTOPT_HAVE_ONEDNN_CSR
/// Y^T = W X^T; the library multiplies compressed rows in this layout.
contender onednn_csr(std::shared_ptr<layer> l)
{
    using namespace dnnl;
    struct arrays
    {
        std::vector<std::int32_t> offsets = {0};
        std::vector<std::int32_t> indices;
        std::vector<float> values;
    };
    auto w = std::make_shared<arrays>();
    const auto& e = l->size;
    for (index_t r = 0; r < e.out; ++r)
    {
        for (index_t c = 0; c < e.in; ++c)
        {
            const float value = l->from.w[count(r * e.in + c)];
            if (value != 0.0f)
            {
                w->indices.push_back(static_cast<std::int32_t>(c));
                w->values.push_back(value);
            }
        }
        w->offsets.push_back(static_cast<std::int32_t>(w->values.size()));
    }
    engine& cpu = onednn_engine();
    stream queue(cpu);
    const auto f32 = memory::data_type::f32;
    const auto s32 = memory::data_type::s32;
    const auto w_desc =
        memory::desc::csr({e.out, e.in}, f32, static_cast<memory::dim>(w->values.size()), s32, s32);
    const memory::desc x_desc({e.in, e.batch}, f32, memory::format_tag::ab);
    const memory::desc y_desc({e.out, e.batch}, f32, memory::format_tag::ab);
    const matmul product(matmul::primitive_desc(cpu, w_desc, x_desc, y_desc));
    memory packed(w_desc, cpu, {w->values.data(), w->indices.data(), w->offsets.data()});
    const std::size_t bytes = w->values.size() * 8 + w->offsets.size() * sizeof(std::int32_t);
    if (l->feature_major)
    {
        memory x(x_desc, cpu, l->x.data());
        memory y(y_desc, cpu, l->y.data());
        return {l,
            [=]() mutable
            {
                static_cast<void>(w);
                product.execute(
                    queue, {{DNNL_ARG_SRC, packed}, {DNNL_ARG_WEIGHTS, x}, {DNNL_ARG_DST, y}});
                queue.wait();
            },
            bytes};
    }
    memory x_turned({{e.in, e.batch}, f32, memory::format_tag::ba}, cpu, l->x.data());
    memory y_turned({{e.out, e.batch}, f32, memory::format_tag::ba}, cpu, l->y.data());
    memory x(x_desc, cpu);
    memory y(y_desc, cpu);
    const reorder turn_x(x_turned, x);
    const reorder turn_y(y, y_turned);
    return {l,
        [=]() mutable
        {
            static_cast<void>(w);
            turn_x.execute(queue, x_turned, x);
            product.execute(
                queue, {{DNNL_ARG_SRC, packed}, {DNNL_ARG_WEIGHTS, x}, {DNNL_ARG_DST, y}});
            turn_y.execute(queue, y, y_turned);
            queue.wait();
        },
        bytes};
}
#endif

#ifdef STRUCTOPT_HAVE_XNNPACK
contender xnnpack_dense(std::shared_ptr<layer> l)
{
    const auto& e = l->size;
    const float infinity = std::numeric_limits<float>::infinity();
    xnn_operator_t product = nullptr;
    const bool ready =
        xnn_initialize(nullptr) == xnn_status_success &&
        xnn_create_fully_connected_nc_f32(count(e.in), count(e.out), count(e.in), count(e.out),
            l->from.w.data(), nullptr, -infinity, infinity, 0, nullptr, nullptr,
            &product) == xnn_status_success &&
        xnn_reshape_fully_connected_nc_f32(product, count(e.batch), nullptr) ==
            xnn_status_success &&
        xnn_setup_fully_connected_nc_f32(product, l->x.data(), l->y.data()) == xnn_status_success;
    if (!ready)
    {
        return {l, {}, 0, "refused by XNNPACK"};
    }
    const std::shared_ptr<xnn_operator> owned(product, xnn_delete_operator);
    return {l,
        [owned]
        {
            xnn_run_operator(owned.get(), nullptr);
        },
        count(e.in * e.out) * sizeof(float)};
}
#endif

#ifdef STRUCTOPT_HAVE_EIGEN
contender eigen_csr(std::shared_ptr<layer> l)
{
    using rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto& e = l->size;
    auto w = std::make_shared<Eigen::SparseMatrix<float, Eigen::RowMajor>>(
        Eigen::Map<const rows>(l->from.w.data(), e.out, e.in).sparseView());
    return {l,
        [l, w]
        {
            const auto& s = l->size;
            if (s.batch == 1)
            {
                const Eigen::Map<const Eigen::VectorXf> x(l->x.data(), s.in);
                Eigen::Map<Eigen::VectorXf>(l->y.data(), s.out).noalias() = *w * x;
            }
            else if (l->feature_major)
            {
                const Eigen::Map<const rows> x(l->x.data(), s.in, s.batch);
                Eigen::Map<rows>(l->y.data(), s.out, s.batch).noalias() = *w * x;
            }
            else
            {
                // Columns of these are samples.
                const Eigen::Map<const Eigen::MatrixXf> x(l->x.data(), s.in, s.batch);
                Eigen::Map<Eigen::MatrixXf>(l->y.data(), s.out, s.batch).noalias() = *w * x;
            }
        },
        static_cast<std::size_t>(w->nonZeros()) * 8 + count(e.out + 1) * 4};
}
#endif

void add(const std::string& workload, const std::string& name, maker make, const extents& e,
    const weights& how, const std::string& last, bool dense = false)
{
    const std::string text = workload + "/" + name + "/" + std::to_string(e.batch) + "x" +
                             std::to_string(e.in) + "x" + std::to_string(e.out) + "/" + last;
    const bool feature_major = workload.find("feature_major") != std::string::npos;
    auto built = std::make_shared<std::unique_ptr<contender>>();
    benchmark::RegisterBenchmark(text.c_str(),
        [=](benchmark::State& state)
        {
            if (!*built)
            {
                try
                {
                    *built = std::make_unique<contender>(
                        make(std::make_shared<layer>(e, feature_major, dense ? weights{} : how)));
                }
                catch (const std::exception& failure)
                {
                    state.SkipWithError(failure.what());
                    return;
                }
            }
            contender& c = **built;
            if (!c.refused.empty())
            {
                state.SkipWithError(c.refused.c_str());
                return;
            }
            c.run();
            if (!c.problem->right())
            {
                state.SkipWithError("wrong result");
                return;
            }
            for (auto _ : state)
            {
                c.run();
                benchmark::ClobberMemory();
            }
            state.counters["GFLOP/s"] = benchmark::Counter(
                2e-9 * static_cast<double>(e.batch) * static_cast<double>(c.problem->nonzeros),
                benchmark::Counter::kIsIterationInvariantRate);
            state.counters["weight_bytes"] = static_cast<double>(c.bytes);
        })
        ->Unit(benchmark::kMicrosecond);
}

void add_dense(const std::string& workload, const extents& e, const std::string& last)
{
    add(workload, "structopt_dense", structopt_dense, e, {}, last, true);
#ifdef STRUCTOPT_HAVE_OPENBLAS
    add(workload, "openblas_dense", openblas_dense, e, {}, last, true);
#endif
#ifdef STRUCTOPT_HAVE_ONEDNN
    add(workload, "onednn_dense", onednn_dense, e, {}, last, true);
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
    add(workload, "xnnpack_dense", xnnpack_dense, e, {}, last, true);
#endif
}

void add_unstructured(const std::string& workload, const extents& e, const weights& how,
    const std::string& last, bool slow_peers)
{
    add(workload, "structopt_csr", stored<sparse::csr<float, std::uint16_t>>, e, how, last);
    if (e.batch > 1)
    {
        add(workload, "structopt_tiled", stored<sparse::tiled<float>>, e, how, last);
    }
    if (e.batch <= 8)
    {
        add(workload, "structopt_sliced", stored<sparse::sliced<float>>, e, how, last);
    }
#ifdef STRUCTOPT_HAVE_ONEDNN_CSR
    add(workload, "onednn_csr", onednn_csr, e, how, last);
#endif
#ifdef STRUCTOPT_HAVE_EIGEN
    if (slow_peers)
    {
        add(workload, "eigen_csr", eigen_csr, e, how, last);
    }
#endif
    static_cast<void>(slow_peers);
}

std::string text_of(double density)
{
    char text[32];
    std::snprintf(text, sizeof text, "%g", density);
    return text;
}

} // namespace

int main(int argc, char** argv)
{
    // Many short cases: less time for each, unless the command line says otherwise.
    std::vector<char*> arguments(argv, argv + argc);
    std::string least = "--benchmark_min_time=0.1";
    arguments.insert(arguments.begin() + 1, least.data());
    argc = static_cast<int>(arguments.size());
    benchmark::Initialize(&argc, arguments.data());
    const extents sizes[] = {{1, 1024, 1024}, {8, 1024, 1024}, {64, 1024, 1024}, {256, 1024, 1024},
        {64, 784, 300}, {1, 4096, 4096}, {8, 4096, 4096}, {64, 4096, 4096}};
    for (const extents& e : sizes)
    {
        for (const double density : {0.5, 0.3, 0.2, 0.1, 0.05, 0.02})
        {
            add_unstructured("spmm_f32", e, {pattern::random, density}, text_of(density),
                e.batch == 1 && e.in < 4096);
            if (e.batch >= 64)
            {
                add_unstructured("spmm_f32_feature_major", e, {pattern::random, density},
                    text_of(density), e.in < 1024);
            }
            add_dense("spmm_f32", e, text_of(density));
        }
        for (const double density : {0.8, 0.5, 0.2, 0.1})
        {
            add("spmm_v16x1_f32", "structopt_bsr16x1",
                stored<sparse::bsr<float, 16, 1, std::uint16_t>>, e, {pattern::vectors, density},
                text_of(density));
            add_dense("spmm_v16x1_f32", e, text_of(density));
        }
        add("spmm_2x4_f32", "structopt_nm2x4", stored<sparse::packed_nm<float, 2, 4>>, e,
            {pattern::two_of_four, 0.5}, "0.5");
        add_dense("spmm_2x4_f32", e, "0.5");
    }
    if (const char* const data = std::getenv("STRUCTOPT_DATA_DIR"))
    {
        for (const char* const share : {"0.7", "0.8", "0.9", "0.95"})
        {
            for (const char* const name : {"rn50/%s/bottleneck_3_block_group4_1_1",
                     "transformer/%s/body_decoder_layer_0_ffn_conv1_fully_connected"})
            {
                char path[128];
                std::snprintf(path, sizeof path, name, share);
                const std::string file = std::string(data) + "/dlmc/" + path + ".smtx.gz";
                if (std::FILE* const there = std::fopen(file.c_str(), "rb"))
                {
                    std::fclose(there);
                    const double density = 1 - std::atof(share);
                    const std::string last =
                        std::string(name, std::string(name).find('/')) + "_" + text_of(density);
                    for (const index_t batch : {1, 64, 256})
                    {
                        const extents e{batch, 512, 2048};
                        add_unstructured(
                            "dlmc_f32", e, {pattern::random, density, file}, last, false);
                        add_dense("dlmc_f32", e, last);
                    }
                }
            }
        }
    }
#ifndef STRUCTOPT_HAVE_OPENBLAS
    std::fprintf(stderr, "absent: openblas\n");
#endif
#ifndef STRUCTOPT_HAVE_ONEDNN
    std::fprintf(stderr, "absent: onednn\n");
#elif !defined(STRUCTOPT_HAVE_ONEDNN_CSR)
    std::fprintf(stderr, "absent: onednn sparse products (older than 3.4)\n");
#endif
#ifndef STRUCTOPT_HAVE_XNNPACK
    std::fprintf(stderr, "absent: xnnpack\n");
#endif
#ifndef STRUCTOPT_HAVE_EIGEN
    std::fprintf(stderr, "absent: eigen\n");
#endif
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
