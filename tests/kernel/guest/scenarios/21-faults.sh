# SPDX-License-Identifier: GPL-2.0-or-later
# Spares that run out, devices that go away, flushes that are refused, a filesystem on top.
set -euo pipefail

scenario_spare_exhausted_fails_new_bad_blocks_only() {
  main=$(null_disk m 32) spare=$(null_disk s 1)
  make_volume vol "$main" "$spare"
  total=$(figure vol spare_total)
  # 256 of 8192 blocks: the disk as a whole still answers.
  bad_blocks m 8192 10239
  pattern a 64 >/tmp/a.img
  at=8192
  while put /dev/mapper/vol $at /tmp/a.img 4k 2>/tmp/put.log; do
    at=$((at + 64))
    [ $at -lt 10240 ] || fail "the spare has no end"
  done
  grep -q 'No space left' /tmp/put.log || fail "not ENOSPC: $(cat /tmp/put.log)"
  free=$(figure vol spare_free)
  [ "$free" -lt 8 ] || fail "$free of $total spare blocks are left"
  same_at /dev/mapper/vol 8192 /tmp/a.img
  put /dev/mapper/vol 8192 /tmp/a.img
  put /dev/mapper/vol 1024 /tmp/a.img
  same_at /dev/mapper/vol 1024 /tmp/a.img
}

scenario_a_pulled_cable_marks_nothing() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  switchable main "$main"
  make_volume vol /dev/mapper/main "$spare"
  echo 1000 >"$(folder_of vol)/breaker_rest_ms"
  pattern a 2048 >/tmp/a.img
  put /dev/mapper/vol 4096 /tmp/a.img
  pull_cable main
  refuses put /dev/mapper/vol 4096 /tmp/a.img
  refuses get /dev/mapper/vol 4096 64 /tmp/b.img
  refuses get /dev/mapper/vol 30000 8 /tmp/b.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
  expect "lost sectors" "$(figure vol lost_sectors)" 0
  plug_cable main "$main"
  within 30 put /dev/mapper/vol 4096 /tmp/a.img 2>/tmp/tries
  same_at /dev/mapper/vol 4096 /tmp/a.img
  expect "remapped blocks later" "$(figure vol remapped_blocks)" 0
}

# DEVICE LOG NAME: logs what DEVICE gets.
logged() {
  dmsetup create "$3" --table "0 $(sectors_of "$1") log-writes $1 $2"
}
logged_with() { # LOG MARK FLAG [SECTOR]: entries behind MARK and before the next with that flag
  log_replay "$1" | awk -v mark="$2" -v flag="$3" -v at="${4:-}" '
    $1 == mark && int($4 / flag) % 2 && (at == "" || $2 == at) {n++}
    END {print n + 0}'
}
mark_logs() {
  dmsetup message lmain 0 mark "$1"
  dmsetup message lspare 0 mark "$1"
}

scenario_flush_and_fua_reach_both_members() {
  flush=1 fua=2
  NULL_CACHE=2
  main=$(null_disk m 32) spare=$(null_disk s 8)
  NULL_CACHE=
  main_log=$(null_disk ml 64) spare_log=$(null_disk sl 64)
  logged "$main" "$main_log" lmain
  logged "$spare" "$spare_log" lspare
  make_volume vol /dev/mapper/lmain /dev/mapper/lspare
  dmsetup message vol 0 mark 800+8 >/tmp/mark.log
  home=$(dmsetup message vol 0 map | awk 'NR == 1 {print $4 * 8}')
  pattern a 8 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img
  before=$(figure vol flushes)
  mark_logs both
  dd if=/tmp/a.img of=/dev/mapper/vol bs=4k count=1 seek=10 conv=notrunc,fsync status=none
  expect "flushes of an fsync that reaches both" "$(figure vol flushes)" $((before + 1))
  # Nothing new on the spare: main alone is flushed.
  before=$(figure vol flushes)
  mark_logs main
  dd if=/tmp/a.img of=/dev/mapper/vol bs=4k count=1 seek=10 conv=notrunc,fsync status=none
  expect "flushes of a healthy fsync" "$(figure vol flushes)" $((before + 1))
  # Each write with FUA, the first to main, the second to the spare.
  for at in 80 800; do
    mark_logs "at$at"
    dd if=/tmp/a.img of=/dev/mapper/vol bs=4k seek=$((at / 8)) oflag=direct,dsync conv=notrunc \
      status=none
  done
  dmsetup remove vol
  dmsetup remove lmain
  dmsetup remove lspare
  [ "$(logged_with "$main_log" both $flush)" -ge 1 ] || fail "main saw no flush"
  [ "$(logged_with "$spare_log" both $flush)" -ge 1 ] || fail "the spare saw no flush"
  [ "$(logged_with "$main_log" main $flush)" -ge 1 ] || fail "main saw no second flush"
  expect "flushes of a spare with nothing new" "$(logged_with "$spare_log" main $flush)" 0
  expect "FUA at main" "$(logged_with "$main_log" at80 $fua 80)" 1
  expect "FUA at the spare" "$(logged_with "$spare_log" at800 $fua "$home")" 1
}

