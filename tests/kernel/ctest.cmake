# SPDX-License-Identifier: GPL-2.0-or-later
# `make test` puts this file beside the virtual machine's files as their CTestTestfile.cmake: one
# entry a boot. Two machines at once would only slow each other down.
get_filename_component(top "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
foreach(boot 1 2 3 4)
  add_test(kernel_boot_${boot} "${top}/tests/kernel/run" boot-${boot})
  set_tests_properties(kernel_boot_${boot} PROPERTIES
    LABELS kernel PROCESSORS 2 RESOURCE_LOCK kernel_vm TIMEOUT 900)
endforeach()
