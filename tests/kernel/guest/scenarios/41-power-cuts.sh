# SPDX-License-Identifier: GPL-2.0-or-later
# The power is cut at every flush: dm-log-writes records what reached the disks and in which order.
# Looking at what a cut left takes seconds under emulation: all are looked at with $DMR_EVERY_CUT=1,
# otherwise half of them, scattered over the rounds and their steps, and the last one.
# Main and spare are slices of one logged device, because two logs would share no order.
set -euo pipefail

slices() { # PREFIX DEVICE: 16 MiB of main, 8 MiB of spare
  dmsetup create "$1main" --table "0 32768 linear $2 0"
  dmsetup create "$1spare" --table "0 16384 linear $2 32768"
}

# Round N writes 4 KiB each to a place that may be bad, to a good one and to one that all rounds
# share, then syncs; after that the log has the mark N. Its content: /tmp/round-N.img.
write_rounds() { # COUNT
  : >/tmp/all.img
  for n in $(seq "$1"); do
    pattern "$n" 8 >"/tmp/round-$n.img"
    cat "/tmp/round-$n.img" >>/tmp/all.img
    put /dev/mapper/vol $((4096 + n * 8)) "/tmp/round-$n.img" 4k
    put /dev/mapper/vol $((16384 + n * 8)) "/tmp/round-$n.img" 4k
    put /dev/mapper/vol 512 "/tmp/round-$n.img" 4k
    dd if=/dev/null of=/dev/mapper/vol count=0 conv=notrunc,fsync status=none
    dmsetup message logged 0 mark "$n"
  done
}

# What was synced before the cut is there; the shared place has that round's content or a later one.
check_rounds() { # NAME COUNT ROUNDS
  [ "$2" -gt 0 ] || return 0
  for first in 4104 16392; do
    get "/dev/mapper/$1" $first $(($2 * 8)) /tmp/found.out
    cmp -n $(($2 * 4096)) /tmp/all.img /tmp/found.out || fail "after round $2, at $first"
  done
  get "/dev/mapper/$1" 512 8 /tmp/shared.out
  read -r _ shared _ </tmp/shared.out
  [ "$shared" -ge "$2" ] && [ "$shared" -le "$3" ] || fail "after round $2: round $shared"
  cmp "/tmp/round-$shared.img" /tmp/shared.out || fail "the shared place is torn"
}

scenario_power_cut_at_a_flush_loses_nothing_that_was_synced() {
  NULL_CACHE=1
  disk=$(null_disk d 24)
  NULL_CACHE=
  log=$(null_disk l 64) copy=$(null_disk c 24)
  rounds=8
  dmsetup create logged --table "0 $(sectors_of "$disk") log-writes $disk $log"
  slices l /dev/mapper/logged
  dm-remap create vol --main /dev/mapper/lmain --spare /dev/mapper/lspare >/tmp/create.log
  dmsetup message logged 0 mark 0
  # Every second one of the first places is bad.
  for n in $(seq 2 2 $rounds); do bad_blocks d $((4096 + n * 8)) $((4096 + n * 8 + 7)); done
  start_volume vol /dev/mapper/lmain /dev/mapper/lspare
  write_rounds $rounds
  expect "remapped blocks" "$(figure vol remapped_blocks)" $((rounds / 2))
  dmsetup remove vol
  dmsetup remove lmain
  dmsetup remove lspare
  dmsetup remove logged

  slices c "$copy"
  next=0 entries=1 cuts=0 looked=0
  while [ "$next" -lt "$entries" ]; do
    log_replay "$log" "$copy" "$next" >/tmp/cut
    read -r next entries mark </tmp/cut
    [ "$mark" != - ] || continue  # before the volume was there
    cuts=$((cuts + 1))
    [ "$EVERY_CUT" = 1 ] || [ $((cuts * 7 % 11)) -lt 5 ] || [ "$next" -ge "$entries" ] || continue
    looked=$((looked + 1))
    dm-remap check /dev/mapper/cmain /dev/mapper/cspare >/tmp/check.log ||
      fail "cut after entry $next (round $mark): $(cat /tmp/check.log)"
    # Nothing may be written, or the next entries would be replayed onto something else.
    dmsetup create cut --table "$(table_of /dev/mapper/cmain /dev/mapper/cspare) 1 read_only"
    check_rounds cut "$mark" $rounds
    dmsetup remove cut
  done
  [ $cuts -ge $((rounds + rounds / 2)) ] || fail "only $cuts cuts"
  [ $looked -ge $((cuts * 2 / 5)) ] || fail "looked at $looked of $cuts cuts"
  # And once as an ordinary start that repairs and goes on.
  start_volume cut /dev/mapper/cmain /dev/mapper/cspare
  check_rounds cut $rounds $rounds
  expect "remapped blocks after all" "$(figure cut remapped_blocks)" $((rounds / 2))
}
