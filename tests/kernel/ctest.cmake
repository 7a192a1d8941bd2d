# SPDX-License-Identifier: GPL-2.0-or-later
# `make test` sets `top` to the folder of the sources, `headers` to the kernel's build folder, and
# includes this for the virtual machine's folder. Each boot is an entry; each scenario is one, too,
# which looks up what became of it there. The others install the module, somewhere else.
foreach(boot 1 2 3 4)
  set(results "${top}/build/kernel-vm/results-${boot}")
  add_test(kernel_boot_${boot} "${top}/tests/kernel/run" --results "${results}" boot-${boot})
  set_tests_properties(kernel_boot_${boot} PROPERTIES LABELS kernel TIMEOUT 1200)
  file(GLOB files "${top}/tests/kernel/guest/scenarios/${boot}*.sh")
  foreach(file ${files})
    file(STRINGS "${file}" lines REGEX "^scenario_[a-z0-9_]+\\(\\)")
    foreach(line ${lines})
      string(REGEX REPLACE "^scenario_([a-z0-9_]+).*" "\\1" name "${line}")
      add_test(kernel_${name} "${top}/tests/kernel/result" "${results}" "${name}")
      set_tests_properties(kernel_${name} PROPERTIES LABELS kernel DEPENDS kernel_boot_${boot})
    endforeach()
  endforeach()
endforeach()
add_test(kernel_install "${top}/tests/kernel/check-install" "${headers}"
         "${top}/build/kernel-vm/image" "${top}/build/kernel-vm/installed")
add_test(kernel_package_dkms bash -c "'${top}/tests/kernel/check-package' --stub \
  \"$('${top}/scripts/kernel-package' '${top}/build/kernel-vm/package')\" '${headers}'")
set_tests_properties(kernel_install kernel_package_dkms PROPERTIES LABELS kernel)
