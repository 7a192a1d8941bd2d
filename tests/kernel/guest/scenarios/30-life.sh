# SPDX-License-Identifier: GPL-2.0-or-later
# Suspend, resume, reload and removal while requests are under way.
set -euo pipefail

moved() { # NAME AT LEAST
  [ "$(figure "$1" remapped_blocks)" -ge "$2" ]
}

scenario_suspend_and_reload_under_load() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  bad_blocks m 5000 5100
  fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bs=4k --size=8m --loops=3 \
    --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --verify_fatal=1 \
    --minimal >/tmp/fio.log &
  load=$!
  rounds=0
  while kill -0 $load 2>/dev/null && [ $rounds -lt 12 ]; do
    case $((rounds % 3)) in
      0) dmsetup suspend vol ;;
      1) dmsetup suspend --noflush vol ;;
      2) dmsetup load vol --table "$(table_of "$main" "$spare")" ;;
    esac
    dmsetup resume vol
    rounds=$((rounds + 1))
    sleep 0.3
  done
  wait $load || fail "fio: $(cat /tmp/fio.log)"
  [ $rounds -ge 3 ] || fail "only $rounds rounds"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 13
}

scenario_removal_with_errors_in_flight() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  for round in 1 2 3; do
    bad_blocks m $((round * 8000)) $((round * 8000 + 1023))
    dd if=/dev/zero of=/dev/mapper/vol bs=1M count=30 oflag=direct status=none &
    writer=$!
    sleep 0.3
    kill -9 $writer 2>/dev/null || true
    # Busy until the writer has gone, then at once.
    for try in $(seq 100); do dmsetup remove vol 2>/dev/null && break || sleep 0.05; done
    start_volume vol "$main" "$spare"
  done
  dmsetup remove vol
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}

# Four writers at once on nothing but bad blocks; then the target `error` takes the volume's place
# beneath them. What they were told is written is there when the volume is started again.
scenario_what_was_acknowledged_survives_a_forced_removal() {
  main=$(null_disk m 64) spare=$(null_disk s 48)
  make_volume vol "$main" "$spare"
  for round in 1 2 3; do
    base=$((round * 32768))
    bad_blocks m $base $((base + 8191))
    before=$(figure vol remapped_blocks)
    for n in 0 1 2 3; do
      sectors fill /dev/mapper/vol $((base + n * 2048)) 2048 "$round$n" >"/tmp/taken$n" &
    done
    within 60 moved vol $((before + 40))
    case $round in
      3) dm-remap stop vol --force ;;
      *) dmsetup remove --force vol 2>/tmp/busy || true ;;
    esac
    wait
    dmsetup remove vol 2>/dev/null || true
    start_volume vol "$main" "$spare"
    sum=0
    for n in 0 1 2 3; do
      read -r taken <"/tmp/taken$n"
      sum=$((sum + taken))
      pattern "$round$n" "$taken" >/tmp/x.img
      [ "$taken" -eq 0 ] || same_at /dev/mapper/vol $((base + n * 2048)) /tmp/x.img
    done
    [ $sum -lt 8192 ] || fail "the removal came too late"
    [ $sum -gt 0 ] || fail "nothing was written"
  done
  dmsetup remove vol
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}

# Writes to main take 100 ms, longer than a grace period of RCU: blocks are moved while some of
# theirs are under way.
scenario_blocks_move_there_and_back_under_verified_load() {
  main=$(null_disk m 32) spare=$(null_disk s 16)
  slow_disk "$main" 0 100
  make_volume vol /dev/mapper/slow "$spare"
  fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bsrange=4k-16k --size=2m --loops=3 \
    --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --verify_fatal=1 \
    --minimal >/tmp/fio.log 2>&1 &
  load=$!
  rounds=0
  while kill -0 $load 2>/dev/null; do
    dmsetup message vol 0 mark 0+4096 >/tmp/mark.log || fail "mark: $(cat /tmp/mark.log)"
    dmsetup message vol 0 forget 0+4096 >/tmp/mark.log || fail "forget: $(cat /tmp/mark.log)"
    rounds=$((rounds + 1))
    # Requests that waited are the engine's; the next ones go their own way again.
    sleep 0.2
  done
  wait $load || fail "fio: $(tail -20 /tmp/fio.log)"
  [ $rounds -ge 2 ] || fail "only $rounds rounds"
  [ "$(figure vol relocated_blocks)" -ge 1024 ] || fail "$(figure vol relocated_blocks) were moved"
  expect "remapped blocks" "$(figure vol remapped_blocks)" 0
}

