/// @file
/// A dataset that is measured after every epoch.
#pragma once

#include <structopt/train/dataset.hpp>

#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// What `validate_on` gives.
template <dataset Data>
struct validation_set
{
    Data data;
    std::string name;
};

/// Measures the loss and all metrics on `data` after every epoch, under "name.loss" and the like.
/// Several sets may be given, the training data among them.
template <dataset Data>
validation_set<Data> validate_on(const Data& data, std::string name = "validation")
{
    return {data, std::move(name)};
}

} // namespace train
STRUCTOPT_END_NAMESPACE
