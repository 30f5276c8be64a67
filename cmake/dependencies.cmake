# The packages the library needs: installed ones first, else the pinned versions below.
#
# Supported pairs of xtensor and xsimd: 0.24.3 + 8.1.0 (Debian 12), 0.25.0 + 13.2.0 (Debian 13),
# 0.27.1 + 14.3.0 (Debian sid). The middle pair is the one that is fetched: both supported compilers
# accept it.
include(FetchContent)

# structopt_fetch(<name> <url> <sha256> [<target>...]): downloads and adds a package; the include folders
# of its targets become system folders, whose warnings are not ours.
function(structopt_fetch name url sha256)
    if(NOT STRUCTOPT_FETCH_DEPENDENCIES)
        message(FATAL_ERROR "structopt: ${name} is not installed (STRUCTOPT_FETCH_DEPENDENCIES is OFF)")
    endif()
    message(STATUS "structopt: ${name} is not installed, fetching ${url}")
    # These projects ask for CMake versions that CMake 4 no longer takes without this.
    set(CMAKE_POLICY_VERSION_MINIMUM 3.10)
    FetchContent_Declare(${name} URL "${url}" URL_HASH SHA256=${sha256}
        DOWNLOAD_EXTRACT_TIMESTAMP FALSE)
    FetchContent_MakeAvailable(${name})
    foreach(target IN LISTS ARGN)
        get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
        set_target_properties(${target} PROPERTIES
            INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${folders}")
    endforeach()
endfunction()

# xtl and xtensor -----------------------------------------------------------------------------------
if(NOT TARGET xtensor)
    find_package(xtensor 0.24 CONFIG QUIET)
    if(NOT xtensor_FOUND)
        find_package(xtl 0.7.5 CONFIG QUIET)
        if(NOT xtl_FOUND)
            structopt_fetch(xtl
                https://github.com/xtensor-stack/xtl/archive/refs/tags/0.7.7.tar.gz
                44fb99fbf5e56af5c43619fc8c29aa58e5fad18f3ba6e7d9c55c111b62df1fbb xtl)
        endif()
        structopt_fetch(xtensor
            https://github.com/xtensor-stack/xtensor/archive/refs/tags/0.25.0.tar.gz
            32d5d9fd23998c57e746c375a544edf544b74f0a18ad6bc3c38cbba968d5e6c7 xtensor)
    endif()
endif()

# xsimd: its version file only accepts an equal major version, so the version is compared here.
if(NOT TARGET xsimd)
    find_package(xsimd CONFIG QUIET)
    if(xsimd_FOUND AND xsimd_VERSION VERSION_LESS 8.1)
        message(FATAL_ERROR "structopt: expected xsimd 8.1 or later, got ${xsimd_VERSION} in ${xsimd_DIR}")
    endif()
    if(NOT xsimd_FOUND)
        structopt_fetch(xsimd
            https://github.com/xtensor-stack/xsimd/archive/refs/tags/13.2.0.tar.gz
            edd8cd3d548c185adc70321c53c36df41abe64c1fe2c67bc6d93c3ecda82447a xsimd)
    endif()
endif()

# JSON, for the headers of io/ ------------------------------------------------------------------------
if(NOT TARGET nlohmann_json::nlohmann_json)
    find_package(nlohmann_json 3.9 CONFIG QUIET)
    if(NOT nlohmann_json_FOUND)
        set(JSON_BuildTests OFF CACHE INTERNAL "")
        set(JSON_Install ${STRUCTOPT_INSTALL} CACHE INTERNAL "")
        structopt_fetch(nlohmann_json
            https://github.com/nlohmann/json/archive/refs/tags/v3.11.3.tar.gz
            0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406 nlohmann_json)
    endif()
endif()

# Optional ------------------------------------------------------------------------------------------
if(STRUCTOPT_USE_OPENMP)
    find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()
if(STRUCTOPT_USE_CBLAS)
    find_package(BLAS REQUIRED)
    include(CheckIncludeFileCXX)
    check_include_file_cxx(cblas.h STRUCTOPT_FOUND_CBLAS_H)
    if(NOT STRUCTOPT_FOUND_CBLAS_H)
        message(FATAL_ERROR "structopt: STRUCTOPT_USE_CBLAS is ON, but the compiler finds no cblas.h")
    endif()
endif()
set(STRUCTOPT_WITH_ZLIB OFF)
if(STRUCTOPT_USE_ZLIB)
    find_package(ZLIB QUIET)
    set(STRUCTOPT_WITH_ZLIB ${ZLIB_FOUND})
endif()

foreach(package xtensor xsimd nlohmann_json)
    if(${package}_VERSION)
        list(APPEND structopt_versions "${package} ${${package}_VERSION}")
    else()
        list(APPEND structopt_versions "${package} (part of this build)")
    endif()
endforeach()
list(JOIN structopt_versions ", " structopt_versions)
message(STATUS "structopt ${STRUCTOPT_VERSION}: ${structopt_versions}, "
    "zlib ${STRUCTOPT_WITH_ZLIB}, OpenMP ${STRUCTOPT_USE_OPENMP}, CBLAS ${STRUCTOPT_USE_CBLAS}")
