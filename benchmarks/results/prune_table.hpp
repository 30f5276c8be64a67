// docs/results/prune.{json,md}: several tables, of which a run may measure a part again.
#pragma once

#include "result_table.hpp"

#include <structopt/io/atomic_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

/// Tables by name, each made of the rows of its stages in a fixed order. Rows that a run does not
/// measure stay as the files have them when they are written: runs of different stages may go on
/// beside each other, and one that is ended keeps what it has.
class tables
{
public:
    /// Of the files in `folder`.
    explicit tables(std::string folder)
        : m_folder(std::move(folder))
    {
    }

    /// The next table, with the words above it.
    void begin(const std::string& name, std::string text)
    {
        m_tables[name] = {{"text", std::move(text)}, {"stages", nlohmann::ordered_json::object()}};
        m_name = name;
    }

    /// A stage that is not measured this time: its old rows stay.
    void keep(const std::string& stage)
    {
        m_tables[m_name]["stages"][stage] = nullptr;
    }

    /// A stage as the files have it; null where they have none.
    nlohmann::ordered_json stage(const std::string& name) const
    {
        const auto all = merged();
        const auto& stages = all.contains(m_name) ? all[m_name]["stages"] : all;
        return stages.contains(name) ? stages[name] : nlohmann::ordered_json();
    }

    /// The rows of a stage, measured now; both files are written. Throws `structopt::file_error`.
    void put(const std::string& stage, nlohmann::ordered_json rows, double seconds)
    {
        for (const auto& row : rows)
        {
            std::printf("%s\n", row.dump().c_str());
        }
        std::fflush(stdout);
        m_tables[m_name]["stages"][stage] = {{"commit", results::environment("STRUCTOPT_COMMIT")},
            {"seconds", seconds}, {"rows", std::move(rows)}};
        write();
    }

    /// Writes both files; throws `structopt::file_error`.
    void write() const
    {
        std::filesystem::create_directories(m_folder);
        nlohmann::ordered_json json;
        json["command"] = results::environment("STRUCTOPT_COMMAND");
        json["commit"] = results::environment("STRUCTOPT_COMMIT");
        json["compiler"] = results::environment("STRUCTOPT_COMPILER");
        json["cpu"] = results::environment("STRUCTOPT_CPU");
        json["tables"] = merged();
        structopt::io::write_file(m_folder + "/prune.json", json.dump(1) + "\n");
        structopt::io::write_file(m_folder + "/prune.md", page(json["tables"]));
    }

private:
    /// What this run knows, and of the rest what the file has now.
    nlohmann::ordered_json merged() const
    {
        auto old = nlohmann::ordered_json::object();
        std::ifstream file(m_folder + "/prune.json");
        if (file)
        {
            old = nlohmann::ordered_json::parse(file).value("tables", old);
        }
        auto all = nlohmann::ordered_json::object();
        for (const auto& table : m_tables.items())
        {
            auto stages = nlohmann::ordered_json::object();
            const auto before = old.contains(table.key()) ? old[table.key()]["stages"]
                                                          : nlohmann::ordered_json::object();
            for (const auto& stage : table.value()["stages"].items())
            {
                if (!stage.value().is_null())
                {
                    stages[stage.key()] = stage.value();
                }
                else if (before.contains(stage.key()))
                {
                    stages[stage.key()] = before[stage.key()];
                }
            }
            // The stages this run has not come to yet.
            for (const auto& stage : before.items())
            {
                if (table.key() == m_name && !stages.contains(stage.key()))
                {
                    stages[stage.key()] = stage.value();
                }
            }
            all[table.key()] = {{"text", table.value()["text"]}, {"stages", stages}};
        }
        for (const auto& table : old.items())
        {
            if (!all.contains(table.key()))
            {
                all[table.key()] = table.value();
            }
        }
        return all;
    }

    static std::string cell(const nlohmann::ordered_json& value)
    {
        return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
    }

    static std::string page(const nlohmann::ordered_json& tables)
    {
        std::ostringstream page;
        page << "# Pruning\n";
        for (const auto& table : tables.items())
        {
            page << "\n## " << table.key() << "\n\n"
                 << table.value()["text"].get<std::string>() << "\n\n";
            bool head = true;
            double seconds = 0;
            for (const auto& stage : table.value()["stages"].items())
            {
                seconds += stage.value()["seconds"].get<double>();
                for (const auto& row : stage.value()["rows"])
                {
                    if (head)
                    {
                        std::string rule;
                        for (const auto& item : row.items())
                        {
                            page << "| " << item.key() << ' ';
                            rule += "|---";
                        }
                        page << "|\n" << rule << "|\n";
                        head = false;
                    }
                    for (const auto& item : row.items())
                    {
                        page << "| " << cell(item.value()) << ' ';
                    }
                    page << "|\n";
                }
            }
            char text[64];
            std::snprintf(text, sizeof text, "%.0f", seconds);
            page << "\nProcessor time: " << text << " s of all threads.\n";
        }
        page << "\nMade by `" << results::environment("STRUCTOPT_COMMAND") << "`, "
             << results::environment("STRUCTOPT_COMPILER") << ", "
             << results::environment("STRUCTOPT_CPU")
             << "; the commit of every stage is in the JSON file.\n";
        return page.str();
    }

    std::string m_folder;
    std::string m_name;
    nlohmann::ordered_json m_tables = nlohmann::ordered_json::object();
};

} // namespace prune_results
