// The kernels of one instruction set: compiled by structopt_target_kernels with its flags and
// STRUCTOPT_KERNEL_TARGET, its name.
#include <structopt/kernel/make_table.hpp>

#ifdef STRUCTOPT_DISPATCH
#error "structopt: STRUCTOPT_DISPATCH is for the files that call kernels, not for the kernels"
#endif

#define STRUCTOPT_TABLE_OF_(target) kernels_##target
#define STRUCTOPT_TABLE_OF(target) STRUCTOPT_TABLE_OF_(target)
#define STRUCTOPT_TEXT_(text) #text
#define STRUCTOPT_TEXT(text) STRUCTOPT_TEXT_(text)

STRUCTOPT_BEGIN_SHARED_NAMESPACE

extern const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET);
constinit const kernel_table STRUCTOPT_TABLE_OF(STRUCTOPT_KERNEL_TARGET) = kernel::make_table();

STRUCTOPT_END_SHARED_NAMESPACE
