// Links parts of different instruction sets and runs those that this machine has.
#include "part.hpp"

#include <cstdio>

namespace
{

int failures = 0;

void expect(bool condition, const char* what)
{
    if (!condition)
    {
        std::printf("failed: %s\n", what);
        ++failures;
    }
}

} // namespace

int main()
{
    __builtin_cpu_init();
    struct part
    {
        const char* name;
        bool runs;
        part_result (*run)();
        void (*fail)();
        bool (*catches)(void (*)());
    };
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 =
        has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    const part parts[] = {
        {"baseline", true, baseline::run, baseline::fail, baseline::catches},
        {"avx2", has_avx2, avx2::run, avx2::fail, avx2::catches},
        {"avx512", has_avx512, avx512::run, avx512::fail, avx512::catches},
    };
    std::string seen;
    for (const part& p : parts)
    {
        if (!p.runs)
        {
            std::printf("%s: this machine cannot run it\n", p.name);
            continue;
        }
        const part_result result = p.run();
        std::printf("%s: namespace %s\n", p.name, result.abi_namespace.c_str());
        expect(result.sum == 15, "sum of the elements");
        expect(result.product == 34, "output of the network");
        expect(seen.find("|" + result.abi_namespace + "|") == std::string::npos,
            "every part has an ABI namespace of its own");
        seen += "|" + result.abi_namespace + "|";
        for (const part& other : parts)
        {
            if (other.runs)
            {
                expect(p.catches(other.fail), "an error thrown by one part is caught by another");
            }
        }
    }
    return failures == 0 ? 0 : 1;
}
