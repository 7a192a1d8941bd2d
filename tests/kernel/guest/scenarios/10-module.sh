# SPDX-License-Identifier: GPL-2.0-or-later
# The module itself: it comes, it goes, and a table loads it.
set -euo pipefail

scenario_module_loads_and_unloads() {
  for round in 1 2 3; do
    modprobe dm_remap
    dmsetup targets | grep -q '^remap  *v1' || fail "the target is not registered"
    rmmod dm_remap
  done
}

scenario_module_loads_on_demand() {
  main=$(null_disk m 8) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  [ -d /sys/module/dm_remap ] || fail "not loaded"
}
