/// @file
/// Codes of 1 to 8 or 16 bits without gaps.
///
/// Code i lies in bits [i * Bits, (i + 1) * Bits) of the bytes read as one little-endian number: the
/// lowest bits of a byte come first, a code may cross bytes, unused bits of the last byte are 0.
#pragma once

#include <structopt/core/shape.hpp>
#include <structopt/quantize/concepts.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// What holds one code unpacked: its bits in the lowest ones, the others 0.
template <int Bits>
using code_word = std::conditional_t<(Bits <= 8), std::uint8_t, std::uint16_t>;

/// Bytes of so many codes.
template <int Bits>
constexpr index_t packed_bytes(index_t codes) noexcept
{
    static_assert(detail::is_width(Bits), "quantize::packed_bytes<Bits>: Bits is 1 to 8, or 16");
    return codes / 8 * Bits + (codes % 8 * Bits + 7) / 8;
}

/// Packs n codes, whose bits above `Bits` must be 0, into `packed_bytes<Bits>(n)` bytes.
template <int Bits>
void pack_codes(const code_word<Bits>* codes, index_t n, std::uint8_t* bytes) noexcept;

/// The n codes from code `first` on; `first` must be a multiple of 8.
template <int Bits>
void unpack_codes(
    const std::uint8_t* bytes, index_t first, index_t n, code_word<Bits>* codes) noexcept;

/// A stored code as a number: with its sign where codes have one.
template <int Bits, bool Signed>
constexpr std::int32_t widen_code(std::uint32_t code) noexcept
{
    if constexpr (Signed)
    {
        constexpr std::uint32_t sign = 1u << (Bits - 1);
        return static_cast<std::int32_t>(code ^ sign) - static_cast<std::int32_t>(sign);
    }
    else
    {
        return static_cast<std::int32_t>(code);
    }
}

/// The bits that are stored of a code.
template <int Bits>
constexpr code_word<Bits> narrow_code(std::int32_t code) noexcept
{
    return static_cast<code_word<Bits>>(static_cast<std::uint32_t>(code) & ((1u << Bits) - 1));
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Up to 8 codes of up to 8 bits.
template <int Bits>
void pack_few(const std::uint8_t* codes, index_t n, std::uint8_t* bytes) noexcept
{
    std::uint64_t word = 0;
    for (index_t i = 0; i < n; ++i)
    {
        word |= std::uint64_t{codes[i]} << (i * Bits);
    }
    for (index_t b = 0; b * 8 < n * Bits; ++b)
    {
        bytes[b] = static_cast<std::uint8_t>(word >> (8 * b));
    }
}

template <int Bits>
void unpack_few(const std::uint8_t* bytes, index_t n, std::uint8_t* codes) noexcept
{
    std::uint64_t word = 0;
    for (index_t b = 0; b * 8 < n * Bits; ++b)
    {
        word |= std::uint64_t{bytes[b]} << (8 * b);
    }
    for (index_t i = 0; i < n; ++i)
    {
        codes[i] = static_cast<std::uint8_t>((word >> (i * Bits)) & ((1u << Bits) - 1));
    }
}

} // namespace detail

template <int Bits>
void pack_codes(const code_word<Bits>* codes, index_t n, std::uint8_t* bytes) noexcept
{
    static_assert(detail::is_width(Bits), "quantize::pack_codes<Bits>: Bits is 1 to 8, or 16");
    if constexpr (Bits == 16)
    {
        for (index_t i = 0; i < n; ++i)
        {
            bytes[2 * i] = static_cast<std::uint8_t>(codes[i]);
            bytes[2 * i + 1] = static_cast<std::uint8_t>(codes[i] >> 8);
        }
    }
    else if constexpr (Bits == 8)
    {
        for (index_t i = 0; i < n; ++i)
        {
            bytes[i] = codes[i];
        }
    }
    else
    {
        index_t i = 0;
        for (; i + 8 <= n; i += 8)
        {
            detail::pack_few<Bits>(codes + i, 8, bytes + i / 8 * Bits);
        }
        detail::pack_few<Bits>(codes + i, n - i, bytes + i / 8 * Bits);
    }
}

template <int Bits>
void unpack_codes(
    const std::uint8_t* bytes, index_t first, index_t n, code_word<Bits>* codes) noexcept
{
    static_assert(detail::is_width(Bits), "quantize::unpack_codes<Bits>: Bits is 1 to 8, or 16");
    STRUCTOPT_ASSERT(first % 8 == 0);
    bytes += first / 8 * Bits;
    if constexpr (Bits == 16)
    {
        for (index_t i = 0; i < n; ++i)
        {
            codes[i] = static_cast<std::uint16_t>(bytes[2 * i] | (bytes[2 * i + 1] << 8));
        }
    }
    else if constexpr (8 % Bits == 0)
    {
        constexpr index_t per_byte = 8 / Bits;
        const index_t whole = n / per_byte;
        for (index_t b = 0; b < whole; ++b)
        {
            for (index_t j = 0; j < per_byte; ++j)
            {
                codes[b * per_byte + j] =
                    static_cast<std::uint8_t>((bytes[b] >> (j * Bits)) & ((1u << Bits) - 1));
            }
        }
        detail::unpack_few<Bits>(bytes + whole, n % per_byte, codes + whole * per_byte);
    }
    else
    {
        index_t i = 0;
        for (; i + 8 <= n; i += 8)
        {
            detail::unpack_few<Bits>(bytes + i / 8 * Bits, 8, codes + i);
        }
        detail::unpack_few<Bits>(bytes + i / 8 * Bits, n - i, codes + i);
    }
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
