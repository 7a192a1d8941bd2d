# SPDX-License-Identifier: GPL-2.0-or-later
# Libraries that the folders link. scripts/install-packages lists the Debian packages they are in.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

find_package(PkgConfig REQUIRED)
pkg_check_modules(liburing REQUIRED IMPORTED_TARGET GLOBAL liburing>=2.3)
pkg_check_modules(fuse3 REQUIRED IMPORTED_TARGET GLOBAL fuse3>=3.14)
pkg_check_modules(devmapper REQUIRED IMPORTED_TARGET GLOBAL devmapper)
pkg_check_modules(blkid REQUIRED IMPORTED_TARGET GLOBAL blkid)
pkg_check_modules(libudev REQUIRED IMPORTED_TARGET GLOBAL libudev)
pkg_check_modules(libsystemd REQUIRED IMPORTED_TARGET GLOBAL libsystemd)

if(DMR_TESTS)
  find_package(GTest REQUIRED)
  pkg_check_modules(libnbd REQUIRED IMPORTED_TARGET GLOBAL libnbd)
endif()
if(DMR_BENCH)
  find_package(benchmark REQUIRED)
  find_package(absl REQUIRED)
endif()

# Debian's own Python: modules from packages (nbd) are not seen by another one in $PATH.
set(Python3_EXECUTABLE /usr/bin/python3 CACHE FILEPATH "The Python that runs checks and tests")
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
