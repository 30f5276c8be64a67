# cmake -DNM= -DOBJECT=<object> -P own_symbols.cmake
#
# Fails where the object with the kernels of an instruction set defines a weak symbol outside of the
# library's inline namespace of these flags: another file of the program could define the same one
# with other instructions. Of what compilers add themselves, only functions that end the program and
# references to the standard library's data are let pass; and xsimd's functions around one intrinsic of
# NEON each, which every aarch64 machine has and whose addresses xsimd takes.
cmake_minimum_required(VERSION 3.24)

execute_process(COMMAND "${NM}" --defined-only "${OBJECT}" OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " [WVu] [^\n]+" lines "${text}")
set(own 0)
set(bad "")
foreach(line IN LISTS lines)
    string(REGEX REPLACE "^ [WVu] " "" name "${line}")
    if(name MATCHES "[0-9]v[0-9]+_[0-9]+_")
        math(EXPR own "${own} + 1")
    elseif(name MATCHES "^_ZN5xsimd6kernel(4wrap[0-9]+v[a-z]+q?_|6detail[0-9]+bitwise_xor_f(32|64)E)")
        continue()
    elseif(NOT name MATCHES "^(DW\\.ref\\.__gxx_personality_v0|__clang_call_terminate)$")
        string(APPEND bad "  ${name}\n")
    endif()
endforeach()
if(bad)
    message(FATAL_ERROR "weak symbols that other files may define too, in ${OBJECT}:\n${bad}")
endif()
if(own EQUAL 0)
    message(FATAL_ERROR "${OBJECT} defines no kernel: is this the right object?")
endif()
message(STATUS "${own} weak symbols, all in the namespace of their flags")
