/// @file
/// What a fuzz target begins with: valid content, written into its corpus before it is read.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <string_view>
#include <vector>

namespace support
{

/// Puts every seed as a file into the first folder of the command line, which is where libFuzzer reads
/// and keeps its corpus; none without a folder. For `LLVMFuzzerInitialize`.
inline void write_seeds(int argc, char** argv, const std::vector<std::string>& seeds)
{
    for (int i = 1; i < argc; ++i)
    {
        const std::filesystem::path folder(argv[i]);
        if (std::string_view(argv[i]).substr(0, 1) == "-" || !std::filesystem::is_directory(folder))
        {
            continue;
        }
        int number = 0;
        for (const std::string& seed : seeds)
        {
            const auto path = folder / ("seed-" + std::to_string(number++));
            std::ofstream file(path, std::ios::binary);
            file << seed;
            if (!file.flush())
            {
                std::fprintf(stderr, "cannot write %s\n", path.c_str());
                std::exit(1);
            }
        }
        return;
    }
}

} // namespace support
