# SPDX-License-Identifier: GPL-2.0-or-later
# What failed is told: by the answers of mark and forget, and by the counters of requests.
set -euo pipefail

message() { # NAME WORDS ANSWER
  # shellcheck disable=SC2086
  expect "$2" "$(dmsetup message "$1" 0 $2)" "$3"
}
good_blocks() { # NAME FIRST LAST, as they were made bad
  echo "-$2-$3" >"/sys/kernel/config/nullb/$1/badblocks"
}
# NAME BLOCK...: each to the spare, so that no two that follow each other lie side by side there.
mark_each() {
  me=$1
  shift
  for block in "$@"; do dmsetup message "$me" 0 mark "$((block * 8))+8" >/tmp/mark.log; done
}

scenario_forget_tells_the_first_block_that_main_refuses() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  mark_each vol 10 12 14 16
  bad_blocks m 96 103
  bad_blocks m 128 135
  message vol "forget 80+64" "changed 2 unchanged 6 lost 0 failed 5 at 96"
  # Writes that failed may still arrive there: no second one before the next resume.
  good_blocks m 96 103
  good_blocks m 128 135
  message vol "forget 80+64" "changed 0 unchanged 8 lost 0 failed 5 at 96"
  dmsetup suspend vol
  dmsetup resume vol
  message vol "forget 80+64" "changed 2 unchanged 6 lost 0"
  message vol "forget 80+64" "changed 0 unchanged 8 lost 0"
}

scenario_mark_tells_where_the_spare_was_full() {
  main=$(null_disk m 16) spare=$(null_disk s 1)
  make_volume vol "$main" "$spare"
  pattern a 8192 >/tmp/a.img
  put /dev/mapper/vol 0 /tmp/a.img 1M
  total=$(figure vol spare_total)
  message vol "mark 0+$(((total + 1) * 8))" \
    "changed $total unchanged 1 lost 0 failed 28 at $((total * 8))"
  message vol "mark 8192+8" "changed 0 unchanged 1 lost 0 failed 28 at 8192"
  # A block that cannot move loses what cannot be read of it, and keeps the rest.
  bad_blocks m 6146 6148
  message vol "mark 6144+8" "changed 0 unchanged 1 lost 3 failed 28 at 6144"
  expect unreadable "$(unreadable /dev/mapper/vol 6136 24)" "6146 6147 6148 "
  message vol "mark 0+8" "changed 0 unchanged 1 lost 0"
  head -c $((6144 * 512)) /tmp/a.img >/tmp/x.img
  same_at /dev/mapper/vol 0 /tmp/x.img
  message vol "forget 16+8" "changed 1 unchanged 0 lost 0"
  message vol "mark 8192+8" "changed 1 unchanged 0 lost 0"
}

returned() { # NAME AT LEAST
  [ "$(figure "$1" returned_blocks)" -ge "$2" ]
}

# Blocks come home in pieces of 16 at most. Writes to main take 700 ms, so that a turn brings home a
# piece or two, and a suspend is in time to leave a rest.
scenario_an_answer_of_many_turns_keeps_the_first_failure() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  slow_disk "$main" 0 700
  make_volume vol /dev/mapper/slow "$spare"
  message vol "mark 0+4096" "changed 512 unchanged 0 lost 0"
  bad_blocks m 8 15
  bad_blocks m 264 271
  dmsetup message vol 0 forget 0+4096 >/tmp/forget.log &
  forgetting=$!
  within 60 returned vol 48
  dmsetup suspend vol
  wait $forgetting || fail "forget: $(cat /tmp/forget.log)"
  read -r _ changed _ unchanged _ lost failed </tmp/forget.log
  expect "after the losses" "${failed% *}" "failed 5 at 0 rest"
  rest=${failed##* }
  expect lost "$lost" 0
  expect "blocks before the rest" $((changed + unchanged)) $((rest / 8))
  dmsetup suspend slow
  dmsetup load slow --table "0 $(sectors_of "$main") linear $main 0"
  dmsetup resume slow
  dmsetup resume vol
  expect "blocks that failed" "$(figure vol remapped_blocks)" $((unchanged + (4096 - rest) / 8))
  message vol "forget $rest+$((4096 - rest))" "changed $(((4096 - rest) / 8)) unchanged 0 lost 0"
}

