# SPDX-License-Identifier: GPL-2.0-or-later
# What the scenarios share: disks that fail, volumes on them, and assertions.
# Sectors are 512 bytes; sizes of disks are in MiB.

set -euo pipefail
. /guest/settings
NULL_CACHE=${NULL_CACHE-}

fail() {
  echo "FAIL: $*"
  exit 1
}
expect() { # expect WHAT GOT WANTED
  [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}
refuses() { # the command must fail
  if "$@" >/tmp/refused 2>&1; then fail "was not refused: $*"; fi
}
within() { # within SECONDS COMMAND...: it succeeds in the end
  wi_end=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@"; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$wi_end" ] || fail "not in time: $*"
    sleep 0.1
  done
}

# null_disk NAME MIB [LOGICAL BLOCK]: prints its path. Memory backed; bad_blocks makes it fail.
null_disk() {
  modprobe null_blk nr_devices=0 2>/dev/null || true
  nd=/sys/kernel/config/nullb/$1
  mkdir "$nd"
  echo "$2" >"$nd/size"
  echo "${3:-512}" >"$nd/blocksize"
  echo 1 >"$nd/memory_backed"
  echo 1 >"$nd/discard"
  [ -z "$NULL_CACHE" ] || echo "$NULL_CACHE" >"$nd/cache_size"
  echo 1 >"$nd/power"
  echo "/dev/$1"
}
slow_disk() { # DEVICE READ_MS WRITE_MS: /dev/mapper/slow, whose answers come that much later
  modprobe dm-delay
  dmsetup create slow --table "0 $(sectors_of "$1") delay $1 0 $2 $1 0 $3"
}
# NAME DEVICE: a dm-linear device whose table can be exchanged for one that always fails.
switchable() {
  dmsetup create "$1" --table "0 $(sectors_of "$2") linear $2 0"
}
pull_cable() {
  dmsetup suspend --noflush --nolockfs "$1"
  dmsetup load "$1" --table "0 $(sectors_of "/dev/mapper/$1") error"
  dmsetup resume "$1"
}
plug_cable() { # NAME DEVICE
  dmsetup suspend --noflush --nolockfs "$1"
  dmsetup load "$1" --table "0 $(sectors_of "$2") linear $2 0"
  dmsetup resume "$1"
}
bad_blocks() { # NAME FIRST LAST; in parts, because 6.1 sorts longer ranges wrongly
  bb=$2
  while [ "$bb" -le "$3" ]; do
    be=$((bb + 511 < $3 ? bb + 511 : $3))
    echo "+$bb-$be" >"/sys/kernel/config/nullb/$1/badblocks"
    bb=$((be + 1))
  done
}
# scsi_disk [PARAMETER...]: 16 MiB of scsi_debug, with real sense data. Sectors 4660 to 4662 are
# unreadable after medium_errors 2.
scsi_disk() {
  modprobe sd_mod
  modprobe scsi_debug dev_size_mb=16 opts=0 delay=0 medium_error_start=4660 medium_error_count=3 \
    "$@"
  for round in $(seq 50); do
    disk=$(ls /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*/block 2>/dev/null) &&
      [ -b "/dev/$disk" ] && break
    sleep 0.1
  done
  echo "/dev/$disk"
}
medium_errors() { echo "$1" >/sys/bus/pseudo/drivers/scsi_debug/opts; } # 2: on, 0: off
scsi_state() { echo "$2" >"/sys/block/$(basename "$1")/device/state"; } # DEVICE offline|running
sectors_of() { blockdev --getsz "$1"; }

