# SPDX-License-Identifier: GPL-2.0-or-later
# A scrub lives through suspends, and ends with its volume.
set -euo pipefail

read_from() { awk '{print $3}' "/sys/block/$1/stat"; } # DISK: sectors

scenario_a_scrub_goes_on_where_a_suspend_met_it() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  size=$(sectors_of "$main")
  make_volume vol "$main" "$spare"
  begin=$(read_from m)
  scrub_slowly
  for way in "" --noflush --nolockfs; do
    before=$(figure vol scrub_position)
    dmsetup suspend $way vol
    dmsetup resume vol
    scrub_is running || fail "the scrub is $(figure vol scrub_state) after a suspend $way"
    [ "$(figure vol scrub_position)" -ge "$before" ] || fail "$(figure vol scrub_position)"
    within 10 scrub_has_read $((before + 2048))
  done
  scrub_to_the_end
  expect passes "$(figure vol scrub_passes)" 1
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" "$size"
  expect "sectors that the disk was asked for" $(($(read_from m) - begin)) "$size"

  # A user's pause stays one.
  scrub_slowly
  scrub pause
  for order in "nothing" "start"; do
    before=$(figure vol scrub_position)
    dmsetup suspend vol
    for words in start pause stop "rate 64"; do
      # shellcheck disable=SC2086
      refuses dmsetup message vol 0 scrub $words
      grep -q 'temporarily unavailable' /tmp/refused || fail "$words: $(cat /tmp/refused)"
    done
    dmsetup resume vol
    scrub_is paused || fail "the scrub is $(figure vol scrub_state), but was paused"
    expect position "$(figure vol scrub_position)" "$before"
    [ $order = nothing ] || scrub start
  done
  within 10 scrub_has_read $((before + 2048))
  scrub stop
  dmsetup suspend vol
  dmsetup resume vol
  scrub_is idle || fail "the scrub is $(figure vol scrub_state), but was stopped"
  expect passes "$(figure vol scrub_passes)" 1
  # Another table is another target.
  scrub start
  reload_volume vol "$main" "$spare"
  scrub_is idle || fail "the scrub is $(figure vol scrub_state) after a reload"
  expect passes "$(figure vol scrub_passes)" 0
}

# A read that does not end keeps the volume from being suspended until a signal ends the attempt.
scenario_a_suspend_that_is_given_up_lets_the_scrub_go_on() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  switchable sw "$main"
  make_volume vol /dev/mapper/sw "$spare"
  scrub_slowly
  inflight=/sys/block/$(disk_of vol)/inflight
  for order in none pause start; do
    dmsetup suspend --noflush --nolockfs sw
    get /dev/mapper/vol 30000 8 /tmp/b.img &
    reader=$!
    within 30 grep -q '^ *1 ' "$inflight"
    case $order in
      none) ;;
      pause) scrub_is running || fail "the scrub is $(figure vol scrub_state)" ;;
      start) scrub stop ;;
    esac
    dmsetup suspend vol 2>/dev/null &
    suspending=$!
    if [ $order = start ]; then
      # Nothing shows that the suspend has begun, but that a scrub is held as soon as it begins.
      within 30 scrub_begins_held
    else
      within 30 scrub_is held
      [ $order = none ] || scrub $order
    fi
    kill $suspending
    if wait $suspending; then fail "it was suspended"; fi
    case $order in
      pause) expect "the scrub's state" "$(figure vol scrub_state)" paused ;;
      *) within 30 scrub_is running ;;
    esac
    dmsetup resume sw
    wait $reader || fail "the read failed"
    [ $order != pause ] || scrub start
  done
  scrub_to_the_end
  expect passes "$(figure vol scrub_passes)" 1
}
scrub_begins_held() {
  scrub start
  scrub_is held && return
  scrub stop
  false
}

# Two volumes in one table: the first is open again when the second cannot be opened.
two_volumes_in_one_table() {
  main=$(null_disk m 16) spare=$(null_disk s 8) main2=$(null_disk n 16) spare2=$(null_disk t 8)
  size=$(sectors_of "$main")
  switchable sw "$spare2"
  dm-remap create one --main "$main" --spare "$spare" >/tmp/create.log
  dm-remap create two --main "$main2" --spare /dev/mapper/sw >/tmp/create.log
  printf '%s\n' "0 $size remap $main 1 $spare" \
    "$size $size remap $main2 1 /dev/mapper/sw" >/tmp/table
  dmsetup create vol --uuid DMREMAP-both </tmp/table
}
scrub_is_held() { # though there is no sysfs yet
  dmsetup message vol 0 stats | grep -qx 'scrub_state held' || fail "it is not held"
}

