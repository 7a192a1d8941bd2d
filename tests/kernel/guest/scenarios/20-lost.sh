# SPDX-License-Identifier: GPL-2.0-or-later
# What cannot be read is lost, exactly that, until it is written.
set -euo pipefail

# Of /tmp/a.img, which lies at 4096: all but 4660 to 4662, the rest of their block included.
neighbours_are_there() {
  head -c $((564 * 512)) /tmp/a.img >/tmp/before.img
  tail -c +$((567 * 512 + 1)) /tmp/a.img >/tmp/after.img
  same_at /dev/mapper/vol 4096 /tmp/before.img
  same_at /dev/mapper/vol 4663 /tmp/after.img
}

scenario_unreadable_sectors_are_lost_exactly() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  pattern a 1024 >/tmp/a.img
  put "$main" 4096 /tmp/a.img
  make_volume vol "$main" "$spare"
  medium_errors 2
  expect "unreadable" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  medium_errors 0
  expect "lost sectors" "$(figure vol lost_sectors)" 3
  # What could be read of the block lies on the spare now, not where others write.
  expect "remapped blocks" "$(figure vol remapped_blocks)" 1
  pattern x 8 >/tmp/x.img
  put "$main" 4656 /tmp/x.img
  neighbours_are_there
  # Lost is lost: the disk could read them again, but nobody knows what it would give.
  expect "unreadable later" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  reload_volume vol "$main" "$spare"
  expect "unreadable after reload" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  neighbours_are_there
  # A partial write into the block brings back what it wrote and nothing else.
  pattern w 1 >/tmp/w.img
  put /dev/mapper/vol 4661 /tmp/w.img 512
  same_at /dev/mapper/vol 4661 /tmp/w.img
  expect "unreadable after a write" "$(unreadable /dev/mapper/vol 4640 48)" "4660 4662 "
  pattern v 3 >/tmp/v.img
  put /dev/mapper/vol 4660 /tmp/v.img
  same_at /dev/mapper/vol 4660 /tmp/v.img
  neighbours_are_there
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

scenario_a_map_of_100000_runs_is_loaded_and_used() {
  main=$(null_disk m 1024) spare=$(null_disk s 480)
  map_image vol "$main" "$spare" 100000
  start_volume vol "$main" "$spare"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 100000
  expect runs "$(figure vol runs)" 100000
  # The last 200,000 of 262,144 blocks, every second of them.
  expect map "$(figure vol region_map)" "$(printf '%15s' | tr ' ' .)$(printf '%49s' | tr ' ' r)"
  pattern a 512 >/tmp/a.img
  put /dev/mapper/vol 1500000 /tmp/a.img 256k
  same_at /dev/mapper/vol 1500000 /tmp/a.img
  reload_volume vol "$main" "$spare"
  expect "remapped blocks after reload" "$(figure vol remapped_blocks)" 100000
  get /dev/mapper/vol 1500000 512 /tmp/b.img 4k
  cmp /tmp/a.img /tmp/b.img || fail "differs after reload"
  dmsetup remove vol
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}
