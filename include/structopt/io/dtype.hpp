/// @file
/// Element types of files: the names of the safetensors format, their sizes and C++ types.
#pragma once

#include <structopt/io/half.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// An element type, in the order in which the safetensors reference implementation ranks them.
enum class dtype : std::uint8_t
{
    boolean,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    f64,
    i64,
    u64,
    // Known by name and size, so that files that hold them among others can be read; there is no
    // C++ type to read them as.
    f4,
    f6_e2m3,
    f6_e3m2,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    c64
};

namespace detail
{

struct dtype_row
{
    dtype type;
    std::string_view name;
    int bits;
};

inline constexpr std::array<dtype_row, 22> dtype_table{
    {{dtype::boolean, "BOOL", 8}, {dtype::u8, "U8", 8}, {dtype::i8, "I8", 8},
        {dtype::f8_e5m2, "F8_E5M2", 8}, {dtype::f8_e4m3, "F8_E4M3", 8}, {dtype::i16, "I16", 16},
        {dtype::u16, "U16", 16}, {dtype::f16, "F16", 16}, {dtype::bf16, "BF16", 16},
        {dtype::i32, "I32", 32}, {dtype::u32, "U32", 32}, {dtype::f32, "F32", 32},
        {dtype::f64, "F64", 64}, {dtype::i64, "I64", 64}, {dtype::u64, "U64", 64},
        {dtype::f4, "F4", 4}, {dtype::f6_e2m3, "F6_E2M3", 6}, {dtype::f6_e3m2, "F6_E3M2", 6},
        {dtype::f8_e8m0, "F8_E8M0", 8}, {dtype::f8_e4m3fnuz, "F8_E4M3FNUZ", 8},
        {dtype::f8_e5m2fnuz, "F8_E5M2FNUZ", 8}, {dtype::c64, "C64", 64}}};

/// Those with a C++ type.
inline constexpr std::span<const dtype_row> element_types{dtype_table.data(), 15};

template <class T>
inline constexpr bool is_small_float =
    std::is_same_v<T, half> || std::is_same_v<T, bfloat16> || std::is_same_v<T, float8_e4m3> ||
    std::is_same_v<T, float8_e5m2>;

template <class T>
inline constexpr bool is_floating =
    is_small_float<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;

template <class T>
constexpr dtype integer_dtype() noexcept
{
    constexpr bool is_signed = std::is_signed_v<T>;
    switch (sizeof(T))
    {
    case 1:
        return is_signed ? dtype::i8 : dtype::u8;
    case 2:
        return is_signed ? dtype::i16 : dtype::u16;
    case 4:
        return is_signed ? dtype::i32 : dtype::u32;
    default:
        return is_signed ? dtype::i64 : dtype::u64;
    }
}

} // namespace detail

/// A C++ type that tensors in files can have: bool, the integers, float, double, the small floats.
template <class T>
concept element = std::is_same_v<T, std::remove_cv_t<T>> &&
    (std::is_integral_v<T> || detail::is_floating<T>);

/// The element type of files that stores a C++ type.
template <element T>
constexpr dtype dtype_of() noexcept
{
    if constexpr (std::is_same_v<T, bool>)
    {
        return dtype::boolean;
    }
    else if constexpr (std::is_integral_v<T>)
    {
        return detail::integer_dtype<T>();
    }
    else if constexpr (std::is_same_v<T, half>)
    {
        return dtype::f16;
    }
    else if constexpr (std::is_same_v<T, bfloat16>)
    {
        return dtype::bf16;
    }
    else if constexpr (std::is_same_v<T, float8_e4m3>)
    {
        return dtype::f8_e4m3;
    }
    else if constexpr (std::is_same_v<T, float8_e5m2>)
    {
        return dtype::f8_e5m2;
    }
    else
    {
        return std::is_same_v<T, float> ? dtype::f32 : dtype::f64;
    }
}

/// "F32": the name in a safetensors header.
constexpr std::string_view name_of(dtype type) noexcept
{
    return detail::dtype_table[static_cast<std::size_t>(type)].name;
}

