// Compiled several times, with PART naming the instruction set.
#include "part.hpp"

#include <structopt/core.hpp>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>

#include <cmath>
#include <utility>

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

    // 100 inputs of one through 17 units with weights of 1/50: two each; summed by one output.
    structopt::nn::dense first(structopt::full<float>(structopt::shape<2>{17, 100}, 0.02F));
    structopt::nn::dense second(structopt::full<float>(structopt::shape<2>{1, 17}, 1.0F));
    const structopt::nn::sequential net{std::move(first), structopt::nn::relu{}, std::move(second)};
    const auto ones = structopt::full<float>(structopt::shape<2>{5, 100}, 1.0F);
    result.product =
        std::round(static_cast<double>(structopt::nn::forward(net, ones)(4, 0)) * 1e4) / 1e4;
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
