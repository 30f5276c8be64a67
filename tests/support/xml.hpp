/// @file
/// Reading our own SVG in tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace support
{

/// Whether the tags are balanced and the text has no bare markup. Enough XML for our own SVG.
inline bool well_formed(const std::string& xml)
{
    std::vector<std::string> open;
    for (std::size_t i = 0; i < xml.size(); ++i)
    {
        if (xml[i] == '&')
        {
            const auto end = xml.find(';', i);
            const std::string name = end == std::string::npos ? "" : xml.substr(i + 1, end - i - 1);
            if (name != "lt" && name != "gt" && name != "amp" && name != "quot")
            {
                return false;
            }
        }
        if (xml[i] == '>' || (static_cast<unsigned char>(xml[i]) < 0x20 && xml[i] != '\n'))
        {
            return false;
        }
        if (xml[i] != '<')
        {
            continue;
        }
        const auto end = xml.find('>', i);
        if (end == std::string::npos)
        {
            return false;
        }
        const std::string tag = xml.substr(i + 1, end - i - 1);
        if (std::count(tag.begin(), tag.end(), '"') % 2 != 0 || tag.find('<') != std::string::npos)
        {
            return false;
        }
        if (tag[0] == '/')
        {
            if (open.empty() || open.back() != tag.substr(1))
            {
                return false;
            }
            open.pop_back();
        }
        else if (tag.back() != '/')
        {
            open.push_back(tag.substr(0, tag.find(' ')));
        }
        i = end;
    }
    return open.empty();
}

/// How often a text has a part.
inline std::size_t times(const std::string& text, const std::string& part)
{
    std::size_t n = 0;
    for (std::size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1))
    {
        ++n;
    }
    return n;
}

} // namespace support