# 16 FUA writes, no flush. Prints how many of them the engine has served itself.
fua_writes_of_the_engine() { # NAME
  ff=$(figure "$1" slow_requests)
  fio --name=fua --filename="/dev/mapper/$1" --rw=write --bs=4k --size=64k --direct=1 --sync=dsync \
    --ioengine=libaio --iodepth=1 --minimal >/tmp/fio.log || fail "fio: $(cat /tmp/fio.log)"
  echo $(($(figure "$1" slow_requests) - ff))
}
flushes_at() { # DEVICE: that the driver has completed
  awk '{print $16}' "/sys/block/${1##*/}/stat"
}

# The block layer makes a write and a flush of FUA where a disk has none, with one answer for both.
# The volume sends both itself, so that it knows which of them failed.
scenario_fua_is_a_write_and_a_flush_where_a_disk_has_none() {
  modprobe loop
  truncate -s 32M /tmp/main.img
  main=$(losetup --find --show /tmp/main.img) spare=$(null_disk s 8)
  trap 'dmsetup remove vol; losetup -d "$main"' EXIT
  make_volume vol "$main" "$spare"
  expect "FUA of a loop device" "$(cat "/sys/block/${main##*/}/queue/fua")" 0
  before=$(flushes_at "$main")
  expect "FUA writes of the engine" "$(fua_writes_of_the_engine vol)" 16
  expect "flushes at the disk" "$(($(flushes_at "$main") - before))" 16

  NULL_CACHE=2
  own=$(null_disk m 32)
  NULL_CACHE=
  make_volume other "$own" "$(null_disk t 8)"
  expect "FUA of the disk" "$(cat "/sys/block/${own##*/}/queue/fua")" 1
  expect "FUA writes of the engine where the disk has it" "$(fua_writes_of_the_engine other)" 0
}

scenario_a_refused_flush_stops_writes_until_resume() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  pattern a 8 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  scsi_state "$main" offline
  # No data is dirty: the flush goes alone.
  refuses dd if=/dev/null of=/dev/mapper/vol count=0 conv=notrunc,fsync status=none
  scsi_state "$main" running
  expect state "$(figure vol state)" flush-failed
  expect writable "$(figure vol writable)" 0
  dm-remap status vol | grep -q 'no write is taken' || fail "status: $(dm-remap status vol)"
  dm-remap status vol --json | grep -q '"writable": false' || fail "status --json"
  refuses put /dev/mapper/vol 800 /tmp/a.img 4k
  refuses dd if=/dev/null of=/dev/mapper/vol count=0 conv=notrunc,fsync status=none
  same_at /dev/mapper/vol 800 /tmp/a.img
  dmsetup message vol 0 events | grep -q ' flush_failed 0 ' || fail "no event"
  dmsetup suspend vol
  dmsetup resume vol
  expect state "$(figure vol state)" rw
  put /dev/mapper/vol 800 /tmp/a.img 4k
  dm-remap status vol | grep -q 'no write is taken' && fail "status after the resume"
  return 0
}

# Nobody but the engine has seen that the second spare refused something. What users wrote may have
# lain in its cache, and no flush goes there any more: so from then on writes fail, and the next
# flush does, whatever it reaches.
scenario_after_a_spare_has_failed_writes_and_flushes_are_refused() {
  main=$(null_disk m 32) first=$(null_disk s 8) second=$(scsi_disk)
  make_volume vol "$main" "$first" "$second"
  pattern a 8 >/tmp/a.img
  bad_blocks m 8192 8199
  scsi_state "$second" offline
  put /dev/mapper/vol 8192 /tmp/a.img 4k
  refuses put /dev/mapper/vol 800 /tmp/a.img 4k
  expect state "$(figure vol state)" flush-failed
  refuses dd if=/dev/null of=/dev/mapper/vol count=0 conv=notrunc,fsync status=none
  same_at /dev/mapper/vol 8192 /tmp/a.img
  scsi_state "$second" running
}

scenario_an_offline_disk_marks_nothing() {
  main=$(scsi_disk) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  pattern a 8 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img 4k
  scsi_state "$main" offline
  refuses put /dev/mapper/vol 800 /tmp/a.img 4k
  refuses get /dev/mapper/vol 800 8 /tmp/b.img
  scsi_state "$main" running
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
  expect "lost sectors" "$(figure vol lost_sectors)" 0
  put /dev/mapper/vol 800 /tmp/a.img 4k
  same_at /dev/mapper/vol 800 /tmp/a.img
}

scenario_bad_blocks_on_a_spare_are_passed_over() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  # Every fourth spare block from the first free one on refuses.
  dmsetup message vol 0 mark 0+8 >/tmp/mark.log
  home=$(dmsetup message vol 0 map | awk 'NR == 1 {print $4}')
  at=$((home * 8 + 8))
  end=$((at + 3200))
  while [ $at -lt $end ]; do
    bad_blocks s $at $((at + 7))
    at=$((at + 32))
  done
  bad_blocks m 8192 12287
  pattern a 4096 >/tmp/a.img
  put /dev/mapper/vol 8192 /tmp/a.img
  same_at /dev/mapper/vol 8192 /tmp/a.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 513
  [ "$(figure vol spare_bad)" -ge 50 ] || fail "only $(figure vol spare_bad) bad spare blocks"
  dmsetup remove vol
  start_volume vol "$main" "$spare"
  same_at /dev/mapper/vol 8192 /tmp/a.img
}

