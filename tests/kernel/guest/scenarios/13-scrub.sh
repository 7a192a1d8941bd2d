# SPDX-License-Identifier: GPL-2.0-or-later
# What a scrub finds, what it takes for no bad place, and what it can be told.
set -euo pipefail

scenario_a_scrub_finds_what_nobody_has_read() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  size=$(sectors_of "$main")
  pattern a 1024 >/tmp/a.img
  put "$main" 4096 /tmp/a.img
  listen
  make_volume vol "$main" "$spare"
  medium_errors 2
  scrub start
  within 60 scrub_is idle
  medium_errors 0
  within 30 heard "^change $(disk_of vol) scrub_ended 0 0 $size 0$"
  dmsetup message vol 0 events | grep -q " scrub_ended 0 0 $size ok\$" || fail "no event"
  expect "lost sectors" "$(figure vol lost_sectors)" 3
  expect "remapped blocks" "$(figure vol remapped_blocks)" 1
  expect "reads that failed" "$(figure vol scrub_failed_reads)" 1
  expect "unreadable blocks" "$(figure vol scrub_unreadable_blocks)" 1
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" "$size"
  expect position "$(figure vol scrub_position)" "$size"
  expect "users' failed reads" "$(figure vol failed_reads)" 0
  # Nobody but the scrub has met them while the disk refused them.
  expect unreadable "$(unreadable /dev/mapper/vol 4640 48)" "4660 4661 4662 "
  head -c $((564 * 512)) /tmp/a.img >/tmp/before.img
  tail -c +$((567 * 512 + 1)) /tmp/a.img >/tmp/after.img
  same_at /dev/mapper/vol 4096 /tmp/before.img
  same_at /dev/mapper/vol 4663 /tmp/after.img

  # What is known as lost is not looked at again.
  medium_errors 2
  scrub_to_the_end
  medium_errors 0
  expect passes "$(figure vol scrub_passes)" 2
  expect "sectors passed over" "$(figure vol scrub_skipped_sectors)" 3
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" $((size - 3))
  expect "reads that failed" "$(figure vol scrub_failed_reads)" 0
  dmsetup message vol 0 stats >/tmp/stats
  for line in 'scrub_state idle' "scrub_position $size" 'scrub_passes 2' \
    "scrub_read_sectors $((size - 3))" 'scrub_skipped_sectors 3' 'scrub_failed_reads 0' \
    'scrub_unreadable_blocks 0' 'scrub_kib_per_s 16777216'; do
    grep -qx "$line" /tmp/stats || fail "stats lacks '$line': $(grep scrub /tmp/stats)"
  done
}

# One pass after the other, while the bad blocks are written and read.
scenario_a_scrub_beside_verified_load() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 5000 5100
  bad_blocks m 40001 40002
  scrub rate 16777216
  fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bs=4k --size=8m --loops=3 \
    --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --verify_fatal=1 \
    --minimal >/tmp/fio.log &
  load=$!
  while kill -0 $load 2>/dev/null; do
    scrub start
    sleep 0.2
  done
  wait $load || fail "fio: $(cat /tmp/fio.log)"
  within 60 scrub_is idle
  [ "$(figure vol scrub_passes)" -ge 2 ] || fail "only $(figure vol scrub_passes) passes"
  expect "lost sectors" "$(figure vol lost_sectors)" 2
  expect "remapped blocks" "$(figure vol remapped_blocks)" 14
  expect unreadable "$(unreadable /dev/mapper/vol 39992 16)" "40001 40002 "
}

scenario_a_device_that_is_gone_pauses_the_scrub_and_marks_nothing() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  size=$(sectors_of "$main")
  switchable sw "$main"
  listen
  make_volume vol /dev/mapper/sw "$spare"
  echo 500 >"$(folder_of vol)/breaker_rest_ms"
  scrub_slowly
  pull_cable sw
  scrub start # its rest is over
  within 60 scrub_is paused
  at=$(figure vol scrub_position)
  [ "$at" -lt "$size" ] || fail "it has read what is not there"
  within 30 heard "^change $(disk_of vol) scrub_paused 0 $at 0 0$"
  dmsetup message vol 0 events | grep -q " scrub_paused 0 $at 0 " || fail "no event"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
  expect "lost sectors" "$(figure vol lost_sectors)" 0
  expect "unreadable blocks" "$(figure vol scrub_unreadable_blocks)" 0
  plug_cable sw "$main"
  # Nor does a resume take that for its own suspend's.
  dmsetup suspend vol
  dmsetup resume vol
  scrub_is paused || fail "the scrub is $(figure vol scrub_state)"
  expect position "$(figure vol scrub_position)" "$at"
  scrub_to_the_end
  expect passes "$(figure vol scrub_passes)" 1
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" "$size"
  expect "lost sectors in the end" "$(figure vol lost_sectors)" 0
}

scenario_orders_of_a_scrub_and_its_rate() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  size=$(sectors_of "$main")
  make_volume vol "$main" "$spare"
  rate=$(folder_of vol)/scrub_kib_per_s
  for words in "" nonsense pause "pause 1" "stop 1" "start x" "start 1+1" "start $size" \
    "start 0 0" "start 99999999999999999999" rate "rate x" "rate 1x" "rate 64 64"; do
    # shellcheck disable=SC2086
    refuses dmsetup message vol 0 scrub $words
    grep -q 'Invalid argument' /tmp/refused || fail "scrub $words: $(cat /tmp/refused)"
  done
  expect rate "$(cat "$rate")" 32768
  for value in 0 63 16777217 18446744073709551615; do
    refuses dmsetup message vol 0 scrub rate $value
    grep -q 'out of range' /tmp/refused || fail "rate $value: $(cat /tmp/refused)"
    if echo $value 2>/dev/null >"$rate"; then fail "the file takes $value"; fi
  done
  expect rate "$(cat "$rate")" 32768
  scrub rate 64
  expect "the message's rate" "$(cat "$rate")" 64
  echo 16777216 >"$rate"
  dmsetup message vol 0 stats | grep -qx 'scrub_kib_per_s 16777216' || fail "the file's rate"
  scrub rate 64
  dmsetup suspend vol
  dmsetup resume vol
  expect "rate after a resume" "$(cat "$rate")" 64

  scrub start $((size - 4096))
  within 30 scrub_has_read 2048
  # It keeps to that rate, and a second start begins nothing.
  expect position "$(figure vol scrub_position)" $((size - 2048))
  scrub pause
  scrub pause
  scrub_is paused || fail "the scrub is $(figure vol scrub_state)"
  scrub start 0
  within 30 scrub_is idle
  expect position "$(figure vol scrub_position)" "$size"
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" 4096
  expect passes "$(figure vol scrub_passes)" 1
  scrub stop
  expect "passes after a stop" "$(figure vol scrub_passes)" 1
  expect "lost sectors" "$(figure vol lost_sectors)" 0
}
