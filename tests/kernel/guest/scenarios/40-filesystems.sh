# SPDX-License-Identifier: GPL-2.0-or-later
# Filesystems on failing disks.
set -euo pipefail

fill_filesystem() { # FOLDER: 60 files with a list of their sums
  for n in $(seq 60); do
    pattern "$n" $((n * 7 + 1)) >"$1/file$n"
  done
  (cd "$1" && md5sum file* >sums)
}
check_files() { # FOLDER
  (cd "$1" && md5sum -c sums >/tmp/sums.log) || fail "$(grep -v OK /tmp/sums.log)"
}
scatter_bad_blocks() { # NAME FIRST LAST STEP
  sb=$2
  while [ "$sb" -lt "$3" ]; do
    bad_blocks "$1" "$sb" $((sb + 20))
    sb=$((sb + $4))
  done
}

scenario_ext4_full_of_files_on_a_failing_disk() {
  main=$(null_disk m 48) spare=$(null_disk s 16)
  make_volume vol "$main" "$spare"
  mkfs.ext4 -q -F /dev/mapper/vol
  scatter_bad_blocks m 2500 90000 1700
  modprobe ext4
  mount -t ext4 /dev/mapper/vol /mnt
  fill_filesystem /mnt
  sync
  umount /mnt
  e2fsck -f -n /dev/mapper/vol
  [ "$(figure vol remapped_blocks)" -gt 0 ] || fail "no block was remapped"
  dmsetup remove vol
  start_volume vol "$main" "$spare"
  mount -t ext4 /dev/mapper/vol /mnt
  check_files /mnt
  umount /mnt
}

scenario_xfs_full_of_files_on_a_failing_disk() {
  main=$(null_disk m 320) spare=$(null_disk s 16)
  make_volume vol "$main" "$spare"
  mkfs.xfs -q -f /dev/mapper/vol
  modprobe xfs
  mount -t xfs /dev/mapper/vol /mnt
  # The first allocation group: that is where the first files go.
  scatter_bad_blocks m 2500 40000 700
  fill_filesystem /mnt
  sync
  umount /mnt
  xfs_repair -n /dev/mapper/vol >/tmp/repair.log 2>&1 || fail "$(tail -5 /tmp/repair.log)"
  [ "$(figure vol remapped_blocks)" -gt 0 ] || fail "no block was remapped"
  dmsetup remove vol
  start_volume vol "$main" "$spare"
  mount -t xfs /dev/mapper/vol /mnt
  check_files /mnt
  umount /mnt
}

scanned() { # pages that were looked at because memory was short
  awk '/^pgscan_(kswapd|direct) / {n += $2} END {print n + 0}' /proc/vmstat
}
# Hardly any memory is left. Where allocations can be made to fail, most of those do that may not
# wait: KASAN, which is there then, makes so much of its own that what is left is never short.
memory_gets_short() {
  if can_fail_allocations; then
    most_hasty_allocations_fail
    return
  fi
  free_kib=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
  mkdir -p /run/full
  mount -t tmpfs -o size=100% tmpfs /run/full
  fallocate -l $((free_kib / 1024 - 32))M /run/full/ballast
  before=$(scanned)
}
memory_is_enough() { # again; and it was short
  if can_fail_allocations; then
    failed=$(memory_is_back)
    [ "$failed" -ge 1000 ] || fail "only $failed allocations failed"
    return
  fi
  [ "$(scanned)" -gt "$before" ] || fail "memory was never short"
  rm /run/full/ballast
  umount /run/full
}

# Write-back that must go through recovery while memory is short.
scenario_recovery_goes_on_when_memory_is_short() {
  main=$(null_disk m 48) spare=$(null_disk s 16)
  # The disks' own memory first: a RAM disk that gets none fails, which is not the point.
  dd if=/dev/zero of="$main" bs=1M oflag=direct status=none 2>/dev/null || true
  dd if=/dev/zero of="$spare" bs=1M oflag=direct status=none 2>/dev/null || true
  make_volume vol "$main" "$spare"
  mkfs.ext4 -q -F /dev/mapper/vol
  scatter_bad_blocks m 2500 90000 1700
  modprobe ext4
  mount -t ext4 /dev/mapper/vol /mnt
  memory_gets_short
  fill_filesystem /mnt
  dd if=/dev/zero of=/mnt/large bs=1M count=24 conv=fsync status=none
  rm /mnt/large
  sync
  memory_is_enough
  [ "$(figure vol remapped_blocks)" -gt 0 ] || fail "no block was remapped"
  expect "failed writes" "$(figure vol failed_writes)" 0
  echo 3 >/proc/sys/vm/drop_caches
  check_files /mnt
  umount /mnt
}
