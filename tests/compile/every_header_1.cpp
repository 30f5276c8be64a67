// Every header of the library, also included by every_header_2.cpp of the same program.
#include "every_header.hpp"

int version_of_the_other_file();

int main()
{
    return version_of_the_other_file() == STRUCTOPT_VERSION_MAJOR ? 0 : 1;
}
