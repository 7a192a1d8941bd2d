# SPDX-License-Identifier: GPL-2.0-or-later
# What is written is read back: on good disks, on refused blocks, over reloads.
set -euo pipefail

scenario_healthy_io_takes_the_fast_path() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  fio --name=healthy --filename=/dev/mapper/vol --rw=randwrite --bs=4k --size=16m --direct=1 \
    --ioengine=libaio --iodepth=16 --verify=crc32c --do_verify=1 --minimal >/tmp/fio.log
  expect "slow requests" "$(figure vol slow_requests)" 0
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
  [ "$(figure vol fast_requests)" -gt 8000 ] || fail "fast requests are not counted"
  pattern a 2048 >/tmp/a.img
  put /dev/mapper/vol 4096 /tmp/a.img 1M
  same_at /dev/mapper/vol 4096 /tmp/a.img
  same_at "$main" 4096 /tmp/a.img
}

scenario_write_to_bad_blocks_is_transparent_and_survives() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 1000 1015
  bad_blocks m 5001 5001
  bad_blocks m 6000 6127
  pattern a 8192 >/tmp/a.img
  put /dev/mapper/vol 0 /tmp/a.img 64k
  same_at /dev/mapper/vol 0 /tmp/a.img
  # 1000-1015 are two blocks of 8 sectors, 5001 lies in one, 6000-6127 are 16.
  expect "remapped blocks" "$(figure vol remapped_blocks)" 19
  expect "lost sectors" "$(figure vol lost_sectors)" 0
  reload_volume vol "$main" "$spare"
  expect "remapped blocks after reload" "$(figure vol remapped_blocks)" 19
  get /dev/mapper/vol 0 8192 /tmp/b.img 1M
  cmp /tmp/a.img /tmp/b.img
  dmsetup remove vol
  rmmod dm_remap
  start_volume vol "$main" "$spare"
  get /dev/mapper/vol 0 8192 /tmp/b.img 4k
  cmp /tmp/a.img /tmp/b.img
  # Main's blocks, spare's, and one that turns bad now, in requests that are as large as they come.
  bad_blocks m 3000 3007
  pattern b 8192 >/tmp/b.img
  put /dev/mapper/vol 0 /tmp/b.img 1M
  same_at /dev/mapper/vol 0 /tmp/b.img
  expect "remapped blocks after large writes" "$(figure vol remapped_blocks)" 20
  dmsetup remove vol
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}

scenario_new_content_of_remapped_blocks_is_read_back() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 2000 2063
  for seed in a b c; do
    pattern $seed 512 >/tmp/x.img
    put /dev/mapper/vol 1896 /tmp/x.img 128k
    same_at /dev/mapper/vol 1896 /tmp/x.img
  done
  expect "remapped blocks" "$(figure vol remapped_blocks)" 8
}

# The page cache writes 4 KiB each, which are merged below us and so fail together.
scenario_merged_requests_remap_bad_blocks_only() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 2000 2063
  pattern a 1024 >/tmp/a.img
  dd if=/tmp/a.img of=/dev/mapper/vol bs=64k seek=14 conv=notrunc,fsync status=none
  same_at /dev/mapper/vol 1792 /tmp/a.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 8
}

# Main's answers take half a second, so that all eight have failed before the first is recovered.
scenario_eight_writers_hit_the_same_bad_block() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  slow_disk "$main" 0 500
  make_volume vol /dev/mapper/slow "$spare"
  bad_blocks m 4096 4103
  for n in 1 2 3 4 5 6 7 8; do
    sectors fill /dev/mapper/vol 4096 8 "$n" >"/tmp/taken$n" &
  done
  wait
  expect "sectors that were taken" "$(cat /tmp/taken[1-8] | tr '\n' ' ')" "8 8 8 8 8 8 8 8 "
  expect "slow requests" "$(figure vol slow_requests)" 8
  # One of them was the last: the block is wholly its.
  get /dev/mapper/vol 4096 8 /tmp/b.img
  read -r _ seed _ </tmp/b.img
  pattern "$seed" 8 >/tmp/x.img
  cmp /tmp/x.img /tmp/b.img || fail "a mixture"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 1
  expect "spare blocks used" "$(figure vol spare_used)" 1

  # And many times on its new home.
  {
    printf '[global]\nfilename=/dev/mapper/vol\nrw=write\nbs=4k\noffset=2m\nsize=4k\nloops=8\n'
    printf 'direct=1\nioengine=libaio\niodepth=1\n'
    for n in 1 2 3 4 5 6 7 8; do printf '[%s]\nbuffer_pattern=0xa%s\n' "w$n" "$n"; done
  } >/tmp/same.fio
  fio --minimal /tmp/same.fio >/tmp/fio.log
  get /dev/mapper/vol 4096 8 /tmp/b.img
  bytes=$(od -A n -v -t x1 -w1 /tmp/b.img | sort -u | tr -d '\n')
  case $bytes in
    " a"[1-8]) ;;
    *) fail "a mixture:$bytes" ;;
  esac
  expect "spare blocks used later" "$(figure vol spare_used)" 1
}

scenario_eight_jobs_of_verified_load_on_bad_blocks() {
  main=$(null_disk m 64) spare=$(null_disk s 16)
  make_volume vol "$main" "$spare"
  at=3000
  while [ $at -lt 98304 ]; do
    bad_blocks m $at $((at + 11))
    at=$((at + 2999))
  done
  fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bsrange=4k-64k --size=6m \
    --offset_increment=6m --numjobs=8 --direct=1 --ioengine=libaio --iodepth=4 \
    --verify=crc32c --do_verify=1 --verify_fatal=1 --group_reporting --minimal >/tmp/fio.log
  [ "$(figure vol remapped_blocks)" -gt 30 ] || fail "only $(figure vol remapped_blocks)"
  expect "lost sectors" "$(figure vol lost_sectors)" 0
}