# One write, of which main has nothing yet when its block is to move.
scenario_a_block_moves_after_the_writes_that_are_under_way() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  slow_disk "$main" 0 1500
  make_volume vol /dev/mapper/slow "$spare"
  sectors fill /dev/mapper/vol 8192 8 new >/tmp/taken &
  sleep 0.5
  dmsetup message vol 0 mark 8192+8 | grep -q '^changed 1 ' || fail mark
  wait
  expect "sectors that were taken" "$(cat /tmp/taken)" 8
  # Else it came after the mark, and the engine let it wait.
  expect "slow requests" "$(figure vol slow_requests)" 0
  pattern new 8 >/tmp/x.img
  same_at /dev/mapper/vol 8192 /tmp/x.img
}

# Reads take 200 ms, so that all of it is many turns; between them, a signal or a suspend ends it,
# with a rest.
scenario_mark_ends_early_with_a_signal_and_a_suspend() {
  main=$(null_disk m 16) spare=$(null_disk s 24)
  pattern a 1024 >/tmp/a.img
  put "$main" 20000 /tmp/a.img
  size=$(sectors_of "$main")
  # So slow that neither mark can end before it is told to, however late that is.
  slow_disk "$main" 200 0
  make_volume vol /dev/mapper/slow "$spare"
  dmsetup message vol 0 mark "0+$size" >/tmp/mark.log &
  marking=$!
  within 30 moved vol 1
  kill -TERM $marking
  wait $marking || true
  first=$(figure vol remapped_blocks)
  [ "$first" -lt $((size / 8)) ] || fail "the signal came too late: all is moved"

  dmsetup message vol 0 mark "0+$size" >/tmp/mark.log &
  marking=$!
  within 30 moved vol $((first + 1))
  dmsetup suspend vol
  wait $marking || fail "mark: $(cat /tmp/mark.log)"
  grep -q " unchanged $first lost 0 rest [1-9]" /tmp/mark.log || fail "mark: $(cat /tmp/mark.log)"
  rest=$(sed 's/.* rest //' /tmp/mark.log)
  dmsetup suspend slow
  dmsetup load slow --table "0 $size linear $main 0"
  dmsetup resume slow
  dmsetup resume vol
  expect "blocks before the rest" "$(figure vol remapped_blocks)" $((rest / 8))
  dmsetup message vol 0 mark "$rest+$((size - rest))" | grep -q " lost 0$" || fail "the rest"
  expect "blocks in the end" "$(figure vol remapped_blocks)" $((size / 8))
  same_at /dev/mapper/vol 20000 /tmp/a.img
}

scenario_status_table_and_garbage() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  size=$(sectors_of "$main")
  modprobe dm_remap
  # Not prepared by create: refused at resume, and nothing is left behind.
  refuses dmsetup create vol --table "0 $size remap $main 1 $spare"
  dmsetup remove vol 2>/dev/null || true
  make_volume vol "$main" "$spare"
  dmsetup status vol | grep -qE "^0 $size remap rw 0 0 0 2 L L 0/[0-9]+\$" || dmsetup status vol
  dmsetup status vol | grep -qE "^0 $size remap rw 0 0 0 2 L L 0/[0-9]+" || fail status
  dmsetup table vol | grep -qE "^0 $size remap [0-9]+:[0-9]+ 1 [0-9]+:[0-9]+\$" || fail table
  for words in "" "mark" "mark x" "mark 1+" "mark 1+0" "mark 99999999999999999999" \
    "mark $size" "mark 0+$((size + 1))" "forget -1" "map x" "events 1 2" "checkpoint 1" \
    "nonsense"; do
    # shellcheck disable=SC2086
    refuses dmsetup message vol 0 $words
  done
  dmsetup message vol 0 checkpoint | grep -q ok || fail checkpoint
  expect "events after the last number" \
    "$(dmsetup message vol 0 events 18446744073709551615)" "newest 0"
  expect "map behind the end" "$(dmsetup message vol 0 map 18446744073709551615)" end
  dmsetup message vol 0 stats | grep -q '^remapped_blocks 0$' || fail stats
  limits=" read_attempts write_attempts spare_attempts probes recover_deadline_ms "
  limits+="device_timeout_ms breaker_rest_ms scrub_kib_per_s "
  long=$(printf '%4000d' 7)x
  for file in /sys/block/dm-*/remap/0/*; do
    before=$(cat "$file")
    [ -n "$before" ] || fail "$file is empty"
    case $limits in
      *" ${file##*/} "*)
        for garbage in " " x -1 0 1x "1 2" 16777217 99999999999999999999 "$long"; do
          if printf %s "$garbage" 2>/dev/null >"$file"; then fail "$file takes '$garbage'"; fi
        done
        expect "${file##*/}" "$(cat "$file")" "$before"
        echo "$before" >"$file" || fail "$file takes not even its own value"
        ;;
      *) if echo 1 2>/dev/null >"$file"; then fail "$file takes a value"; fi ;;
    esac
  done
  for table in "remap" "remap $main" "remap $main 0" "remap $main 9 $spare" "remap $main 1" \
    "remap /dev/nothing 1 $spare" "remap $main 1 $spare 1" "remap $main 1 $spare 1 nonsense" \
    "remap $main 1 $spare 0 more" "remap $main x $spare"; do
    refuses dmsetup load vol --table "0 $size $table"
  done
  # The same disks in a second volume.
  refuses dmsetup create again --table "0 $size remap $main 1 $spare"
  dmsetup remove again 2>/dev/null || true
  dmsetup suspend vol
  dmsetup status vol | grep -q 'remap closed' || fail "status while suspended"
  refuses dmsetup message vol 0 checkpoint
  dmsetup resume vol
}

