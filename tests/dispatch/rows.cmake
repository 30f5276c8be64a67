# cmake -DINCLUDE=<folder> -P rows.cmake: every kernel that is declared with an architecture of its own
# choice (a default template argument) has a row in kernel/registry.hpp. Without one a program with
# run-time dispatch runs the code of its own flags there: right, but slow.
cmake_minimum_required(VERSION 3.24)

# Called by other kernels alone, which name their architecture.
set(inner frame unframe gather_patches scatter_patches)

file(READ "${INCLUDE}/structopt/kernel/registry.hpp" registry)
file(GLOB headers "${INCLUDE}/structopt/kernel/*.hpp")
set(count 0)
set(missing "")
foreach(header IN LISTS headers)
    file(READ "${header}" text)
    string(REPLACE ";" "|" text "${text}")
    string(REGEX MATCHALL "template <[^{}|]*= simd::default_arch[^{}|]*>[ \n][^{}|(]*\\(" found "${text}")
    foreach(declaration IN LISTS found)
        string(REGEX MATCH "([a-z0-9_]+)\\($" name "${declaration}")
        set(name "${CMAKE_MATCH_1}")
        math(EXPR count "${count} + 1")
        if(NOT name IN_LIST inner AND NOT registry MATCHES "\\(${name}<")
            string(APPEND missing "  ${name} of ${header}\n")
        endif()
    endforeach()
endforeach()
if(missing)
    message(FATAL_ERROR "kernels without a row in kernel/registry.hpp:\n${missing}")
endif()
if(count LESS 50)
    message(FATAL_ERROR "found only ${count} kernels in ${INCLUDE}: has the form of declarations changed?")
endif()
message(STATUS "${count} declarations of kernels, all in the registry")
