# SPDX-License-Identifier: GPL-2.0-or-later
# How tests are registered, so that one ctest run shows those of all builds under distinct names.
enable_testing()
include(GoogleTest)

set(DMR_TEST_PREFIX "")
if(NOT DMR_SANITIZER STREQUAL "")
  set(DMR_TEST_PREFIX "${DMR_SANITIZER}/")
endif()

# dmr_add_tests(TARGET [gtest_discover_tests options]): one ctest entry for each test of a
# GoogleTest executable.
function(dmr_add_tests target)
  # A test's own code is many short functions, each run once: optimising them takes longer.
  if(NOT DMR_SANITIZER STREQUAL "")
    target_compile_options(${target} PRIVATE -O0)
  elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
  # The one large header that each of its files needs.
  target_precompile_headers(${target} PRIVATE <gtest/gtest.h>)
  gtest_discover_tests(${target} TEST_PREFIX "${DMR_TEST_PREFIX}" DISCOVERY_TIMEOUT 120 ${ARGN})
endfunction()
