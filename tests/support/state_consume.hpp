/// @file
/// Loads content as the state of a network whose weights may have any format of their own: for the
/// fuzzers.
#pragma once

#include <structopt/io/state.hpp>
#include <structopt/nn/any_weight.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/quantize/packed_model.hpp>
#include <structopt/sparse/model.hpp>
#include <structopt/sparse/packed_model.hpp>

#include "support/consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace support
{

/// Calls `body(std::type_identity<Any>, std::type_identity<Format>...)` with every format that is saved in
/// arrays of its own.
template <class Body>
void with_saved_formats(const Body& body)
{
    using namespace structopt;
    const auto call = [&]<class... Formats>(std::type_identity<Formats>... formats)
    {
        body(std::type_identity<nn::any_weight<float, Formats...>>{}, formats...);
    };
    call(std::type_identity<tensor<float, 2>>{},
        std::type_identity<sparse::csr<float, std::uint8_t>>{},
        std::type_identity<sparse::csr<float, std::uint16_t>>{},
        std::type_identity<sparse::csr<float>>{}, std::type_identity<sparse::sliced<float>>{},
        std::type_identity<sparse::tiled<float>>{}, std::type_identity<sparse::bitmask<float>>{},
        std::type_identity<sparse::bsr<float, 16, 1, std::uint16_t>>{},
        std::type_identity<sparse::packed_nm<float, 2, 4>>{},
        std::type_identity<quantize::int8_matrix>{},
        std::type_identity<quantize::sparse_int8<std::uint8_t>>{},
        std::type_identity<quantize::int8_vectors<std::uint8_t>>{},
        std::type_identity<quantize::int8_nm>{});
}

/// True if the content is the state of a network of two layers of any extents and formats.
inline bool consume_state(std::span<const std::byte> content)
{
    bool taken = false;
    with_saved_formats(
        [&]<class Any, class... Formats>(std::type_identity<Any>, std::type_identity<Formats>...)
        {
            using namespace structopt;
            taken = consume(
                [&]
                {
                    const io::safetensors_file file(content, "content");
                    nn::sequential<nn::dense<Any>, nn::dense<Any>> net;
                    io::load_state(net, file, {.resize = true});
                    const auto use = [](const Any& weight)
                    {
                        using traits = nn::storage_traits<Any>;
                        // Sparse files may stand for matrices that no memory holds.
                        if (traits::rows(weight) <= 1024 && traits::columns(weight) <= 1024)
                        {
                            const auto dense = traits::unpack(weight);
                            touch(dense.data(), dense.size());
                        }
                    };
                    use(net.template layer<0>().weight);
                    use(net.template layer<1>().weight);
                });
        });
    return taken;
}

/// Files that `consume_state` takes: one for every format.
inline std::vector<std::string> state_files()
{
    std::vector<std::string> files;
    with_saved_formats(
        [&]<class Any, class... Formats>(std::type_identity<Any>, std::type_identity<Formats>...)
        {
            using namespace structopt;
            tensor<float, 2> w = zeros<float>(shape<2>{18, 18});
            for (index_t i = 0; i < size_of(w); i += 4)
            {
                w.data()[i] = 0.5f + static_cast<float>(i % 7);
            }
            const auto add = [&](const Any& weight)
            {
                const nn::sequential net{nn::dense<Any>(weight), nn::dense<Any>(weight)};
                io::safetensors_writer writer;
                io::add_state(writer, net);
                const auto bytes = writer.to_bytes();
                files.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            };
            (add(Any(nn::storage_traits<Formats>::pack(
                 view<const float, 2>(w.data(), shape<2>{18, 18})))),
                ...);
        });
    return files;
}

} // namespace support
