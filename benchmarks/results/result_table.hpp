// What a results program writes: docs/results/<name>.json and the same rows as a table in .md.
#pragma once

#include <structopt/io/atomic_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace results
{

inline std::string environment(const char* name, const char* otherwise = "")
{
    const char* const value = std::getenv(name);
    return value != nullptr ? value : otherwise;
}

/// A committed table: rows of equal keys.
class table
{
public:
    table(std::string name, std::vector<int> seeds, std::string text)
        : m_name(std::move(name))
        , m_seeds(std::move(seeds))
        , m_text(std::move(text))
    {
    }

    void add(nlohmann::ordered_json row)
    {
        std::printf("%s\n", row.dump().c_str());
        std::fflush(stdout);
        m_rows.push_back(std::move(row));
    }

    /// Writes both files into `folder`; throws `structopt::file_error`.
    void write(const std::string& folder) const
    {
        std::filesystem::create_directories(folder);
        nlohmann::ordered_json json;
        json["command"] = environment("STRUCTOPT_COMMAND");
        json["commit"] = environment("STRUCTOPT_COMMIT");
        json["seeds"] = m_seeds;
        json["compiler"] = environment("STRUCTOPT_COMPILER");
        json["cpu"] = environment("STRUCTOPT_CPU");
        json["rows"] = m_rows;
        std::ostringstream page;
        page << "# " << m_name << "\n\n" << m_text << "\n\n";
        if (!m_rows.empty())
        {
            std::string rule;
            for (const auto& item : m_rows.front().items())
            {
                page << "| " << item.key() << ' ';
                rule += "|---";
            }
            page << "|\n" << rule << "|\n";
        }
        for (const auto& row : m_rows)
        {
            for (const auto& item : row.items())
            {
                page << "| "
                     << (item.value().is_string() ? item.value().get<std::string>()
                                                  : item.value().dump())
                     << ' ';
            }
            page << "|\n";
        }
        page << "\nMade by `" << environment("STRUCTOPT_COMMAND") << "` at commit "
             << environment("STRUCTOPT_COMMIT") << ", " << environment("STRUCTOPT_COMPILER") << ", "
             << environment("STRUCTOPT_CPU") << ".\n";
        structopt::io::write_file(folder + "/" + m_name + ".json", json.dump(1) + "\n");
        structopt::io::write_file(folder + "/" + m_name + ".md", page.str());
    }

private:
    std::string m_name;
    std::vector<int> m_seeds;
    std::string m_text;
    std::vector<nlohmann::ordered_json> m_rows;
};

/// The folder given as `--out FOLDER`.
inline std::string output_folder(int argc, char** argv)
{
    for (int i = 1; i + 1 < argc; ++i)
    {
        if (std::string(argv[i]) == "--out")
        {
            return argv[i + 1];
        }
    }
    return "docs/results";
}

} // namespace results
