/// @file
/// `quantized_tensor`: a tensor as packed codes and the parameters of its slices.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/quantize/bit_pack.hpp>
#include <structopt/quantize/concepts.hpp>
#include <structopt/quantize/granularity.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

namespace detail
{

/// Says what is missing where there is no scheme. Always true: one message is enough.
template <class S>
constexpr bool check_scheme() noexcept
{
    constexpr bool is_scheme = scheme<S>;
    static_assert(is_scheme, "quantize: a scheme has bits, is_signed, name, parameters, "
                             "encode(x, parameters, round) and decode(code, parameters)");
    if constexpr (is_scheme)
    {
        constexpr bool fits = is_width(S::bits);
        static_assert(fits, "quantize: the codes of a scheme have 1 to 8 bits, or 16");
    }
    return true;
}

/// The position of element `at` of a tensor: "[2, 7]".
template <std::size_t N>
std::string position_text(index_t at, const shape<N>& extents)
{
    shape<N> position{};
    for (std::size_t i = N; i-- > 0;)
    {
        position[i] = at % extents[i];
        at /= extents[i];
    }
    return describe(position);
}

} // namespace detail

/// What each of the 2^bits stored codes stands for, of a scheme with at most 8 bits: entry i is that
/// of the bits i, so negative codes come last. Codes that the scheme has not stand for 0.
template <class S>
    requires(S::bits <= 8)
std::array<float, std::size_t{1} << S::bits> decode_table(
    const S& scheme, const typename S::parameters& p)
{
    std::array<float, std::size_t{1} << S::bits> table{};
    constexpr code_range range = codes_of<S>();
    for (std::int32_t code = range.lowest; code <= range.highest; ++code)
    {
        table[narrow_code<S::bits>(code)] = scheme.decode(code, p);
    }
    return table;
}

/// A tensor of N axes in codes of `Scheme::bits` bits, row-major and without gaps (`bit_pack.hpp`),
/// with one `Scheme::parameters` per slice. Made by `quantize::encode`.
template <class Scheme, class Granularity = per_tensor, std::size_t N = 2>
class quantized_tensor
{
    static_assert(detail::check_scheme<Scheme>());
    static_assert(
        granularity<Granularity, N>, "quantize: a granularity has slices(extents), text() and ==");

public:
    using scheme_type = Scheme;
    using granularity_type = Granularity;
    using parameters_type = typename Scheme::parameters;
    using word = code_word<Scheme::bits>;
    static constexpr std::size_t rank = N;

    /// No elements.
    quantized_tensor() = default;

    /// From its parts. Throws `format_error` unless there is one set of valid parameters per slice,
    /// as many bytes as the codes take, unused bits 0, and codes that the scheme has.
    quantized_tensor(const structopt::shape<N>& extents, std::vector<parameters_type> parameters,
        buffer<std::uint8_t> packed, const Scheme& scheme = {}, const Granularity& granularity = {})
        : m_scheme(scheme)
        , m_granularity(granularity)
        , m_shape(extents)
        , m_slicing(granularity.slices(extents))
        , m_parameters(std::move(parameters))
        , m_packed(std::move(packed))
    {
        check();
    }

    /// The same from codes that are not packed yet, row-major.
    quantized_tensor(const structopt::shape<N>& extents, std::vector<parameters_type> parameters,
        std::span<const word> codes, const Scheme& scheme = {}, const Granularity& granularity = {})
        : quantized_tensor(extents, std::move(parameters), packed_copy(codes), scheme, granularity)
    {
    }

    const structopt::shape<N>& shape() const noexcept
    {
        return m_shape;
    }

    /// Number of elements.
    index_t size() const noexcept
    {
        return count(m_shape);
    }

    const Scheme& scheme() const noexcept
    {
        return m_scheme;
    }

    const Granularity& granularity() const noexcept
    {
        return m_granularity;
    }

    /// Which elements belong to which slice.
    const structopt::quantize::slicing& slices() const noexcept
    {
        return m_slicing;
    }

    /// One per slice.
    std::span<const parameters_type> parameters() const noexcept
    {
        return m_parameters;
    }

    /// The packed codes.
    std::span<const std::uint8_t> packed() const noexcept
    {
        return m_packed;
    }

    /// Bytes of codes and parameters.
    std::size_t bytes() const noexcept
    {
        return m_packed.size() +
               (std::is_empty_v<parameters_type> ? 0
                                                 : m_parameters.size() * sizeof(parameters_type));
    }

    /// The code of one element; positions are not checked in release builds.
    template <std::convertible_to<index_t>... Index>
        requires(sizeof...(Index) == N)
    std::int32_t code(Index... at)
    const noexcept
    {
        return code_at(offset(at...));
    }

    /// The number that one code stands for.
    template <std::convertible_to<index_t>... Index>
        requires(sizeof...(Index) == N)
    float value(Index... at) const
    {
        const index_t i = offset(at...);
        return m_scheme.decode(
            code_at(i), m_parameters[static_cast<std::size_t>(m_slicing.slice_of(i))]);
    }

    /// All codes.
    tensor<std::int32_t, N> codes() const
    {
        const buffer<word> words = unpacked();
        auto all = make_tensor<std::int32_t>(m_shape);
        for (std::size_t i = 0; i < words.size(); ++i)
        {
            all.data()[i] = widen_code<Scheme::bits, Scheme::is_signed>(words[i]);
        }
        return all;
    }

    /// The tensor that the codes stand for.
    tensor<float, N> dequantize() const;

