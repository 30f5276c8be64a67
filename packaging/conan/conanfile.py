"""Conan 2 recipe of structopt, a header-only library."""
import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class StructoptConan(ConanFile):
    name = "structopt"
    description = "Neural networks made structurally smaller and faster: a header-only C++20 library"
    license = "BSD-3-Clause"
    topics = ("neural-networks", "pruning", "quantization", "xtensor", "xsimd", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"with_zlib": [True, False]}
    default_options = {
        "with_zlib": True,
        # The xtensor recipe pins an xsimd of its own when it is built on it.
        "xtensor/*:xsimd": False,
    }
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        self.requires("xtensor/0.27.1", transitive_headers=True)
        self.requires("xsimd/[>=13.2 <15]", transitive_headers=True)
        self.requires("nlohmann_json/[>=3.11 <4]", transitive_headers=True)
        if self.options.with_zlib:
            self.requires("zlib/[>=1.2.11 <2]", transitive_headers=True, transitive_libs=True)

    def package_id(self):
        # zlib is a definition of the consumer's compiler: it stays a part of the identity.
        self.info.settings.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def source(self):
        checkout = self.conf.get("user.structopt:checkout", check_type=str)
        if checkout:
            for part in ("LICENSE", "include/*", "cmake/kernels/*"):
                copy(self, part, checkout, self.source_folder)
        else:
            get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "include/*", self.source_folder, self.package_folder)
        copy(self, "cmake/kernels/*", self.source_folder, self.package_folder)

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "structopt")
        self.cpp_info.set_property("cmake_target_name", "structopt::structopt")
        # structopt_target_kernels(): run-time dispatch, see docs/dispatch.md.
        self.cpp_info.set_property(
            "cmake_build_modules", [os.path.join("cmake", "kernels", "structopt-kernels.cmake")])
        self.cpp_info.set_property("pkg_config_name", "structopt")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        if self.options.with_zlib:
            self.cpp_info.defines = ["STRUCTOPT_HAS_ZLIB=1"]
