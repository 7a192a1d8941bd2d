# SPDX-License-Identifier: GPL-2.0-or-later
# Language level, warnings, optimisation and sanitizers: the same for every target.
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# No -DNDEBUG anywhere: a broken invariant must stop the program before it reaches a disk.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g -D_GLIBCXX_ASSERTIONS")
# For the sanitizer builds: fast enough for the whole suite, stack traces still readable.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -gline-tables-only -fno-omit-frame-pointer")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1 -fno-omit-frame-pointer")
endif()

# dmr_cold(TARGET): mostly large headers of libraries. The sanitizer builds, which only tests use,
# do without optimising it: that takes them longer than the tests would save by it.
function(dmr_cold target)
  if(DMR_SANITIZER MATCHES "^(address|thread)$")
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

add_library(dmr_warnings INTERFACE)
target_compile_options(dmr_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105651: std::string's operator+ is said to overlap itself.
  target_compile_options(dmr_warnings INTERFACE -Wno-restrict)
  # At -O0 it takes a coroutine's own operator delete for a mismatch of its operator new.
  target_compile_options(dmr_warnings INTERFACE -Wno-mismatched-new-delete)
endif()
# Includes are rooted at the repository ("core/base/types.h"), generated ones at "generated/".
target_include_directories(dmr_warnings INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")

if(DMR_SANITIZER STREQUAL "address")
  # `vptr` needs the type information that the engine is built without.
  set(sanitize -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
elseif(DMR_SANITIZER STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(DMR_SANITIZER STREQUAL "fuzzer")
  # The sanitizers of `address`, and the counters that libFuzzer steers by.
  set(sanitize -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize=vptr
      -fno-sanitize-recover=all)
elseif(DMR_SANITIZER STREQUAL "coverage")
  # No sanitizer: counters of the source's own regions and branches, for llvm-cov.
  set(sanitize -fprofile-instr-generate -fcoverage-mapping)
elseif(NOT DMR_SANITIZER STREQUAL "")
  message(FATAL_ERROR "DMR_SANITIZER is `${DMR_SANITIZER}`; it may be empty, `address`, `thread`, "
                      "`fuzzer` or `coverage`")
endif()
if(DEFINED sanitize)
  add_compile_options(${sanitize})
  add_link_options(${sanitize})
  add_compile_definitions(DMR_SANITIZER_${DMR_SANITIZER} _GLIBCXX_ASSERTIONS)
endif()
