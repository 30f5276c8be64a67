# cmake -DCOMPILER=... -DSOURCE=... -DINCLUDE=... -P namespaces.cmake: flags that change what compilers
# and xsimd may use must change the inline namespace.
cmake_minimum_required(VERSION 3.24)

set(flags "-O1" "-msse3" "-mssse3" "-msse4.1" "-msse4.2" "-mpopcnt" "-mlzcnt" "-mbmi" "-mmovbe" "-mavx"
    "-mavx -mf16c" "-mavx2" "-mavx2 -mfma" "-mfma4" "-mxop" "-mavx512f" "-mavx512f -mavx512cd"
    "-mavx512f -mavx512bw" "-march=x86-64-v3" "-march=x86-64-v3 -mavxvnni"
    "-march=x86-64-v3 -mgfni" "-march=x86-64-v4" "-march=x86-64-v4 -mavx512vnni"
    "-march=x86-64-v4 -mavx512vbmi" "-march=x86-64-v4 -mavx512vbmi2" "-march=x86-64-v4 -mavx512ifma"
    "-march=x86-64-v4 -mavx512bitalg" "-march=x86-64-v4 -mavx512vpopcntdq"
    "-march=x86-64-v4 -mavx512bf16" "-march=icelake-server" "-fno-exceptions" "-fopenmp"
    "-DSTRUCTOPT_USE_CBLAS" "-DSTRUCTOPT_DISPATCH")
set(names "")
foreach(set IN LISTS flags)
    separate_arguments(arguments UNIX_COMMAND "-march=x86-64 ${set}")
    execute_process(COMMAND "${COMPILER}" -std=c++20 "-I${INCLUDE}" ${arguments} -E -P "${SOURCE}"
        RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE errors)
    if(NOT code EQUAL 0 OR NOT text MATCHES "namespace_is \"([^\"]+)\"")
        message(FATAL_ERROR "${set}: ${errors}${text}")
    endif()
    set(name "${CMAKE_MATCH_1}")
    message(STATUS "${set}: ${name}")
    if(name IN_LIST names)
        message(FATAL_ERROR "${set} has the same namespace as other flags: ${name}")
    endif()
    list(APPEND names "${name}")
endforeach()
