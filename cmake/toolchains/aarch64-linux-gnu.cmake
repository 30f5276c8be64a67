# Builds for 64-bit Arm with Debian's g++-aarch64-linux-gnu; tests run under qemu-user. Give the libraries in
# CMAKE_PREFIX_PATH: the headers of the machine itself are for another architecture.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;/usr/aarch64-linux-gnu")
