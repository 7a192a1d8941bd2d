# SPDX-License-Identifier: GPL-2.0-or-later
# How tests are registered, so that one ctest run shows those of all builds under distinct names.
enable_testing()
include(GoogleTest)

set(DMR_TEST_PREFIX "")
if(NOT DMR_SANITIZER STREQUAL "")
  set(DMR_TEST_PREFIX "${DMR_SANITIZER}/")
endif()

# dmr_add_tests(TARGET [TIMEOUT seconds] [PROPERTIES ...]): one ctest entry for each test of a
# GoogleTest executable. Under a sanitizer one for each suite that is not parameterised, with the
# limit of time that the whole run has: to start a process takes it longer than most tests.
function(dmr_add_tests target)
  cmake_parse_arguments(arg "" "TIMEOUT" "PROPERTIES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "dmr_add_tests(${target}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  # A test's own code is many short functions, each run once: optimising them takes longer.
  if(NOT DMR_SANITIZER STREQUAL "")
    target_compile_options(${target} PRIVATE -O0)
  elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(${target} PRIVATE -O1)
  endif()
  # The one large header that each of its files needs.
  target_precompile_headers(${target} PRIVATE <gtest/gtest.h>)
  if(NOT DMR_SANITIZER STREQUAL "")
    dmr_discover_suites(${target} ${arg_PROPERTIES})
    return()
  endif()
  if(arg_TIMEOUT)
    list(APPEND arg_PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
  if(arg_PROPERTIES)
    list(PREPEND arg_PROPERTIES PROPERTIES)
  endif()
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 120 ${arg_PROPERTIES})
endfunction()

# As gtest_discover_tests, with SuiteTests.cmake. Two programs may have a suite of one name.
function(dmr_discover_suites target)
  set(listed "${CMAKE_CURRENT_BINARY_DIR}/${target}_suites.cmake")
  set(script "${PROJECT_SOURCE_DIR}/cmake/SuiteTests.cmake")
  add_custom_command(TARGET ${target} POST_BUILD BYPRODUCTS "${listed}" VERBATIM
    COMMAND "${CMAKE_COMMAND}" -D "PROGRAM=$<TARGET_FILE:${target}>" -D "OUT=${listed}"
            -D "FOLDER=${CMAKE_CURRENT_BINARY_DIR}" -D "PREFIX=${DMR_TEST_PREFIX}${target}/"
            -D "PROPERTIES=${ARGN}" -P "${script}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${script}")
  set(include "${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake")
  file(WRITE "${include}" "if(EXISTS [[${listed}]])\n  include([[${listed}]])\nelse()\n"
       "  add_test([[${DMR_TEST_PREFIX}${target}_NOT_BUILT]] NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include}")
endfunction()
