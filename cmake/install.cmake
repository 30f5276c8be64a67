# Install rules: headers, a CMake package and a pkg-config file. Nothing depends on the machine.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(structopt_cmake_dir "${CMAKE_INSTALL_DATADIR}/cmake/structopt")

install(TARGETS structopt EXPORT structopt-targets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT structopt-targets NAMESPACE structopt:: DESTINATION "${structopt_cmake_dir}"
    FILE structopt-targets.cmake)

configure_package_config_file(
    "${CMAKE_CURRENT_LIST_DIR}/structopt-config.cmake.in"
    "${CMAKE_CURRENT_BINARY_DIR}/structopt-config.cmake"
    INSTALL_DESTINATION "${structopt_cmake_dir}"
    NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break callers.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/structopt-config-version.cmake"
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/structopt-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/structopt-config-version.cmake"
    DESTINATION "${structopt_cmake_dir}")
install(DIRECTORY "${CMAKE_CURRENT_LIST_DIR}/kernels" DESTINATION "${structopt_cmake_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

option(STRUCTOPT_INSTALL_PKGCONFIG "Install structopt.pc" ON)
if(STRUCTOPT_INSTALL_PKGCONFIG)
    set(structopt_pc_requires "xtensor, xsimd, nlohmann_json")
    set(structopt_pc_cflags "")
    set(structopt_pc_libs "")
    if(STRUCTOPT_WITH_ZLIB)
        string(APPEND structopt_pc_requires ", zlib")
        string(APPEND structopt_pc_cflags " -DSTRUCTOPT_HAS_ZLIB=1")
    endif()
    if(STRUCTOPT_USE_OPENMP)
        string(APPEND structopt_pc_cflags " ${OpenMP_CXX_FLAGS}")
        string(APPEND structopt_pc_libs " ${OpenMP_CXX_FLAGS}")
    endif()
    if(STRUCTOPT_USE_CBLAS)
        string(APPEND structopt_pc_cflags " -DSTRUCTOPT_USE_CBLAS=1")
        list(JOIN BLAS_LIBRARIES " " structopt_blas)
        string(APPEND structopt_pc_libs " ${structopt_blas}")
    endif()
    configure_file("${CMAKE_CURRENT_LIST_DIR}/structopt.pc.in"
        "${CMAKE_CURRENT_BINARY_DIR}/structopt.pc" @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/structopt.pc"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endif()
