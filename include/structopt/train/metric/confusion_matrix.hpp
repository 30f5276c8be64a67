/// @file
/// Which classes are taken for which.
#pragma once

#include <structopt/train/metric/concepts.hpp>

#include <cstdint>
#include <span>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// Counts of samples by true class (row) and answer (column). Its value is the accuracy. Outputs
/// with a NaN are no answer and stand outside the matrix.
struct confusion_matrix
{
    static constexpr std::string_view name = "confusion_accuracy";

    index_t classes = 0;
    /// classes * classes counts, row by row; taken from the first batch.
    std::vector<index_t> counts = {};
    /// Samples of each class whose output holds a NaN.
    std::vector<index_t> unanswered = {};

    void reset() noexcept
    {
        classes = 0;
        counts.clear();
        unanswered.clear();
    }

    /// @throws shape_error where the numbers of rows and labels differ or that of classes changes,
    /// argument_error for a label that is no class.
    template <class T>
    void accumulate(view<const T, 2> y, std::span<const std::int32_t> labels)
    {
        detail::check_rows("train::confusion_matrix", y, labels.size());
        detail::check_classes("train::confusion_matrix", y.shape(1), labels);
        if (counts.empty())
        {
            classes = y.shape(1);
            counts.assign(static_cast<std::size_t>(classes * classes), 0);
            unanswered.assign(static_cast<std::size_t>(classes), 0);
        }
        check_shape("train::confusion_matrix", shape<2>{-1, classes}, y.shape());
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            const index_t answer = detail::largest_position(y.data() + row * classes, classes);
            const index_t label = labels[static_cast<std::size_t>(row)];
            ++(answer < 0 ? unanswered[static_cast<std::size_t>(label)]
                          : counts[static_cast<std::size_t>(label * classes + answer)]);
        }
    }

    /// Samples of class `label` that were answered with `answer`.
    index_t operator()(index_t label, index_t answer) const noexcept
    {
        STRUCTOPT_ASSERT(label >= 0 && label < classes && answer >= 0 && answer < classes);
        return counts[static_cast<std::size_t>(label * classes + answer)];
    }

    /// Right answers among the samples of a class; 0 without any.
    double recall(index_t label) const noexcept
    {
        index_t all = unanswered[static_cast<std::size_t>(label)];
        for (index_t c = 0; c < classes; ++c)
        {
            all += (*this)(label, c);
        }
        return ratio((*this)(label, label), all);
    }

    /// Right answers among the samples answered with a class; 0 without any.
    double precision(index_t answer) const noexcept
    {
        index_t all = 0;
        for (index_t c = 0; c < classes; ++c)
        {
            all += (*this)(c, answer);
        }
        return ratio((*this)(answer, answer), all);
    }

    double value() const noexcept
    {
        index_t right = 0;
        index_t all = 0;
        for (index_t label = 0; label < classes; ++label)
        {
            right += (*this)(label, label);
            all += unanswered[static_cast<std::size_t>(label)];
            for (index_t answer = 0; answer < classes; ++answer)
            {
                all += (*this)(label, answer);
            }
        }
        return ratio(right, all);
    }

    friend bool operator==(const confusion_matrix&, const confusion_matrix&) = default;

private:
    static double ratio(index_t part, index_t all) noexcept
    {
        return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
    }
};

} // namespace train
STRUCTOPT_END_NAMESPACE