/// Bytes of one element, rounded up.
constexpr std::size_t bytes_of(dtype type) noexcept
{
    return static_cast<std::size_t>(
        (detail::dtype_table[static_cast<std::size_t>(type)].bits + 7) / 8);
}

/// Bytes of so many elements; nothing where they do not fill whole bytes.
constexpr std::optional<std::uint64_t> bytes_of(dtype type, std::uint64_t count) noexcept
{
    const auto bits =
        static_cast<std::uint64_t>(detail::dtype_table[static_cast<std::size_t>(type)].bits);
    if (count % 8 * bits % 8 != 0)
    {
        return std::nullopt;
    }
    return count / 8 * bits + count % 8 * bits / 8;
}

/// Whether there is a C++ type for the elements.
constexpr bool has_element_type(dtype type) noexcept
{
    return type <= dtype::u64;
}

/// The element type of that name, if there is one.
constexpr std::optional<dtype> dtype_named(std::string_view name) noexcept
{
    for (const auto& row : detail::dtype_table)
    {
        if (row.name == name)
        {
            return row.type;
        }
    }
    return std::nullopt;
}

/// Calls `function(std::type_identity<T>{})` with the C++ type of `type`, which must have one.
template <class Function>
constexpr decltype(auto) visit_dtype(dtype type, Function&& function)
{
    switch (type)
    {
    case dtype::boolean:
        return function(std::type_identity<bool>{});
    case dtype::u8:
        return function(std::type_identity<std::uint8_t>{});
    case dtype::i8:
        return function(std::type_identity<std::int8_t>{});
    case dtype::f8_e5m2:
        return function(std::type_identity<float8_e5m2>{});
    case dtype::f8_e4m3:
        return function(std::type_identity<float8_e4m3>{});
    case dtype::i16:
        return function(std::type_identity<std::int16_t>{});
    case dtype::u16:
        return function(std::type_identity<std::uint16_t>{});
    case dtype::f16:
        return function(std::type_identity<half>{});
    case dtype::bf16:
        return function(std::type_identity<bfloat16>{});
    case dtype::i32:
        return function(std::type_identity<std::int32_t>{});
    case dtype::u32:
        return function(std::type_identity<std::uint32_t>{});
    case dtype::f32:
        return function(std::type_identity<float>{});
    case dtype::f64:
        return function(std::type_identity<double>{});
    case dtype::i64:
        return function(std::type_identity<std::int64_t>{});
    case dtype::u64:
    default:
        return function(std::type_identity<std::uint64_t>{});
    }
}

/// Whether elements of type `From` in a file may be read as `To`.
///
/// Floating point is read as any floating point, rounded to nearest where `To` is narrower.
/// Integers and bool are read as what holds all their values exactly: I8 as int32 or float, I32 as
/// double. Nothing else converts: a reader never guesses a scale.
template <element To, element From>
constexpr bool readable_as() noexcept
{
    if constexpr (std::is_same_v<To, From>)
    {
        return true;
    }
    else if constexpr (detail::is_floating<From>)
    {
        return detail::is_floating<To>;
    }
    else if constexpr (std::is_same_v<To, bool> || detail::is_small_float<To>)
    {
        return false;
    }
    else if constexpr (std::is_integral_v<To>)
    {
        return std::numeric_limits<From>::digits <= std::numeric_limits<To>::digits &&
               (std::is_signed_v<To> || !std::is_signed_v<From>);
    }
    else
    {
        return std::numeric_limits<From>::digits <= std::numeric_limits<To>::digits;
    }
}

/// Whether elements of type `from` in a file may be read as `To`.
template <element To>
constexpr bool readable_as(dtype from) noexcept
{
    return has_element_type(from) && visit_dtype(from,
                                         []<class From>(std::type_identity<From>)
                                         {
                                             return readable_as<To, From>();
                                         });
}

} // namespace io
STRUCTOPT_END_NAMESPACE
