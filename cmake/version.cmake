# structopt_read_version(<variable> <version.hpp>): the version as "major.minor.patch", read from the
# header, which is the one place that states it.
function(structopt_read_version variable header)
    file(READ "${header}" text)
    set(parts "")
    foreach(part MAJOR MINOR PATCH)
        if(NOT text MATCHES "#define STRUCTOPT_VERSION_${part} ([0-9]+)")
            message(FATAL_ERROR "${header}: no line `#define STRUCTOPT_VERSION_${part} <number>`")
        endif()
        list(APPEND parts ${CMAKE_MATCH_1})
    endforeach()
    list(JOIN parts "." version)
    set(${variable} "${version}" PARENT_SCOPE)
endfunction()
