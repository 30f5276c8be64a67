# cmake -DNM= -DPROGRAM=<test_dispatch> -P shared_types.cmake
#
# Fails where a row of the registry has a parameter of a type that differs between files of different
# flags: what crosses is numbers, pointers and the types of `structopt::shared`. Looks at the counting
# functions of count.hpp, one per row.
cmake_minimum_required(VERSION 3.24)

execute_process(COMMAND "${NM}" -C --defined-only "${PROGRAM}" OUTPUT_VARIABLE text
    COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE ";" "," text "${text}")
string(REGEX MATCHALL "counted::[a-z0-9_]+\\([^\n]*" rows "${text}")
set(bad "")
foreach(row IN LISTS rows)
    if(row MATCHES "\\(.*v[0-9]+_[0-9]+_[^ ]*::")
        string(APPEND bad "  ${row}\n")
    endif()
endforeach()
list(LENGTH rows count)
if(bad)
    message(FATAL_ERROR "rows with types outside of structopt::shared:\n${bad}")
endif()
if(count LESS 100)
    message(FATAL_ERROR "found only ${count} rows in ${PROGRAM}")
endif()
message(STATUS "${count} rows, all with types that every file shares")
