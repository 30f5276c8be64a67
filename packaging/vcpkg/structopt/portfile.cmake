# Not run yet: OWNER and SHA512 are filled in when the first release is tagged.
# header-only port
set(VCPKG_BUILD_TYPE release)

vcpkg_from_github(
    OUT_SOURCE_PATH SOURCE_PATH
    REPO OWNER/structopt
    REF "v${VERSION}"
    SHA512 0
    HEAD_REF main
)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        zlib STRUCTOPT_USE_ZLIB
)

# No pkg-config file: the xtensor port does not install the one it would require.
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DSTRUCTOPT_BUILD_TESTS=OFF
        -DSTRUCTOPT_BUILD_EXAMPLES=OFF
        -DSTRUCTOPT_BUILD_BENCHMARKS=OFF
        -DSTRUCTOPT_FETCH_DEPENDENCIES=OFF
        -DSTRUCTOPT_INSTALL_PKGCONFIG=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/structopt)

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib" "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