scenario_a_spare_whose_metadata_fails_turns_the_volume_read_only() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  pattern a 64 >/tmp/a.img
  put /dev/mapper/vol 1024 /tmp/a.img
  # All of the spare refuses: neither a home nor a record of one can be written.
  bad_blocks s 0 $(($(sectors_of "$spare") - 1))
  bad_blocks m 4096 4103
  refuses put /dev/mapper/vol 4096 /tmp/a.img 4k
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
  same_at /dev/mapper/vol 1024 /tmp/a.img
  [ "$(figure vol health_score)" -lt 50 ] || fail "health $(figure vol health_score)"
}

scenario_blocks_that_cannot_be_read_heal_when_written() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  modprobe dm-dust
  dmsetup create dust --table "0 $(sectors_of "$main") dust $main 0 512"
  pattern a 1024 >/tmp/a.img
  put "/dev/mapper/dust" 4096 /tmp/a.img
  make_volume vol /dev/mapper/dust "$spare"
  for bad in 4100 4101 4500; do dmsetup message dust 0 addbadblock $bad; done
  dmsetup message dust 0 enable
  expect unreadable "$(unreadable /dev/mapper/vol 4096 16)" "4100 4101 "
  expect unreadable "$(unreadable /dev/mapper/vol 4496 8)" "4500 "
  expect "lost sectors" "$(figure vol lost_sectors)" 3
  put /dev/mapper/vol 4096 /tmp/a.img
  same_at /dev/mapper/vol 4096 /tmp/a.img
  expect "lost sectors after a write" "$(figure vol lost_sectors)" 0
}