# READS WRITES of vol that were answered with an error: in sysfs, and in the message.
counted() {
  expect "failed reads $3" "$(figure vol failed_read_requests)" "$1"
  expect "failed writes $3" "$(figure vol failed_write_requests)" "$2"
  dmsetup message vol 0 stats >/tmp/stats
  for line in "failed_read_requests $1" "failed_write_requests $2"; do
    grep -qx "$line" /tmp/stats || fail "stats lacks '$line' $3: $(grep failed /tmp/stats)"
  done
}

scenario_each_failed_request_is_counted_once() {
  main=$(null_disk m 16) spare=$(null_disk s 1)
  make_volume vol "$main" "$spare"
  pattern a 128 >/tmp/a.img
  put /dev/mapper/vol 4096 /tmp/a.img
  bad_blocks m 4100 4100
  refuses get /dev/mapper/vol 4096 8 /tmp/b.img
  counted 1 0 "after the loss"
  refuses get /dev/mapper/vol 4096 8 /tmp/b.img
  counted 2 0 "of a known loss"
  # Split at the block with the lost sector; what lies around it is read.
  refuses get /dev/mapper/vol 4080 64 /tmp/b.img
  counted 3 0 "of a large request"
  expect unreadable "$(unreadable /dev/mapper/vol 4096 8)" "4100 "
  counted 4 0 "sector by sector"
  expect "reads that the engine failed" "$(figure vol failed_reads)" 1

  dmsetup message vol 0 mark "8192+$(($(figure vol spare_free) * 8))" >/tmp/mark.log
  bad_blocks m 16400 16407
  head -c 8192 /tmp/a.img >/tmp/x.img
  put /dev/mapper/vol 16384 /tmp/x.img
  counted 4 0 "without any in between"
  refuses put /dev/mapper/vol 16400 /tmp/a.img 4k
  counted 4 1 "without a free spare block"
  refuses put /dev/mapper/vol 16384 /tmp/a.img 64k
  counted 4 2 "of a large request"
  # Sixteen of the page cache, which are merged below and so fail together.
  before=$(figure vol slow_requests)
  refuses dd if=/tmp/a.img of=/dev/mapper/vol bs=64k count=1 seek=128 conv=notrunc,fsync \
    status=none
  expect "requests to recover" $(($(figure vol slow_requests) - before)) 16
  counted 4 3 "of merged ones"
  expect "failed requests" "$(figure vol failed_requests)" 7
  expect "writes that the engine failed" "$(figure vol failed_writes)" 3
}

# After a refused flush, by the volume itself. Where write-zeroes fail, the kernel writes zeros,
# which counts as well.
scenario_requests_that_are_refused_at_once_are_counted() {
  zeroing_members
  make_volume vol "$main" "$spare"
  pattern a 16 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  scsi_state "$main" offline
  refuses dd if=/dev/null of=/dev/mapper/vol count=0 conv=notrunc,fsync status=none
  scsi_state "$main" running
  counted 0 0 "of the flush"
  [ "$(figure vol failed_requests)" -ge 1 ] || fail "the flush is not counted"
  refuses put /dev/mapper/vol 800 /tmp/a.img 4k
  counted 0 1 "of a write"
  before=$(figure vol failed_requests)
  refuses blkdiscard --zeroout --offset 409600 --length 4096 /dev/mapper/vol
  counted 0 3 "of zeros"
  expect "failed requests" $(($(figure vol failed_requests) - before)) 2
  expect "requests that the engine saw" "$(figure vol slow_requests)" 0
}
