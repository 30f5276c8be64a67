/// @file
/// From the bytes of a file to the elements of a tensor and back: byte order and element type.
#pragma once

#include <structopt/core/view.hpp>
#include <structopt/io/dtype.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace io::detail
{

template <std::size_t Bytes>
using unsigned_of = std::conditional_t<Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t,
        std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

template <class Word>
constexpr Word reverse_bytes(Word word) noexcept
{
    Word result = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i)
    {
        result = static_cast<Word>((static_cast<std::uint64_t>(result) << 8) | (word & 0xffu));
        word = static_cast<Word>(static_cast<std::uint64_t>(word) >> 8);
    }
    return result;
}

/// One element out of unaligned bytes of the given order.
template <class T>
T load_element(const std::byte* from, std::endian order) noexcept
{
    unsigned_of<sizeof(T)> word;
    std::memcpy(&word, from, sizeof(T));
    if (order != std::endian::native)
    {
        word = reverse_bytes(word);
    }
    if constexpr (std::is_same_v<T, bool>)
    {
        return word != 0;
    }
    else
    {
        return std::bit_cast<T>(word);
    }
}

template <class T>
void store_element(T value, std::endian order, std::byte* to) noexcept
{
    auto word = std::bit_cast<unsigned_of<sizeof(T)>>(value);
    if (order != std::endian::native)
    {
        word = reverse_bytes(word);
    }
    std::memcpy(to, &word, sizeof(T));
}

/// `readable_as<To, From>()` must hold.
template <class To, class From>
To convert_element(From value) noexcept
{
    if constexpr (std::is_same_v<To, From>)
    {
        return value;
    }
    else if constexpr (is_small_float<To> && is_small_float<From>)
    {
        return static_cast<To>(static_cast<float>(value));
    }
    else
    {
        return static_cast<To>(value);
    }
}

/// `n` elements of type `from`, consecutive in `source`, to `to[0]`, `to[stride]`, ...
template <class To>
void convert_elements(dtype from, std::endian order, const std::byte* source, index_t n, To* to,
    index_t stride = 1) noexcept
{
    visit_dtype(from,
        [&]<class From>(std::type_identity<From>)
        {
            if constexpr (readable_as<To, From>())
            {
                if (std::is_same_v<To, From> && !std::is_same_v<From, bool> && stride == 1 &&
                    (order == std::endian::native || sizeof(From) == 1))
                {
                    if (n > 0)
                    {
                        std::memcpy(static_cast<void*>(to), source,
                            static_cast<std::size_t>(n) * sizeof(From));
                    }
                    return;
                }
                for (index_t i = 0; i < n; ++i)
                {
                    const auto value =
                        load_element<From>(source + i * static_cast<index_t>(sizeof(From)), order);
                    to[i * stride] = convert_element<To>(value);
                }
            }
            else
            {
                STRUCTOPT_ASSERT(false && "not readable as this type");
            }
        });
}

/// The same into a view of any strides; `source` holds its elements in row-major order.
template <class To, std::size_t N>
void convert_elements(
    dtype from, std::endian order, const std::byte* source, const view<To, N>& to) noexcept
{
    if (to.empty())
    {
        return;
    }
    if (to.contiguous())
    {
        convert_elements(from, order, source, to.size(), to.data());
        return;
    }
    if constexpr (N > 0)
    {
        const index_t row = to.shape(N - 1);
        const index_t rows = to.size() / row;
        shape<N> at{};
        for (index_t r = 0; r < rows; ++r)
        {
            index_t offset = 0;
            for (std::size_t d = 0; d + 1 < N; ++d)
            {
                offset += at[d] * to.stride(d);
            }
            convert_elements(from, order, source + r * row * static_cast<index_t>(bytes_of(from)),
                row, to.data() + offset, to.stride(N - 1));
            for (std::size_t d = N - 1; d-- > 0 && ++at[d] == to.shape(d);)
            {
                at[d] = 0;
            }
        }
    }
}

/// Writes the elements of a view in row-major order as type `To`, least significant byte first.
template <class To, class From, std::size_t N>
void store_elements(const view<From, N>& from, std::byte* to) noexcept
{
    const index_t n = from.size();
    const auto store = [&](index_t i, index_t offset)
    {
        store_element(convert_element<To>(from.data()[offset]), std::endian::little,
            to + i * static_cast<index_t>(sizeof(To)));
    };
    if (from.contiguous())
    {
        for (index_t i = 0; i < n; ++i)
        {
            store(i, i);
        }
        return;
    }
    shape<N> at{};
    for (index_t i = 0; i < n; ++i)
    {
        index_t offset = 0;
        for (std::size_t d = 0; d < N; ++d)
        {
            offset += at[d] * from.stride(d);
        }
        store(i, offset);
        for (std::size_t d = N; d-- > 0 && ++at[d] == from.shape(d);)
        {
            at[d] = 0;
        }
    }
}

/// Position of the first byte of a BOOL tensor that is neither 0 nor 1; -1 if there is none.
inline index_t first_invalid_element(dtype type, std::span<const std::byte> bytes) noexcept
{
    if (type == dtype::boolean)
    {
        for (std::size_t i = 0; i < bytes.size(); ++i)
        {
            if (bytes[i] > std::byte{1})
            {
                return static_cast<index_t>(i);
            }
        }
    }
    return -1;
}

} // namespace io::detail
STRUCTOPT_END_NAMESPACE
