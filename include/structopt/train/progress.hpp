/// @file
/// Shows how a training goes on: a bar on a terminal, plain lines elsewhere.
#pragma once

#include <structopt/train/history.hpp>

#include <chrono>
#include <cstdio>
#include <ostream>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// A callback that writes to a stream of the caller's: one line per epoch, and on a terminal a bar
/// with the time left in between.
///
/// The library writes nothing by itself, and does not ask whether a stream is a terminal: the
/// caller says so (`isatty(1)` on POSIX).
class progress
{
public:
    explicit progress(std::ostream& out, bool terminal = false) noexcept
        : m_out(&out)
        , m_terminal(terminal)
    {
    }

    template <class Context>
    void on_begin(Context& at)
    {
        m_begin = clock::now();
        m_shown = m_begin - std::chrono::hours(1);
        m_first = at.run.epoch * at.batches + at.run.batch;
    }

    template <class Context>
    void on_batch_end(Context& at)
    {
        const auto now = clock::now();
        if (!m_terminal || now - m_shown < std::chrono::milliseconds(100))
        {
            return;
        }
        m_shown = now;
        const index_t all = at.options.epochs * at.batches;
        const index_t done = at.run.epoch * at.batches + at.run.batch;
        const double spent = std::chrono::duration<double>(now - m_begin).count();
        const double left =
            spent / static_cast<double>(done - m_first) * static_cast<double>(all - done);
        constexpr index_t width = 24;
        const index_t filled = at.run.batch * width / at.batches;
        std::string line = "epoch " + std::to_string(at.run.epoch + 1) + '/' +
                           std::to_string(at.options.epochs) + " [";
        for (index_t i = 0; i < width; ++i)
        {
            line += i < filled ? '=' : i == filled ? '>' : ' ';
        }
        line += "] " + std::to_string(at.run.batch) + '/' + std::to_string(at.batches) + "  loss " +
                text(at.run.loss_sum / static_cast<double>(at.run.samples)) + "  ETA " +
                duration(left);
        show(line);
    }

    template <class Context>
    void on_epoch_end(Context& at)
    {
        const epoch_record& record = *at.record;
        std::string line = "epoch " + std::to_string(record.epoch) + '/' +
                           std::to_string(at.options.epochs) + ": loss " + text(record.loss);
        if (record.penalty != 0)
        {
            line += ", penalty " + text(record.penalty);
        }
        for (const measurement& one : record.measured)
        {
            line += ", " + one.name + ' ' + text(one.value);
        }
        line += ", rate " + text(record.rate) + ", " + text(record.seconds) + " s";
        show(line);
        *m_out << '\n';
        m_out->flush();
        m_width = 0;
    }

    template <class Context>
    void on_end(Context& at)
    {
        if (m_width > 0)
        {
            *m_out << '\n';
            m_width = 0;
        }
        if (at.run.history.stopped || at.run.history.restored != 0)
        {
            *m_out << (at.run.history.stopped ? "stopped after epoch " : "ended after epoch ")
                   << at.run.epoch;
            if (at.run.history.restored != 0)
            {
                *m_out << ", network of epoch " << at.run.history.restored;
            }
            *m_out << '\n';
        }
        m_out->flush();
    }

private:
    using clock = std::chrono::steady_clock;

    static std::string text(double value)
    {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.4g", value);
        return digits;
    }

    /// "1:02:03" or "2:03".
    static std::string duration(double seconds)
    {
        const auto all = static_cast<long long>(seconds + 0.5);
        char digits[48];
        if (all >= 3600)
        {
            std::snprintf(
                digits, sizeof digits, "%lld:%02lld:%02lld", all / 3600, all / 60 % 60, all % 60);
        }
        else
        {
            std::snprintf(digits, sizeof digits, "%lld:%02lld", all / 60, all % 60);
        }
        return digits;
    }

    /// On a terminal over the last line, whose rest is blanked.
    void show(const std::string& line)
    {
        if (m_terminal)
        {
            *m_out << '\r';
        }
        *m_out << line;
        if (m_terminal)
        {
            for (std::size_t i = line.size(); i < m_width; ++i)
            {
                *m_out << ' ';
            }
            m_width = line.size();
            m_out->flush();
        }
    }

    std::ostream* m_out;
    bool m_terminal;
    std::size_t m_width = 0;
    index_t m_first = 0;
    clock::time_point m_begin{};
    clock::time_point m_shown{};
};

} // namespace train
STRUCTOPT_END_NAMESPACE
