// Compiled several times, with PART naming the instruction set.
#include "part.hpp"

#include <structopt/core.hpp>

#if __has_include(<structopt/nn/dense.hpp>)
#include <structopt/nn/dense.hpp>
#endif

#define STRINGIZE_(x) #x
#define STRINGIZE(x) STRINGIZE_(x)

part_result PART::run()
{
    part_result result;
    result.abi_namespace = STRINGIZE(STRUCTOPT_ABI_NAMESPACE);

    auto x = structopt::make_tensor<float>(structopt::shape<2>{2, 3});
    for (structopt::index_t i = 0; i < 6; ++i)
    {
        x.data()[i] = static_cast<float>(i);
    }
    const structopt::view<const float, 2> v = x;
    for (const float element : v.flat())
    {
        result.sum += static_cast<double>(element);
    }
#if __has_include(<structopt/nn/dense.hpp>)
    structopt::random_engine rng(1);
    structopt::nn::dense<> layer({.in = 32, .out = 3, .bias = false}, rng);
    layer.visit(
        [](auto&&, auto&& parameter)
        {
            for (auto& w : structopt::as_view(parameter).flat())
            {
                w = 1;
            }
        });
    const auto ones = structopt::full<float>(structopt::shape<2>{5, 32}, 1.0F);
    result.product = static_cast<double>(layer.forward(ones).data()[14]);
#else
    result.product = 32;
#endif
    return result;
}

void PART::fail()
{
    structopt::check_shape("part", structopt::shape<1>{1}, structopt::shape<1>{2});
}

bool PART::catches(void (*function)())
{
    try
    {
        function();
    }
    catch (const structopt::shape_error& e)
    {
        return e.where() == "part" && e.expected() == "[1]" && e.found() == "[2]";
    }
    catch (...)
    {
        return false;
    }
    return false;
}
