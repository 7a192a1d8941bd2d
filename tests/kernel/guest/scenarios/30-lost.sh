# SPDX-License-Identifier: GPL-2.0-or-later
# What cannot be read is lost, exactly that, until it is written.
set -euo pipefail

# 16 MiB with unreadable sectors 4660 to 4662: real sense data.
medium_error_disk() {
  modprobe sd_mod
  modprobe scsi_debug dev_size_mb=16 opts=0 delay=0 medium_error_start=4660 medium_error_count=3
  for try in $(seq 50); do
    disk=$(ls /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block 2>/dev/null) &&
      [ -b "/dev/$disk" ] && break
    sleep 0.1
  done
  echo "/dev/$disk"
}
medium_errors() { echo "$1" >/sys/bus/pseudo/drivers/scsi_debug/opts; } # 2: on, 0: off

scenario_unreadable_sectors_are_lost_exactly() {
  main=$(medium_error_disk) spare=$(null_disk s 8)
  pattern a 1024 >/tmp/a.img
  put "$main" 4096 /tmp/a.img
  make_volume vol "$main" "$spare"
  medium_errors 2
  expect "unreadable" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  medium_errors 0
  expect "lost sectors" "$(figure vol lost_sectors)" 3
  # Lost is lost: the disk could read them again, but nobody knows what it would give.
  expect "unreadable later" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  reload_volume vol "$main" "$spare"
  expect "unreadable after reload" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  get /dev/mapper/vol 4096 512 /tmp/b.img
  cmp -n $((512 * 512)) /tmp/a.img /tmp/b.img || fail "neighbours differ"
  # A partial write into the block brings back what it wrote and nothing else.
  pattern w 1 >/tmp/w.img
  put /dev/mapper/vol 4661 /tmp/w.img 512
  same_at /dev/mapper/vol 4661 /tmp/w.img
  expect "unreadable after a write" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4662 "
  pattern v 3 >/tmp/v.img
  put /dev/mapper/vol 4660 /tmp/v.img
  same_at /dev/mapper/vol 4660 /tmp/v.img
  expect "lost sectors in the end" "$(figure vol lost_sectors)" 0
}

scenario_marked_blocks_come_home_again() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  pattern a 2048 >/tmp/a.img
  put /dev/mapper/vol 0 /tmp/a.img
  dmsetup message vol 0 mark 80+800 | grep -q '^changed 100 ' || fail "mark"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 100
  same_at /dev/mapper/vol 0 /tmp/a.img
  dmsetup message vol 0 map >/tmp/map.log
  grep -q '^10 100 1 ' /tmp/map.log || fail "map: $(cat /tmp/map.log)"
  dmsetup message vol 0 forget 80+800 | grep -q '^changed 100 ' || fail "forget"
  expect "remapped blocks after forget" "$(figure vol remapped_blocks)" 0
  same_at /dev/mapper/vol 0 /tmp/a.img
  same_at "$main" 0 /tmp/a.img
}
