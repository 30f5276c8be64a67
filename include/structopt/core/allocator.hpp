/// @file
/// The allocator of all tensors: 64-byte aligned, the same type whatever the compiler flags.
///
/// xtensor's own default follows `-m` flags, so a tensor would be a different type in every file of
/// a program that mixes instruction sets.
#pragma once

#include <structopt/config.hpp>

#include <cstddef>
#include <limits>
#include <new>

STRUCTOPT_BEGIN_NAMESPACE

/// Bytes to which every tensor and packed buffer is aligned: one cache line, one AVX-512 register.
inline constexpr std::size_t alignment = 64;

/// Standard allocator over the aligned `operator new`.
template <class T>
class aligned_allocator
{
public:
    using value_type = T;

    constexpr aligned_allocator() noexcept = default;

    template <class U>
    constexpr aligned_allocator(const aligned_allocator<U>&) noexcept
    {
    }

    T* allocate(std::size_t n)
    {
        // An overflowing product asks for more than exists: operator new then throws bad_alloc.
        const std::size_t most = std::numeric_limits<std::size_t>::max() / 2;
        const std::size_t bytes = n > most / sizeof(T) ? most : n * sizeof(T);
        return static_cast<T*>(::operator new (bytes, std::align_val_t{alignment}));
    }

    void deallocate(T* p, std::size_t) noexcept
    {
        ::operator delete (p, std::align_val_t{alignment});
    }

    template <class U>
    friend constexpr bool operator==(const aligned_allocator&, const aligned_allocator<U>&) noexcept
    {
        return true;
    }
};

STRUCTOPT_END_NAMESPACE