    friend bool operator==(const quantized_tensor& a, const quantized_tensor& b)
    {
        return a.m_scheme == b.m_scheme && a.m_granularity == b.m_granularity &&
               a.m_shape == b.m_shape && a.m_parameters == b.m_parameters &&
               a.m_packed == b.m_packed;
    }

private:
    static buffer<std::uint8_t> packed_copy(std::span<const word> codes)
    {
        const auto n = static_cast<index_t>(codes.size());
        buffer<std::uint8_t> packed(static_cast<std::size_t>(packed_bytes<Scheme::bits>(n)));
        pack_codes<Scheme::bits>(codes.data(), n, packed.data());
        return packed;
    }

    buffer<word> unpacked() const
    {
        buffer<word> words(static_cast<std::size_t>(size()));
        unpack_codes<Scheme::bits>(m_packed.data(), 0, size(), words.data());
        return words;
    }

    std::int32_t code_at(index_t i) const noexcept
    {
        word eight[8];
        unpack_codes<Scheme::bits>(m_packed.data(), i / 8 * 8, i % 8 + 1, eight);
        return widen_code<Scheme::bits, Scheme::is_signed>(eight[i % 8]);
    }

    template <class... Index>
    index_t offset(Index... at) const noexcept
    {
        const index_t position[] = {static_cast<index_t>(at)..., 0};
        index_t i = 0;
        for (std::size_t d = 0; d < N; ++d)
        {
            STRUCTOPT_ASSERT(position[d] >= 0 && position[d] < m_shape[d]);
            i = i * m_shape[d] + position[d];
        }
        return i;
    }

    void check() const;
    void check_codes() const;

    Scheme m_scheme{};
    Granularity m_granularity{};
    structopt::shape<N> m_shape{};
    structopt::quantize::slicing m_slicing{.slices = 0};
    std::vector<parameters_type> m_parameters;
    buffer<std::uint8_t> m_packed;
};

// ---------------------------------------------------------------------------------------------

template <class Scheme, class Granularity, std::size_t N>
void quantized_tensor<Scheme, Granularity, N>::check() const
{
    using structopt::detail::raise;
    const auto bytes = static_cast<std::size_t>(packed_bytes<Scheme::bits>(size()));
    if (m_packed.size() != bytes)
    {
        raise<format_error>("quantized tensor " + describe(m_shape),
            std::to_string(bytes) + " bytes of codes", std::to_string(m_packed.size()));
    }
    if (m_parameters.size() != static_cast<std::size_t>(m_slicing.slices))
    {
        raise<format_error>("quantized tensor " + describe(m_shape),
            std::to_string(m_slicing.slices) + " sets of parameters, one per slice",
            std::to_string(m_parameters.size()));
    }
    if constexpr (requires(const parameters_type& p) { p.valid(); })
    {
        for (std::size_t s = 0; s < m_parameters.size(); ++s)
        {
            if (!m_parameters[s].valid())
            {
                raise<format_error>("quantized tensor, slice " + std::to_string(s),
                    "finite parameters, a scale above 0", "others");
            }
        }
    }
    const index_t used = size() % 8 * Scheme::bits % 8;
    if (used != 0 && (m_packed.back() >> used) != 0)
    {
        raise<format_error>(
            "quantized tensor", "zeros behind the last code", std::to_string(m_packed.back()));
    }
    check_codes();
}

template <class Scheme, class Granularity, std::size_t N>
void quantized_tensor<Scheme, Granularity, N>::check_codes() const
{
    constexpr code_range range = codes_of<Scheme>();
    if constexpr (range.highest - range.lowest + 1 < (std::int32_t{1} << Scheme::bits))
    {
        const buffer<word> words = unpacked();
        for (std::size_t i = 0; i < words.size(); ++i)
        {
            const std::int32_t code = widen_code<Scheme::bits, Scheme::is_signed>(words[i]);
            if (code < range.lowest || code > range.highest)
            {
                structopt::detail::raise<format_error>(
                    "quantized tensor, position " +
                        detail::position_text(static_cast<index_t>(i), m_shape),
                    "a code in [" + std::to_string(range.lowest) + ", " +
                        std::to_string(range.highest) + "]",
                    std::to_string(code));
            }
        }
    }
}

namespace detail
{

/// Decodes n codes of one slice.
template <class S>
void decode_run(const S& s, const typename S::parameters& parameters,
    const code_word<S::bits>* codes, index_t n, float* values)
{
    if constexpr (requires { S::decode_by_table; } && S::bits <= 8)
    {
        const auto table = decode_table(s, parameters);
        for (index_t i = 0; i < n; ++i)
        {
            values[i] = table[codes[i]];
        }
    }
    else
    {
        const typename S::parameters p = parameters; // nobody else writes it: stays in registers
        for (index_t i = 0; i < n; ++i)
        {
            values[i] = s.decode(widen_code<S::bits, S::is_signed>(codes[i]), p);
        }
    }
}

/// Encodes n numbers of one slice.
template <class S, class R>
void encode_run(const S& s, const typename S::parameters& parameters, const R& round,
    const float* values, index_t n, code_word<S::bits>* codes)
{
    const typename S::parameters p = parameters;
    for (index_t i = 0; i < n; ++i)
    {
        codes[i] = narrow_code<S::bits>(s.encode(values[i], p, round));
    }
}

} // namespace detail

template <class Scheme, class Granularity, std::size_t N>
tensor<float, N> quantized_tensor<Scheme, Granularity, N>::dequantize() const
{
    const buffer<word> words = unpacked();
    auto x = make_tensor<float>(m_shape);
    for (index_t s = 0; s < m_slicing.slices; ++s)
    {
        const auto& p = m_parameters[static_cast<std::size_t>(s)];
        const index_t n = m_slicing.length(s);
        for (index_t r = 0; r < m_slicing.runs; ++r)
        {
            const index_t first = m_slicing.first(s, r);
            detail::decode_run(m_scheme, p, words.data() + first, n, x.data() + first);
        }
    }
    return x;
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
