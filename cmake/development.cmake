# What tests, examples and benchmarks share. Nothing of it reaches the exported target.

# structopt_development: the library with warnings, and this machine's instruction set if asked for.
add_library(structopt_development INTERFACE)
target_link_libraries(structopt_development INTERFACE structopt::structopt)
set(structopt_warnings "")
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
    set(structopt_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        # Wrong in g++ 12 for the + of strings (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105651)
        # and inside its own AVX-512 intrinsics (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=105593).
        list(APPEND structopt_warnings -Wno-restrict -Wno-uninitialized -Wno-maybe-uninitialized)
    endif()
    if(STRUCTOPT_WARNINGS_AS_ERRORS)
        list(APPEND structopt_warnings -Werror)
        if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
            # Guesses about values, made after inlining: g++ 12 also makes them about branches that
            # are not taken. Printed, not errors; the sanitizers look for the real thing.
            list(APPEND structopt_warnings -Wno-error=array-bounds -Wno-error=stringop-overflow
                -Wno-error=stringop-overread -Wno-error=maybe-uninitialized)
        endif()
    endif()
    if(STRUCTOPT_NATIVE)
        include(CheckCXXCompilerFlag)
        check_cxx_compiler_flag(-march=native STRUCTOPT_ACCEPTS_MARCH_NATIVE)
        if(STRUCTOPT_ACCEPTS_MARCH_NATIVE)
            target_compile_options(structopt_development INTERFACE -march=native)
        endif()
    endif()
endif()
target_compile_options(structopt_development INTERFACE ${structopt_warnings})

# Data sets and published models. Tests get them as environment variables of these names and skip
# what needs them where they are empty.
foreach(kind DATA MODELS)
    set(default "$ENV{STRUCTOPT_${kind}_DIR}")
    string(TOLOWER ${kind} folder)
    if(default STREQUAL "" AND IS_DIRECTORY "${PROJECT_SOURCE_DIR}/../shared/${folder}")
        get_filename_component(default "${PROJECT_SOURCE_DIR}/../shared/${folder}" ABSOLUTE)
    endif()
    set(STRUCTOPT_${kind}_DIR "${default}" CACHE PATH
        "Folder of the ${folder} that tests and examples use; may be empty")
endforeach()

set(structopt_environment
    "STRUCTOPT_DATA_DIR=${STRUCTOPT_DATA_DIR}"
    "STRUCTOPT_MODELS_DIR=${STRUCTOPT_MODELS_DIR}"
    "STRUCTOPT_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    # Tests run beside each other: threads that wait must not spin.
    "OMP_WAIT_POLICY=passive")
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    message(WARNING "structopt: no CMAKE_BUILD_TYPE; tests and examples run unoptimized")
endif()

add_custom_target(structopt_tests)
add_custom_target(structopt_examples)
add_custom_target(structopt_benchmarks)
add_custom_target(structopt_fuzzers)
