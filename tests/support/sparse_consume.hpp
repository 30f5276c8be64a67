/// @file
/// Builds every sparse format from bytes and uses what is accepted: for the fuzzers.
#pragma once

#include <structopt/sparse.hpp>

#include "support/consume.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <type_traits>

namespace support
{

/// Takes numbers from bytes; zeros where there are none left.
class number_source
{
public:
    explicit number_source(std::span<const std::byte> bytes)
        : m_bytes(bytes)
    {
    }

    template <class T>
    T take()
    {
        T value{};
        const std::size_t n = m_bytes.size() < sizeof(T) ? m_bytes.size() : sizeof(T);
        if (n > 0)
        {
            std::memcpy(static_cast<void*>(&value), m_bytes.data(), n);
        }
        m_bytes = m_bytes.subspan(n);
        return value;
    }

    /// Up to 63 numbers.
    template <class T>
    structopt::buffer<T> list()
    {
        structopt::buffer<T> numbers(take<std::uint8_t>() % 64);
        for (T& value : numbers)
        {
            // Small ones mostly: offsets and indices of large ones are refused at once.
            const auto byte = take<std::uint8_t>();
            value = byte == 255 ? take<T>() : static_cast<T>(static_cast<float>(byte % 32));
        }
        return numbers;
    }

    structopt::index_t extent()
    {
        const auto byte = take<std::uint8_t>();
        return byte == 255 ? take<structopt::index_t>() : byte % 80;
    }

private:
    std::span<const std::byte> m_bytes;
};

inline void demand(bool condition)
{
    if (!condition)
    {
        std::abort();
    }
}

/// Every conversion of a matrix and back; extents so large that nothing dense fits are left alone.
template <class S>
void use(const S& m)
{
    namespace sparse = structopt::sparse;
    using T = typename S::value_type;
    if (m.rows() > 4096 || m.columns() > 4096)
    {
        return;
    }
    const auto entries = sparse::entries_of(m);
    const auto back = [&]<class To>(std::type_identity<To>)
    {
        if constexpr (requires { To::fits(m.rows(), m.columns()); })
        {
            if (!To::fits(m.rows(), m.columns()))
            {
                return;
            }
        }
        const To to = sparse::convert<To>(m);
        demand(sparse::entries_of(sparse::convert<S>(to)) == sparse::entries_of(to));
    };
    demand(sparse::row_entries<T>(entries).values.size() == entries.values.size());
    back(std::type_identity<sparse::csr<T, std::uint16_t>>{});
    back(std::type_identity<sparse::csc<T, std::uint16_t>>{});
    back(std::type_identity<sparse::coo<T>>{});
    back(std::type_identity<sparse::bitmask<T>>{});
    back(std::type_identity<sparse::bsr<T, 3, 2>>{});
    const auto dense = m.to_dense();
    touch(dense.data(), dense.size());
    const auto ones = structopt::full<T>(structopt::shape<1>{m.columns()}, static_cast<T>(1.0f));
    const auto sums = sparse::row_sums(m);
    const auto products = sparse::multiply(m, ones);
    demand(sums.size() == products.size());
}

/// True if the arrays were accepted as the format that the first byte chooses.
inline bool consume_sparse(std::span<const std::byte> bytes)
{
    namespace sparse = structopt::sparse;
    using T = std::int32_t;
    return consume(
        [&]
        {
            number_source from(bytes);
            const int format = from.take<std::uint8_t>() % 7;
            const auto rows = from.extent();
            const auto columns = from.extent();
            switch (format)
            {
            case 0:
            {
                auto i = from.list<std::uint16_t>();
                auto j = from.list<std::uint16_t>();
                auto v = from.list<T>();
                for (T& value : v)
                {
                    value %= 1000; // sums of one place fit
                }
                use(sparse::coo<T, std::uint16_t>(rows, columns, i, j, v));
                break;
            }
            case 1:
            {
                auto offsets = from.list<std::uint32_t>();
                auto indices = from.list<std::uint8_t>();
                use(sparse::csr<T, std::uint8_t>(rows, columns, offsets, indices, from.list<T>()));
                break;
            }
            case 2:
            {
                auto offsets = from.list<std::uint32_t>();
                auto indices = from.list<std::uint64_t>();
                use(sparse::csc<T, std::uint64_t>(rows, columns, offsets, indices, from.list<T>()));
                break;
            }
            case 3:
            {
                auto offsets = from.list<std::uint32_t>();
                auto indices = from.list<std::uint8_t>();
                use(sparse::bsr<T, 2, 3, std::uint8_t>(
                    rows, columns, offsets, indices, from.list<T>()));
                break;
            }
            case 4:
            {
                auto words = from.list<std::uint64_t>();
                auto offsets = from.list<std::uint32_t>();
                use(sparse::bitmask<T>(rows, columns, words, offsets, from.list<T>()));
                break;
            }
            case 5:
            {
                auto positions = from.list<std::uint8_t>();
                const sparse::nm<T, 2, 4> m(rows, columns, positions, from.list<T>());
                if (m.rows() <= 4096 && m.columns() <= 4096)
                {
                    use(sparse::convert<sparse::csr<T>>(m));
                }
                break;
            }
            default:
            {
                // More columns than the format numbers are an argument_error.
                sparse::row_entries<T> list{rows, columns < 4096 ? columns : 4096, {}, {}, {}};
                for (const auto offset : from.list<std::uint32_t>())
                {
                    list.offsets.push_back(offset);
                }
                for (const auto index : from.list<std::int16_t>())
                {
                    list.indices.push_back(index);
                }
                const auto values = from.list<T>();
                list.values.assign(values.begin(), values.end());
                use(sparse::csr<T>(list));
                break;
            }
            }
        });
}

} // namespace support
