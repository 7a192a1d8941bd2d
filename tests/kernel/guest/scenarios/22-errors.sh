# SPDX-License-Identifier: GPL-2.0-or-later
# Errors of each class that Debian's own drivers can give, in both directions. Of medium errors,
# files 11, 20 and 21 have more; here is what must not mark anything.
set -euo pipefail

scsi_injects() { # OPTS: into every command; 0 for none. It wants a delay for that.
  echo $(($1 != 0)) >/sys/bus/pseudo/drivers/scsi_debug/delay
  echo "$1" >/sys/bus/pseudo/drivers/scsi_debug/opts
  echo $(($1 != 0)) >/sys/bus/pseudo/drivers/scsi_debug/every_nth
}
tune() { # NAME LIMIT VALUE...
  tn=$1
  shift
  while [ $# -gt 0 ]; do
    echo "$2" >"$(folder_of "$tn")/$1"
    shift 2
  done
}
nothing_is_marked() { # NAME
  expect "remapped blocks" "$(figure "$1" remapped_blocks)" 0
  expect "lost sectors" "$(figure "$1" lost_sectors)" 0
}

# Each write: DATA PROTECT, which the kernel makes a target error, as of a worn-out disk.
scenario_a_disk_that_turns_read_only_marks_nothing() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  tune vol breaker_rest_ms 500
  pattern a 16 >/tmp/a.img
  pattern b 16 >/tmp/b.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  echo 1 >/sys/module/scsi_debug/parameters/wp
  refuses put /dev/mapper/vol 800 /tmp/b.img 4k
  refuses put /dev/mapper/vol 9000 /tmp/b.img 4k
  same_at /dev/mapper/vol 800 /tmp/a.img
  nothing_is_marked vol
  [ "$(figure vol write_errors_unspecified)" -ge 1 ] || fail "no error is counted"
  echo 0 >/sys/module/scsi_debug/parameters/wp
  within 30 put /dev/mapper/vol 800 /tmp/b.img 4k 2>/tmp/tries
  same_at /dev/mapper/vol 800 /tmp/b.img
  nothing_is_marked vol
}

# Commands that end with a transport problem, that only an abort ends, and that recovered.
scenario_trouble_on_the_way_to_a_disk_marks_nothing() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  tune vol breaker_rest_ms 500 read_attempts 1 write_attempts 1 probes 1 device_timeout_ms 1000
  pattern a 16 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  scsi_injects 16
  refuses get /dev/mapper/vol 800 8 /tmp/b.img
  refuses put /dev/mapper/vol 800 /tmp/a.img 4k
  scsi_injects 0
  nothing_is_marked vol
  within 30 get /dev/mapper/vol 800 16 /tmp/b.img 2>/tmp/tries
  cmp /tmp/a.img /tmp/b.img || fail "differs afterwards"

  echo 1 >"/sys/block/$(basename "$main")/device/timeout"
  for file in /sys/class/scsi_disk/*/max_retries; do echo 0 >"$file"; done
  scsi_injects 4
  refuses get /dev/mapper/vol 800 8 /tmp/b.img
  refuses put /dev/mapper/vol 800 /tmp/a.img 8k
  scsi_injects 0
  nothing_is_marked vol
  [ "$(figure vol read_errors_device)" -ge 1 ] || fail "no timeout is counted"
  within 30 get /dev/mapper/vol 800 16 /tmp/b.img 2>/tmp/tries
  cmp /tmp/a.img /tmp/b.img || fail "differs afterwards"

  before=$(figure vol slow_requests)
  scsi_injects 8
  same_at /dev/mapper/vol 800 /tmp/a.img
  scsi_injects 0
  expect "slow requests" "$(figure vol slow_requests)" "$before"
  put /dev/mapper/vol 800 /tmp/a.img 4k
  nothing_is_marked vol
}

scenario_a_disk_that_refuses_all_writes_marks_nothing() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  dmsetup create flaky --table "0 $(sectors_of "$main") linear $main 0"
  make_volume vol /dev/mapper/flaky "$spare"
  tune vol breaker_rest_ms 500
  pattern a 16 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  modprobe dm-flakey
  for table in "flakey $main 0 0 3600 1 error_writes" "linear $main 0"; do
    dmsetup suspend --nolockfs flaky
    dmsetup load flaky --table "0 $(sectors_of "$main") $table"
    dmsetup resume flaky
    if [ "${table%% *}" = flakey ]; then
      refuses put /dev/mapper/vol 800 /tmp/a.img 4k
      same_at /dev/mapper/vol 800 /tmp/a.img
      nothing_is_marked vol
    fi
  done
  within 30 put /dev/mapper/vol 800 /tmp/a.img 4k 2>/tmp/tries
  nothing_is_marked vol
}

# A loop device on a file with holes, on a filesystem that is full: the disk below has no room.
scenario_no_space_below_marks_nothing() {
  modprobe loop
  modprobe ext4
  disk=$(null_disk d 24) spare=$(null_disk s 8)
  mkfs.ext4 -q -F "$disk"
  mount -t ext4 "$disk" /mnt
  truncate -s 16M /mnt/main
  main=$(losetup --find --show --direct-io=on /mnt/main)
  trap 'dmsetup remove vol; losetup -d "$main"; umount /mnt' EXIT
  make_volume vol "$main" "$spare"
  tune vol breaker_rest_ms 500
  pattern a 16 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  dd if=/dev/zero of=/mnt/rest bs=64k conv=fsync status=none 2>/dev/null || true
  refuses put /dev/mapper/vol 9000 /tmp/a.img 4k
  same_at /dev/mapper/vol 800 /tmp/a.img
  nothing_is_marked vol
  [ "$(figure vol write_errors_device)" -ge 1 ] || fail "no error is counted"
  rm /mnt/rest
  sync
  within 30 put /dev/mapper/vol 9000 /tmp/a.img 4k 2>/tmp/tries
  same_at /dev/mapper/vol 9000 /tmp/a.img
  nothing_is_marked vol
}
