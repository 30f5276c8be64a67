// Preprocessed under many flags by namespaces.cmake, never compiled.
#include <structopt/abi.hpp>
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
namespace_is TEXT(STRUCTOPT_ABI_NAMESPACE)
