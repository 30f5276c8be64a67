#include "every_header.hpp"

int version_of_the_other_file();

int version_of_the_other_file()
{
    return STRUCTOPT_VERSION_MAJOR;
}
