/// @file
/// Scratch memory: passed into the core form of every layer, so that a forward pass allocates
/// nothing.
#pragma once

#include <structopt/core/allocator.hpp>
#include <structopt/core/shape.hpp>

#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Bytes that `scratch::take<T>(n)` uses: a multiple of the alignment.
template <class T>
constexpr std::size_t scratch_size(index_t n) noexcept
{
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
    return (bytes + alignment - 1) / alignment * alignment;
}

/// A stack of bytes that somebody else owns, aligned to `alignment`.
///
/// Passed by value: what a callee takes is free again when it returns.
class scratch
{
public:
    constexpr scratch() noexcept = default;

    constexpr scratch(std::byte* data, std::size_t bytes) noexcept
        : m_data(data)
        , m_bytes(bytes)
    {
    }

    /// The next `n` elements, uninitialised. The caller was promised enough by `scratch_bytes`.
    template <class T>
    T* take(index_t n) noexcept
    {
        const std::size_t bytes = scratch_size<T>(n);
        STRUCTOPT_ASSERT(bytes <= m_bytes);
        std::byte* const taken = m_data;
        m_data += bytes;
        m_bytes -= bytes;
        return reinterpret_cast<T*>(taken);
    }

    /// What is left, for a kernel that takes raw bytes.
    constexpr std::byte* data() const noexcept
    {
        return m_data;
    }

    constexpr std::size_t size() const noexcept
    {
        return m_bytes;
    }

private:
    std::byte* m_data = nullptr;
    std::size_t m_bytes = 0;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
