# Cross-compiling for 64-bit ARM: cmake -DCMAKE_TOOLCHAIN_FILE=.ci/aarch64-linux.cmake -DCALCO_SYSROOT=... (docs/other-hosts.md)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CALCO_SYSROOT "" CACHE PATH "Debian arm64 packages, as .ci/arm64-sysroot makes them")
# try_compile() reads this file anew.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CALCO_SYSROOT)
set(CMAKE_SYSROOT ${CALCO_SYSROOT})

set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -fuse-ld=lld)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -fuse-ld=lld)

set(CMAKE_FIND_ROOT_PATH ${CALCO_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CALCO_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CALCO_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CALCO_SYSROOT}/usr/share/pkgconfig)

# What the build itself executes, and the tests.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${CALCO_SYSROOT})
