/// @file
/// A weight whose format is decided by data: density, sensitivity, a byte budget.
#pragma once

#include <structopt/nn/convolve.hpp>
#include <structopt/nn/storage.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// One of `Formats`, chosen at run time; one dispatch per product.
///
/// `any_weight<float, tensor<float, 2>, sparse::csr<float>> w = sparse::csr<float>(matrix);`
/// The set is closed: every format is named in the type, so nothing is registered or allocated.
template <std::floating_point T, weight_storage... Formats>
class any_weight
{
    static_assert(sizeof...(Formats) > 0);
    static_assert((std::is_same_v<T, typename storage_traits<Formats>::value_type> && ...),
        "every format of an any_weight computes in the same element type");

public:
    using value_type = T;

    any_weight() = default;

    template <class Format>
        requires(std::is_same_v<std::remove_cvref_t<Format>, Formats> || ...)
    any_weight(Format&& format)
        : m_format(std::forward<Format>(format))
    {
    }

    /// Calls `visitor` with the format that is there.
    template <class Visitor>
    decltype(auto) visit(Visitor&& visitor) const
    {
        return std::visit(std::forward<Visitor>(visitor), m_format);
    }

    /// The format that is there, if it is `Format`; else null.
    template <class Format>
    const Format* get_if() const noexcept
    {
        return std::get_if<Format>(&m_format);
    }

    /// Name of the format that is there.
    std::string_view format() const noexcept
    {
        return visit(
            [](const auto& s) -> std::string_view
            {
                return storage_traits<std::remove_cvref_t<decltype(s)>>::name();
            });
    }

    /// Elements of the matrix.
    std::size_t size() const noexcept
    {
        return visit(
            [](const auto& s)
            {
                using traits = storage_traits<std::remove_cvref_t<decltype(s)>>;
                return static_cast<std::size_t>(traits::rows(s) * traits::columns(s));
            });
    }

private:
    std::variant<Formats...> m_format;
};

template <std::floating_point T, class... Formats>
struct storage_traits<any_weight<T, Formats...>>
{
    using storage = any_weight<T, Formats...>;
    using value_type = T;

    /// Whether one of the formats is codes of the numbers that were trained.
    static constexpr bool quantized = !(is_exact<Formats>::value && ...);

    static constexpr std::string_view name() noexcept
    {
        return "any";
    }

    static index_t rows(const storage& s) noexcept
    {
        return ask(s,
            []<class S>(const S& format)
            {
                return storage_traits<S>::rows(format);
            });
    }

    static index_t columns(const storage& s) noexcept
    {
        return ask(s,
            []<class S>(const S& format)
            {
                return storage_traits<S>::columns(format);
            });
    }

    static index_t nonzeros(const storage& s) noexcept
    {
        return ask(s,
            []<class S>(const S& format)
            {
                return storage_traits<S>::nonzeros(format);
            });
    }

    static std::size_t bytes(const storage& s) noexcept
    {
        return ask(s,
            []<class S>(const S& format)
            {
                return storage_traits<S>::bytes(format);
            });
    }

    static tensor<T, 2> unpack(const storage& s)
    {
        return ask(s,
            []<class S>(const S& format)
            {
                return storage_traits<S>::unpack(format);
            });
    }

    static std::size_t scratch_bytes(const storage& s, index_t batch) noexcept
    {
        return ask(s,
            [batch]<class S>(const S& format)
            {
                return storage_traits<S>::scratch_bytes(format, batch);
            });
    }

    static void product(
        const storage& s, view<const T, 2> x, const T* bias, view<T, 2> y, scratch space) noexcept
    {
        ask(s,
            [&]<class S>(const S& format)
            {
                storage_traits<S>::product(format, x, bias, y, space);
            });
    }

    /// Whether every format takes them.
    static constexpr bool takes_groups = (nn::takes_groups<Formats>::value && ...);

    /// Whether the format that is there takes them.
    static bool groups_allowed(const storage& s) noexcept
    {
        return ask(s,
            []<class S>(const S&)
            {
                return nn::takes_groups<S>::value;
            });
    }

    static std::size_t convolve_bytes(
        const storage& s, const kernel::window& w, index_t groups) noexcept
    {
        return ask(s,
            [&]<class S>(const S& format)
            {
                return detail::convolve_bytes(format, w, groups);
            });
    }

    static void convolve(const storage& s, index_t images, const kernel::window& w, index_t groups,
        const T* x, const T* bias, T* y, scratch space) noexcept
    {
        ask(s,
            [&]<class S>(const S& format)
            {
                detail::convolve(format, images, w, groups, x, bias, y, space);
            });
    }

    template <class Sink>
    static void save(const storage& s, Sink& sink) requires(
        requires(const Formats& f) { storage_traits<Formats>::save(f, sink); } && ...)
    {
        ask(s,
            [&]<class S>(const S& format)
            {
                storage_traits<S>::save(format, sink);
            });
    }

    /// The format is named by the source.
    template <class Source>
    static storage load(Source& source)
    {
        const std::string format = source.format();
        std::optional<storage> found;
        const auto attempt = [&]<class S>(std::type_identity<S>)
        {
            if (!found && storage_traits<S>::name() == format)
            {
                found.emplace(storage_traits<S>::load(source));
            }
        };
        (attempt(std::type_identity<Formats>{}), ...);
        if (!found)
        {
            std::string expected;
            ((expected += (expected.empty() ? "" : ", "),
                 expected += std::string(storage_traits<Formats>::name())),
                ...);
            structopt::detail::raise<format_error>(source.where(), "a format out of " + expected,
                format.empty() ? std::string("none") : format);
        }
        return std::move(*found);
    }

private:
    template <class F>
    static decltype(auto) ask(const storage& s, F&& f)
    {
        return s.visit(std::forward<F>(f));
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
