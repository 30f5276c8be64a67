# structopt_target_kernels(<target> [ARCHS <instruction set>...])
#
# The target's kernels are compiled once per instruction set, and the best one that the machine runs is
# chosen when the program first needs one. ARCHS are names of the list below, of the machine's family;
# without it, all of them. The lowest one is always there, so that the program runs everywhere. See
# docs/dispatch.md.
#
# What it adds to the target: the objects of the instruction sets, shared by all targets of a build
# that are compiled alike; a list of them; structopt::structopt and the definition STRUCTOPT_DISPATCH (of
# a library, for all that link to it). STRUCTOPT_KERNEL_OPTIONS, if set, replaces -O2; it must be the same
# for all targets of a build.
include_guard(GLOBAL)

set(STRUCTOPT_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "Sources of structopt's kernels")

# Names in the order of preference and their flags; include/structopt/simd/cpu.hpp knows the names too.
set(STRUCTOPT_ARCHS_x86 sse2 avx2_fma avx2_vnni avx512 avx512_vnni CACHE INTERNAL "")
set(STRUCTOPT_ARCHS_arm neon neon_dotprod CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_sse2 -march=x86-64 CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_avx2_fma -march=x86-64-v3 CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_avx2_vnni -march=x86-64-v3 -mavxvnni CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_avx512 -march=x86-64-v4 CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_avx512_vnni -march=x86-64-v4 -mavx512vnni CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_neon -march=armv8-a CACHE INTERNAL "")
set(STRUCTOPT_FLAGS_neon_dotprod -march=armv8.2-a+dotprod CACHE INTERNAL "")

function(structopt_target_kernels target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ARCHS")
    if(TARGET ${target})
        get_target_property(type ${target} TYPE)
        if(NOT type MATCHES "^(EXECUTABLE|(STATIC|SHARED|MODULE|OBJECT)_LIBRARY)$")
            message(FATAL_ERROR "structopt_target_kernels: expected an executable or a compiled library, "
                "got ${target}, which is of type ${type}")
        endif()
    endif()
    if(NOT TARGET ${target} OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "structopt_target_kernels(<target> [ARCHS <instruction set>...]): "
            "got ${target} ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
        message(FATAL_ERROR "structopt_target_kernels: expected GCC or Clang, got ${CMAKE_CXX_COMPILER_ID}")
    endif()
    string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" machine)
    if(machine MATCHES "^(x86_64|amd64)$")
        set(known ${STRUCTOPT_ARCHS_x86})
    elseif(machine MATCHES "^(aarch64|arm64)$")
        set(known ${STRUCTOPT_ARCHS_arm})
    else()
        message(FATAL_ERROR "structopt_target_kernels: expected x86-64 or aarch64, got ${machine}")
    endif()
    foreach(arch IN LISTS arg_ARCHS)
        if(NOT arch IN_LIST known)
            message(FATAL_ERROR "structopt_target_kernels: expected one of ${known}, got ${arch}")
        endif()
    endforeach()
    set(archs "")
    foreach(arch IN LISTS known)
        if(NOT arg_ARCHS OR arch IN_LIST arg_ARCHS OR NOT archs)
            list(APPEND archs ${arch})
        endif()
    endforeach()

    set(declarations "")
    set(rows "")
    foreach(arch IN LISTS archs)
        structopt_kernels_object_(${arch})
        target_sources(${target} PRIVATE $<TARGET_OBJECTS:structopt_kernels_${arch}>)
        string(APPEND declarations "extern const kernel_table kernels_${arch};\n")
        string(APPEND rows "    {\"${arch}\", &kernels_${arch}},\n")
    endforeach()
    set(STRUCTOPT_KERNEL_DECLARATIONS "${declarations}")
    set(STRUCTOPT_KERNEL_ROWS "${rows}")
    list(JOIN archs "_" name)
    set(list "${CMAKE_BINARY_DIR}/structopt_kernels/${name}.cpp")
    configure_file("${STRUCTOPT_KERNELS_DIR}/targets.cpp.in" "${list}" @ONLY)
    target_sources(${target} PRIVATE "${list}")

    if(type STREQUAL "EXECUTABLE")
        set(scope PRIVATE)
    else()
        set(scope PUBLIC)
    endif()
    target_compile_definitions(${target} ${scope} STRUCTOPT_DISPATCH=1)
    target_link_libraries(${target} ${scope} structopt::structopt)
endfunction()

# The objects of one instruction set, made once per build.
function(structopt_kernels_object_ arch)
    set(object structopt_kernels_${arch})
    # Last of all flags. Optimized in every build type: unoptimized objects share functions of the
    # standard library, of which the linker may keep the copy with the wider instructions.
    if(NOT STRUCTOPT_KERNEL_OPTIONS)
        set(STRUCTOPT_KERNEL_OPTIONS -O2)
    endif()
    if(TARGET ${object})
        get_target_property(options ${object} STRUCTOPT_KERNEL_OPTIONS)
        if(NOT options STREQUAL STRUCTOPT_KERNEL_OPTIONS)
            message(FATAL_ERROR "structopt_target_kernels: expected the STRUCTOPT_KERNEL_OPTIONS that "
                "the kernels of ${arch} are compiled with already (${options}), got "
                "${STRUCTOPT_KERNEL_OPTIONS}: a build has one set of kernels")
        endif()
        return()
    endif()
    add_library(${object} OBJECT EXCLUDE_FROM_ALL "${STRUCTOPT_KERNELS_DIR}/kernels.cpp")
    target_link_libraries(${object} PRIVATE structopt::structopt)
    target_compile_definitions(${object} PRIVATE STRUCTOPT_KERNEL_TARGET=${arch})
    target_compile_options(${object} PRIVATE
        ${STRUCTOPT_FLAGS_${arch}} ${STRUCTOPT_KERNEL_OPTIONS})
    set_target_properties(${object} PROPERTIES
        STRUCTOPT_KERNEL_OPTIONS "${STRUCTOPT_KERNEL_OPTIONS}"
        POSITION_INDEPENDENT_CODE ON
        INTERPROCEDURAL_OPTIMIZATION OFF
        UNITY_BUILD OFF
        CXX_CLANG_TIDY "")
endfunction()
