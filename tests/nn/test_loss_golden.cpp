#include <doctest/doctest.h>

#include <structopt/io/safetensors_file.hpp>
#include <structopt/nn/loss.hpp>

#include "support/golden.hpp"
#include "support/loss_check.hpp"

#include <string>
#include <vector>

namespace test_loss_golden
{

namespace
{

namespace io = structopt::io;
namespace nn = structopt::nn;

/// Compares value and gradient with a case of losses.safetensors, in double and in float.
class golden
{
public:
    golden()
        : m_file(support::golden_path("losses.safetensors"))
    {
    }

    const io::safetensors_file& file() const
    {
        return m_file;
    }

    template <class Loss>
    void labels(const std::string& name, const Loss& loss)
    {
        const auto wide = m_file.read<std::int64_t, 1>(name + "/target");
        const std::vector<std::int32_t> narrow(wide.data(), wide.data() + wide.size());
        compare(name, loss, narrow, narrow);
    }

    template <class Loss>
    void same_shape(const std::string& name, const Loss& loss)
    {
        const auto target = m_file.read<double, 2>(name + "/target");
        compare(name, loss, target, support::to_float(target));
    }

    int cases() const
    {
        return m_cases;
    }

private:
    template <class Loss, class Target, class FloatTarget>
    void compare(const std::string& name, const Loss& loss, const Target& target,
        const FloatTarget& float_target)
    {
        INFO(name);
        ++m_cases;
        const auto y = m_file.read<double, 2>(name + "/input");
        const double value = m_file.read<double, 1>(name + "/value")(0);
        const auto gradient = m_file.read<double, 2>(name + "/input_grad");
        const auto result = nn::value_and_gradient(loss, y, target);
        CHECK(result.value == doctest::Approx(value).epsilon(1e-13));
        CHECK(support::largest_difference(result.gradient, gradient) < 1e-14);
        const auto rounded = nn::value_and_gradient(loss, support::to_float(y), float_target);
        CHECK(rounded.value == doctest::Approx(value).epsilon(2e-6));
        CHECK(support::largest_difference(rounded.gradient, gradient) < 2e-6);
    }

    io::safetensors_file m_file;
    int m_cases = 0;
};

} // namespace

TEST_CASE("losses agree with PyTorch")
{
    golden g;
    for (const std::string& word : {std::string("mean"), std::string("sum")})
    {
        const auto kind = word == "mean" ? nn::reduction::mean : nn::reduction::sum;
        g.labels("cross_entropy/labels_" + word, nn::cross_entropy{.reduction = kind});
        g.labels("cross_entropy/labels_smoothing0.1_" + word,
            nn::cross_entropy{.label_smoothing = 0.1, .reduction = kind});
        g.same_shape("cross_entropy/soft_" + word, nn::cross_entropy{.reduction = kind});
        g.same_shape("cross_entropy/soft_smoothing0.1_" + word,
            nn::cross_entropy{.label_smoothing = 0.1, .reduction = kind});
        g.labels("nll/" + word, nn::nll{.reduction = kind});
        g.same_shape("mse/" + word, nn::mse{.reduction = kind});
        g.same_shape("mae/" + word, nn::mae{.reduction = kind});
        g.same_shape("huber/delta1_" + word, nn::huber{.reduction = kind});
        g.same_shape("huber/delta0.5_" + word, nn::huber{.delta = 0.5, .reduction = kind});
        g.same_shape("bce_with_logits/" + word, nn::bce_with_logits{.reduction = kind});
        const auto weights =
            g.file().read<double, 1>("bce_with_logits/pos_weight_" + word + "/pos_weight");
        g.same_shape("bce_with_logits/pos_weight_" + word,
            nn::bce_with_logits{.pos_weight = {weights.data(), weights.data() + weights.size()},
                .reduction = kind});
        g.same_shape("kl_div/" + word, nn::kl_divergence{.reduction = kind});
    }
    g.same_shape("kl_div/batchmean", nn::kl_divergence{});
    g.same_shape("kl_div/zeros_batchmean", nn::kl_divergence{});
    g.labels("cross_entropy/large_mean", nn::cross_entropy{});
    g.same_shape("bce_with_logits/large_mean", nn::bce_with_logits{});

    int there = 0;
    for (const auto& entry : g.file().entries())
    {
        there += entry.name.size() > 6 && entry.name.substr(entry.name.size() - 6) == "/value";
    }
    CHECK(g.cases() == there); // no case of the file is left out
}

} // namespace test_loss_golden
