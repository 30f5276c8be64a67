# cmake -DNM= -DOBJDUMP= -DBASELINE=<object> -DWIDE=<object> [-DEXCUSED=<regex>] -P symbols.cmake
#
# Fails where a weak symbol that both objects define contains an instruction with a VEX or EVEX
# encoding (a mnemonic in v) in the wide one. Mangled names that match EXCUSED are let pass: templates
# of the standard library and of the JSON library over plain types, which every program that mixes
# flags shares between its files whether it uses this library or not. Kernels and layers in their core
# form need no excuse.

cmake_minimum_required(VERSION 3.24)

function(weak_symbols object variable)
    execute_process(COMMAND "${NM}" --defined-only "${object}" OUTPUT_VARIABLE text
        COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL " [WVu] [^\n]+" lines "${text}")
    list(TRANSFORM lines REPLACE "^ [WVu] " "")
    set(${variable} "${lines}" PARENT_SCOPE)
endfunction()

weak_symbols("${BASELINE}" baseline)
weak_symbols("${WIDE}" wide)
list(LENGTH wide count_wide)
if(count_wide EQUAL 0)
    message(FATAL_ERROR "${WIDE} defines no weak symbol: is this the right object?")
endif()

execute_process(COMMAND "${OBJDUMP}" -d --no-show-raw-insn "${WIDE}" OUTPUT_VARIABLE code
    COMMAND_ERROR_IS_FATAL ANY)
if(NOT code MATCHES "\tv[a-z]+")
    message(FATAL_ERROR "${WIDE} holds no wide instruction at all: is this the right object?")
endif()

# One list element per function: "<name>:\n<body>".
string(REPLACE ";" "," code "${code}")
string(REPLACE "[" "(" code "${code}")
string(REPLACE "]" ")" code "${code}")
string(REGEX REPLACE "\n[0-9a-f]+ <" ";<" functions "${code}")

set(bad "")
set(shared 0)
foreach(function IN LISTS functions)
    if(NOT function MATCHES "^<([^>]+)>:")
        continue()
    endif()
    set(name "${CMAKE_MATCH_1}")
    if(NOT name IN_LIST baseline OR (EXCUSED AND name MATCHES "${EXCUSED}"))
        continue()
    endif()
    math(EXPR shared "${shared} + 1")
    if(function MATCHES "\t(v[a-z0-9]+[^\n]*)")
        string(APPEND bad "  ${name}: ${CMAKE_MATCH_1}\n")
    endif()
endforeach()
if(bad)
    message(FATAL_ERROR "symbols that both objects define, with wide instructions in ${WIDE}:\n${bad}")
endif()
message(STATUS "${shared} shared functions, none with wide instructions")
