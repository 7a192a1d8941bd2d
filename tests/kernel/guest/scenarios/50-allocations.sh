# SPDX-License-Identifier: GPL-2.0-or-later
# Memory that is not to be had, for the debug kernel alone: the stock one lets no allocation fail.
# What a program asks of the module runs in the program's own process up to the engine, and from
# there on the ordered workqueue of the target, that is in one of the kernel's unbound workers.
# Both have a counter that lets exactly their Nth allocation fail, one that may wait as well, and
# none of anybody else: so `starve` has every allocation behind a call fail once, in the process
# and then in the workers. Requests of filesystems and their ends come in interrupts and in
# processes that would not bear it; there most of what may not wait fails, by chance, as in
# recovery_goes_on_when_memory_is_short.
set -euo pipefail

# The disks' own memory first: a RAM disk that gets none fails, which is not the point.
hungry_volume() {
  main=$(null_disk m 24) spare=$(null_disk s 16)
  for disk in "$main" "$spare"; do
    dd if=/dev/zero of="$disk" bs=1M oflag=direct status=none 2>/dev/null || true
  done
  make_volume vol "$main" "$spare"
  table=$(table_of "$main" "$spare")
  every_allocation_can_fail
}
# ROUNDS REFUSED WORDS...: starve, which must have that many at least.
starved() {
  st_rounds=$1 st_refused=$2
  shift 2
  starve "$@" >/tmp/starved 2>&1 || fail "starve $*: $(cat /tmp/starved)"
  echo "$* $(cat /tmp/starved), $(cut -d. -f1 /proc/uptime)"
  read -r _ st_had _ st_were </tmp/starved
  [ "$st_had" -ge "$st_rounds" ] || fail "only $st_had allocations"
  [ "$st_were" -ge "$st_refused" ] || fail "only $st_were refusals"
}
nothing_is_wrong() {
  dmsetup remove vol
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}

scenario_a_table_that_lacks_memory_is_refused_and_loads_later() {
  hungry_volume
  starved 50 50 vol "$table" load! clear write=0 read
  nothing_is_wrong
}

scenario_a_volume_that_lacks_memory_stays_closed_and_opens_later() {
  hungry_volume
  # Most of them are for its files in sysfs: it opens without.
  starved 100 1 vol "$table" load resume! write=0 read
  starved 10 5 --workers vol "$table" load resume! write=24000 read
  if dmesg | grep 'refused:  *('; then fail "it is refused without a reason"; fi
  nothing_is_wrong
}

scenario_a_volume_is_suspended_whatever_memory_it_lacks() {
  hungry_volume
  # The process has none of its own there.
  starved 1 0 --workers vol "$table" suspend! resume write=24000 read
  nothing_is_wrong
}

scenario_questions_without_memory_are_refused() {
  hungry_volume
  bad_blocks m 8192 8255
  dd if=/dev/urandom of=/dev/mapper/vol bs=32k seek=128 count=1 oflag=direct status=none
  set -- status! table! message=map! message=stats! "message=events 0!"
  for file in state reads region_map read_latency set; do
    set -- "$@" "file=$(folder_of vol)/$file!"
  done
  starved 2 5 vol "$table" "$@" read
  starved 1 1 --workers vol "$table" "$@" read
  nothing_is_wrong
}

scenario_orders_without_memory_are_refused() {
  hungry_volume
  set -- "message=mark 100+20!" "message=forget 100+20!" message=checkpoint! \
    "message=scrub rate 4096!" "message=scrub start!" "message=scrub pause!" "message=scrub stop!"
  starved 2 5 vol "$table" "$@" write=0 read
  starved 1 0 --workers vol "$table" "$@" write=24000 read
  nothing_is_wrong
}

scenario_requests_need_no_memory_that_may_be_lacking() {
  hungry_volume
  bad_blocks m 8192 20479
  starved 1 0 vol "$table" write=8192! read!
  starved 1 0 --workers vol "$table" write=14336! read!
  nothing_is_wrong
}

scenario_a_volume_is_removed_whatever_memory_it_lacks() {
  hungry_volume
  dmsetup remove vol
  starved 5 0 vol "$table" create load resume write=0 read remove!
  starved 1 0 --workers vol "$table" create load resume write=24000 read remove!
  start_volume vol "$main" "$spare"
  nothing_is_wrong
}