scenario_errors_appear_under_eight_jobs_of_verified_load() {
  main=$(null_disk m 64) spare=$(null_disk s 16)
  make_volume vol "$main" "$spare"
  fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bsrange=4k-64k --size=4m \
    --offset_increment=8m --numjobs=8 --direct=1 --ioengine=libaio --iodepth=4 --loops=2 \
    --verify=crc32c --do_verify=1 --verify_fatal=1 --continue_on_error=read \
    --group_reporting --minimal >/tmp/fio.log 2>&1 &
  load=$!
  at=100
  while kill -0 $load 2>/dev/null && [ $at -lt 131072 ]; do
    bad_blocks m $at $((at + 7))
    at=$((at + 1511))
  done
  # A sector that turns bad between its write and its verification is lost, and read as an error,
  # over which fio goes on; nothing may ever be read that is wrong, and no write may fail.
  wait $load || fail "fio: $(tail -20 /tmp/fio.log)"
  if grep -qiE 'verify failed|verify: bad|bad magic|mismatch|error: write' /tmp/fio.log; then
    fail "$(tail -20 /tmp/fio.log)"
  fi
  strange=$(grep 'io_u error' /tmp/fio.log | grep -v 'Input/output error: read' || true)
  [ -z "$strange" ] || fail "$strange"
  [ "$(figure vol remapped_blocks)" -gt 0 ] || fail "no block was remapped"
}

scenario_sixteen_failed_requests_are_committed_together() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 4096 4223
  # Confirmation first, so that the sixteen need no more than their commit.
  pattern a 8 >/tmp/a.img
  put /dev/mapper/vol 4096 /tmp/a.img 4k
  before=$(figure vol commits)
  fio --name=batch --filename=/dev/mapper/vol --rw=write --bs=4k --offset=2m --size=64k --direct=1 \
    --ioengine=libaio --iodepth=16 --iodepth_batch_submit=16 --iodepth_batch_complete_min=16 \
    --minimal >/tmp/fio.log
  expect "remapped blocks" "$(figure vol remapped_blocks)" 16
  commits=$(($(figure vol commits) - before))
  [ $commits -le 3 ] || fail "$commits commits"
}

discarded_at() { # DEVICE: sectors that the driver was told of
  awk '{print $14}' "/sys/block/${1##*/}/stat"
}

scenario_discard_goes_through_and_remapped_blocks_stay() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 800 807
  pattern a 64 >/tmp/a.img
  put /dev/mapper/vol 768 /tmp/a.img
  put /dev/mapper/vol 4096 /tmp/a.img
  before=$(discarded_at "$main")
  blkdiscard --offset $((512 * 4096)) --length $((512 * 4096)) /dev/mapper/vol
  expect "sectors discarded at the disk" $(($(discarded_at "$main") - before)) 4096
  # This disk forgets them.
  head -c 32768 /dev/zero >/tmp/zero.img
  same_at /dev/mapper/vol 4096 /tmp/zero.img
  same_at /dev/mapper/vol 768 /tmp/a.img
  blkdiscard --offset 0 --length $((512 * 4096)) /dev/mapper/vol
  [ "$(figure vol discards)" -gt 0 ] || fail "no discard arrived"
  [ $(($(discarded_at "$main") - before)) -gt 4096 ] || fail "no second discard at the disk"
  put /dev/mapper/vol 768 /tmp/a.img
  same_at /dev/mapper/vol 768 /tmp/a.img
}

scenario_disks_with_4k_blocks() {
  main=$(null_disk m 32 4096) spare=$(null_disk s 8 4096)
  make_volume vol "$main" "$spare"
  expect "logical block" "$(blockdev --getss /dev/mapper/vol)" 4096
  bad_blocks m 1024 1039
  pattern a 512 >/tmp/a.img
  put /dev/mapper/vol 896 /tmp/a.img
  same_at /dev/mapper/vol 896 /tmp/a.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 2
}

scenario_two_segments_and_two_volumes() {
  main=$(null_disk m 16) spare=$(null_disk s 8) main2=$(null_disk n 16) spare2=$(null_disk t 8)
  other=$(null_disk o 16) other_spare=$(null_disk p 8)
  dm-remap create one --main "$main" --spare "$spare" >/tmp/create.log
  dm-remap create two --main "$main2" --spare "$spare2" >/tmp/create.log
  make_volume third "$other" "$other_spare"
  size=$(sectors_of "$main")
  printf '0 %s remap %s 1 %s\n%s %s remap %s 1 %s\n' "$size" "$main" "$spare" \
    "$size" "$size" "$main2" "$spare2" | dmsetup create vol
  bad_blocks m 104 111
  bad_blocks n 200 207
  bad_blocks o 304 311
  pattern a 1024 >/tmp/a.img
  put /dev/mapper/vol $((size - 512)) /tmp/a.img
  put /dev/mapper/vol 64 /tmp/a.img
  put /dev/mapper/vol $((size + 64)) /tmp/a.img
  put /dev/mapper/third 64 /tmp/a.img
  same_at /dev/mapper/vol 64 /tmp/a.img
  same_at /dev/mapper/vol $((size + 64)) /tmp/a.img
  same_at /dev/mapper/third 64 /tmp/a.img
  folder=/sys/dev/block/$(dmsetup info -c --noheadings --separator : -o major,minor vol)/remap
  expect "first segment" "$(cat "$folder/0/remapped_blocks")" 1
  expect "second segment" "$(cat "$folder/1/remapped_blocks")" 1
}