table_of() { # table_of MAIN SPARE... : one segment over all of main
  tm=$1
  shift
  echo "0 $(sectors_of "$tm") remap $tm $# $*"
}
make_volume() { # make_volume NAME MAIN SPARE... : creates and starts it
  mn=$1 mm=$2
  shift 2
  ms=
  for s in "$@"; do ms="$ms --spare $s"; done
  dm-remap create "$mn" --main "$mm" $ms >/tmp/create.log || fail create
  start_volume "$mn" "$mm" "$@"
}
start_volume() {
  sn=$1
  shift
  dmsetup create "$sn" --table "$(table_of "$@")"
}
reload_volume() { # a new table, then a resume: all state goes through the disks
  rn=$1
  shift
  dmsetup load "$rn" --table "$(table_of "$@")"
  dmsetup resume "$rn"
}
# Without a process: each costs 20 ms and more under emulation.
folder_of() { # NAME: of its first target in sysfs
  for fo in /sys/block/dm-*; do
    read -r fo_name <"$fo/dm/name"
    if [ "$fo_name" = "$1" ]; then
      echo "$fo/remap/0"
      return
    fi
  done
  fail "no device-mapper device $1"
}
disk_of() { # NAME: as the kernel calls it
  di=$(folder_of "$1")
  di=${di#/sys/block/}
  echo "${di%%/*}"
}
figure() { # figure NAME FIGURE
  read -r fi_value <"$(folder_of "$1")/$2"
  echo "$fi_value"
}

# Each uevent of the kernel as a line of /tmp/uevents, with what is ours in it.
listen() {
  # shellcheck disable=SC2016
  uevent sh -c 'echo "$ACTION $DEVNAME ${DM_REMAP_EVENT:--} $DM_REMAP_MEMBER $DM_REMAP_SECTOR" \
    "$DM_REMAP_SECTORS $DM_REMAP_TARGET"' >/tmp/uevents &
  listener=$!
  trap 'kill $listener 2>/dev/null || true' EXIT
  within 30 heard ".*"
}
heard() { # PATTERN: has come; what the listener is woken with does no harm
  echo change >/sys/class/mem/null/uevent
  grep -q "$1" /tmp/uevents
}

# On a kernel that can make allocations fail. With `ignore-gfp-wait` those alone that may not wait,
# with which a mempool tries before it takes from its reserve.
faults=/sys/kernel/debug
can_fail_allocations() {
  [ -d $faults/failslab ] || mount -t debugfs debugfs $faults 2>/dev/null || true
  [ -d $faults/failslab ] && [ -d $faults/fail_page_alloc ]
}
# Of slabs those alone that scripts/build-debug-kernel has marked.
spare_the_watchers() {
  if grep -q 'slub_debug=A' /proc/cmdline; then echo Y >$faults/failslab/cache-filter; fi
}
fail_allocations() { # NAME VALUE...: of both kinds of memory
  while [ $# -gt 0 ]; do
    echo "$2" >$faults/failslab/"$1"
    echo "$2" >$faults/fail_page_alloc/"$1"
    shift 2
  done
}
# Which one fails is then up to whoever has a counter: see tools/starve.cpp.
every_allocation_can_fail() {
  can_fail_allocations || fail "this kernel lets no allocation fail"
  spare_the_watchers
  fail_allocations probability 0 verbose 0 ignore-gfp-wait N
  echo N >$faults/fail_page_alloc/ignore-gfp-highmem
  echo 0 >$faults/fail_page_alloc/min-order
}
# Most of those that may not wait fail, by chance.
most_hasty_allocations_fail() {
  spare_the_watchers
  fail_allocations verbose 0 ignore-gfp-wait Y interval 1 times 1000000000
  echo 0 >$faults/fail_page_alloc/min-order
  fail_allocations probability 90
}
memory_is_back() { # prints how many allocations have failed
  fail_allocations probability 0
  echo $((2000000000 - $(cat $faults/failslab/times) - $(cat $faults/fail_page_alloc/times)))
}

pattern() { sectors pattern "$1" "$2"; } # SEED SECTORS: text that repeats nowhere
put() { # put DEV SECTOR FILE [BS]: direct, in requests of BS bytes
  # A last part that is shorter than the others would be written through the page cache.
  [ $(($(wc -c <"$3") % ($(echo "${4:-64k}" | sed 's/k/*1024/; s/M/*1048576/')))) -eq 0 ] ||
    set -- "$1" "$2" "$3" 512
  dd if="$3" of="$1" bs="${4:-64k}" seek="$(($2 * 512))" oflag=direct,seek_bytes \
    conv=notrunc status=none
}
get() { # get DEV SECTOR SECTORS FILE [BS]
  dd if="$1" of="$4" bs="${5:-64k}" skip="$(($2 * 512))" count="$(($3 * 512))" \
    iflag=direct,skip_bytes,count_bytes status=none
}
same_at() { # same_at DEV SECTOR FILE: the device has the file's content there
  get "$1" "$2" "$(($(wc -c <"$3") / 512))" /tmp/same.out
  cmp "$3" /tmp/same.out || fail "$1 at $2 differs from $3"
}
# Which sectors of [FIRST, FIRST + COUNT) cannot be read, one by one: a list.
unreadable() { sectors unreadable "$1" "$2" "$3"; } # DEV FIRST COUNT

# main and spare, of which both take write-zeroes, so that the kernel does not make writes of them
# before they reach the volume vol: scsi_debug, and a loop device on a filesystem that can zero a
# range of a file.
zeroing_members() {
  modprobe loop
  modprobe ext4
  main=$(scsi_disk lbpu=1) disk=$(null_disk d 24)
  mkfs.ext4 -q -F "$disk"
  mount -t ext4 "$disk" /mnt
  truncate -s 8M /mnt/spare
  spare=$(losetup --find --show /mnt/spare)
  trap 'dmsetup remove vol; losetup -d "$spare"; umount /mnt' EXIT
}

# At 64 KiB a second a scrub rests for 16 seconds behind each 2048 sectors: it is in the middle of a
# pass for as long as a scenario needs it there.
scrub() { # WORDS: an order for vol
  sc=$(dmsetup message vol 0 scrub "$@") || fail "scrub $*"
  expect "scrub $*" "$sc" ok
}
scrub_is() { [ "$(figure vol scrub_state)" = "$1" ]; }
scrub_has_read() { [ "$(figure vol scrub_read_sectors)" -ge "$1" ]; }
scrub_slowly() { # up to a long rest
  scrub rate 64
  scrub start
  within 30 scrub_has_read 2048
  scrub_is running || fail "the scrub is $(figure vol scrub_state)"
}
scrub_to_the_end() { # a pass that runs, or a new one; the new rate ends a rest
  scrub start
  scrub rate 16777216
  within 60 scrub_is idle
}

clean_up() {
  if can_fail_allocations; then fail_allocations probability 0; fi
  for round in 1 2 3; do
    dmsetup ls 2>/dev/null | grep -q '(' || break
    awk '/^.dev.(mapper|dm)/ {print $2}' /proc/mounts | while read -r m; do umount "$m"; done
    dmsetup remove_all --force >/dev/null 2>&1 || true
  done
  for disk in /sys/kernel/config/nullb/*/; do
    [ -d "$disk" ] || continue
    echo 0 >"$disk/power"
    rmdir "$disk"
  done
  rmmod dm_remap 2>/dev/null || true
  rmmod scsi_debug 2>/dev/null || true
  rm -f /tmp/*.img
  [ ! -d /sys/module/dm_remap ] || fail "dm_remap cannot be unloaded"
}
