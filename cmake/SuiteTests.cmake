# SPDX-License-Identifier: GPL-2.0-or-later
# Run once a test program is built: writes OUT, which registers one ctest entry for each suite of
# PROGRAM, and for each test of a parameterised suite, whose tests are long. PREFIX goes before
# their names, PROPERTIES (a list of words) to each; they run in FOLDER.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND "${PROGRAM}" --gtest_list_tests OUTPUT_VARIABLE listing TIMEOUT 120
                COMMAND_ERROR_IS_FATAL ANY)
# What a parameter looks like may hold anything, brackets included, which would join lines.
string(REGEX REPLACE " +#[^\n]*" "" listing "${listing}")
string(REGEX REPLACE "[][;]" "" listing "${listing}")
string(REPLACE "\n" ";" lines "${listing}")
set(filters "")
set(suite "")
foreach(line IN LISTS lines)
  if(line MATCHES "^([A-Za-z0-9_/]+)\\.")
    set(suite "${CMAKE_MATCH_1}")
    if(NOT suite MATCHES "/")
      list(APPEND filters "${suite}.*")
    endif()
  elseif(suite MATCHES "/" AND line MATCHES "^  ([A-Za-z0-9_/]+)")
    list(APPEND filters "${suite}.${CMAKE_MATCH_1}")
  endif()
endforeach()
list(LENGTH filters count)
if(count EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} lists no tests")
endif()
string(REPLACE ";" " " properties "${PROPERTIES}")
set(text "")
foreach(filter IN LISTS filters)
  string(REGEX REPLACE "\\.\\*$" "" name "${PREFIX}${filter}")
  string(APPEND text "add_test([[${name}]] [[${PROGRAM}]] [[--gtest_filter=${filter}]])\n"
         "set_tests_properties([[${name}]] PROPERTIES WORKING_DIRECTORY [[${FOLDER}]]\n"
         "  FAIL_REGULAR_EXPRESSION [[0 tests from 0 test suites]] ${properties})\n")
endforeach()
file(WRITE "${OUT}" "${text}")