scenario_figures_tell_what_happened() {
  main=$(null_disk m 32) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  expect health "$(figure vol health_score)" 100
  expect map "$(figure vol region_map)" "$(printf '%64s' | tr ' ' .)"
  # One of 64 parts has 1024 sectors.
  bad_blocks m 1024 1031
  pattern a 128 >/tmp/a.img
  put /dev/mapper/vol 1024 /tmp/a.img
  expect map "$(figure vol region_map)" ".r$(printf '%62s' | tr ' ' .)"
  expect "pool of I/O contexts" "$(figure vol pool_io_size)" 32
  expect "pool of work items" "$(figure vol pool_work_size)" 16
  expect "pool of buffers" "$(figure vol pool_buffers_size)" 8
  expect "pool of health records" "$(figure vol pool_health_size)" 64
  expect "work under way" "$(figure vol pool_work_in_use)" 0
  [ "$(figure vol pool_work_high_water)" -ge 1 ] || fail "no work item was ever used"
  [ "$(figure vol commits)" -ge 1 ] || fail "no commit is counted"
  [ "$(figure vol write_errors_unspecified)" -ge 1 ] || fail "no error is counted"
  echo 5 >"$(folder_of vol)/read_attempts"
  expect "a limit" "$(figure vol read_attempts)" 5
  dmsetup suspend vol
  dmsetup resume vol
  expect "a limit after resume" "$(figure vol read_attempts)" 5
  expect map "$(figure vol region_map)" ".r$(printf '%62s' | tr ' ' .)"
  dmsetup message vol 0 stats >/tmp/stats
  for line in 'name vol' 'members 2' 'member_0_state live' 'member_1_used_blocks 1' \
    'health_score 100'; do
    grep -qx "$line" /tmp/stats || fail "stats lacks '$line': $(cat /tmp/stats)"
  done
}

# One request in 64 of each CPU is timed.
scenario_latency_histograms_have_every_64th_request() {
  main=$(null_disk m 16) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  cpus=$(grep -c ^processor /proc/cpuinfo)
  for way in write read; do
    fio --name=some --filename=/dev/mapper/vol --rw=rand$way --bs=4k --size=8m --direct=1 \
      --ioengine=libaio --iodepth=8 --minimal >/tmp/fio.log
    sent=$(figure vol "${way}s") timed=0
    [ "$sent" -ge 2048 ] || fail "only ${sent} ${way}s are counted"
    for bucket in $(figure vol ${way}_latency); do timed=$((timed + bucket)); done
    # What lies before the first and behind the last timed one of a CPU may be others.
    [ $timed -ge $((sent / 64 - cpus)) ] && [ $timed -le $((sent / 64 + cpus)) ] ||
      fail "$timed of $sent ${way}s are timed"
  done
}

scenario_wrong_and_damaged_members_are_refused() {
  main=$(null_disk m 32) spare=$(null_disk s 8) other=$(null_disk o 8)
  dm-remap create other --main "$main" --spare "$other" >/tmp/create.log
  # The same main: only by force.
  dm-remap create vol --force --main "$main" --spare "$spare" --spare "$(null_disk t 8)" \
    >/tmp/create.log
  second=/dev/t
  refuses start_volume vol "$main" "$spare" "$other"
  dmsetup remove vol 2>/dev/null || true
  refuses start_volume vol "$main" "$spare"
  dmsetup remove vol 2>/dev/null || true
  refuses start_volume vol "$spare" "$main" "$second"
  dmsetup remove vol 2>/dev/null || true
  # The order of the spares does not matter.
  start_volume vol "$main" "$second" "$spare"
  dmsetup remove vol
  dd if=/dev/zero of="$spare" bs=1M status=none 2>/dev/null || true
  refuses start_volume vol "$main" "$spare" "$second"
  dmsetup remove vol 2>/dev/null || true
  dmsetup create vol --table "0 $(sectors_of "$main") remap $main 2 - $second 1 degraded"
  dmsetup status vol | grep -q ' M ' || fail "not degraded: $(dmsetup status vol)"
}