scenario_a_resume_that_fails_elsewhere_holds_the_scrub() {
  two_volumes_in_one_table
  scrub_slowly
  dmsetup suspend vol
  pull_cable sw
  refuses dmsetup resume vol
  begin=$(read_from m)
  scrub_is_held
  dmsetup message vol 0 stats | grep -qx 'scrub_read_sectors 2048' || fail "its figures"
  scrub stop
  scrub start 8192
  scrub_is_held
  plug_cable sw "$spare2"
  expect "sectors read meanwhile" $(($(read_from m) - begin)) 0
  dmsetup resume vol
  scrub_to_the_end
  expect passes "$(figure vol scrub_passes)" 1
  expect "sectors looked at" "$(figure vol scrub_read_sectors)" $((size - 8192))
}

# Suspended a volume tells nothing, and after a failed resume that its scrub is held.
scenario_a_command_that_waits_for_a_scrub_waits_through_a_suspend() {
  two_volumes_in_one_table
  dm-remap scrub vol start --rate 64K --wait >/tmp/waits 2>&1 &
  waiting=$!
  within 30 scrub_has_read 2048
  dmsetup suspend vol
  it_waits
  pull_cable sw
  refuses dmsetup resume vol
  scrub_is_held
  dm-remap scrub vol status | grep -q 'scrub held at' || fail "$(dm-remap scrub vol status)"
  it_waits
  plug_cable sw "$spare2"
  dmsetup resume vol
  it_waits
  scrub_to_the_end
  wait $waiting || fail "it failed: $(cat /tmp/waits)"
  grep -q 'scrub ended' /tmp/waits || fail "$(cat /tmp/waits)"
}
it_waits() { # after some looks, four a second
  sleep 2
  kill -0 $waiting || fail "it does not wait any more: $(cat /tmp/waits)"
}

# A new table is no less suspended, though nobody has suspended its targets.
scenario_a_scrub_begins_with_the_first_resume_that_succeeds() {
  two_volumes_in_one_table
  dmsetup suspend vol
  dmsetup load vol </tmp/table
  pull_cable sw
  refuses dmsetup resume vol
  begin=$(read_from m)
  scrub rate 16777216
  scrub start
  scrub_is_held
  plug_cable sw "$spare2"
  scrub_is_held
  expect "sectors read meanwhile" $(($(read_from m) - begin)) 0
  dmsetup resume vol
  within 60 scrub_is idle
  expect passes "$(figure vol scrub_passes)" 1
}

scenario_a_volume_is_removed_while_a_scrub_runs() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  bad_blocks m 8192 8194
  bad_blocks m 12288 12290
  slow_disk "$main" 200 0
  make_volume vol /dev/mapper/slow "$spare"
  for moment in rest read salvage forced; do
    case $moment in
      rest) scrub_slowly ;;
      read)
        scrub rate 16777216
        scrub start
        ;;
      salvage) scrub_up_to_a_bad_block_at 8192 ;;
      forced) scrub_up_to_a_bad_block_at 12288 ;;
    esac
    if [ $moment = forced ]; then
      dmsetup remove --force vol
    else
      dmsetup remove vol
    fi
    start_volume vol /dev/mapper/slow "$spare"
    scrub_is idle || fail "the scrub is $(figure vol scrub_state) in a new volume"
    expect position "$(figure vol scrub_position)" 0
  done
  # Nothing was lost but what the scrub had come to.
  [ "$(figure vol lost_sectors)" -le 6 ] || fail "$(figure vol lost_sectors) sectors are lost"
  dmsetup remove vol
  dm-remap check /dev/mapper/slow "$spare" >/tmp/check.log || fail "check finds faults"
}
scrub_up_to_a_bad_block_at() { # SECTOR: its salvage has begun and not ended
  scrub start "$1"
  within 30 a_read_has_failed
  expect position "$(figure vol scrub_position)" "$1"
}
a_read_has_failed() { [ "$(figure vol scrub_failed_reads)" -ge 1 ]; }
