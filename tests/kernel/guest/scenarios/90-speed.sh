# SPDX-License-Identifier: GPL-2.0-or-later
# Run only when named (make bench-kernel). Each figure is the speed of the volume in parts of that
# of a dm-linear device on the same disk, in the same boot, in alternating rounds: emulation makes
# absolute figures worthless. With $DMR_VM_COUNT time is the number of instructions that ran.
set -euo pipefail

ROUNDS=32

# The median of the rounds' ratios, and the interval in which 95 % of the medians lie that 1,000
# drawings with replacement give. Input: `<a> <b>` a line. Short only when the interval lies below.
judge() { # TITLE LEAST UNIT
  awk -v title="$1" -v least="$2" -v unit="$3" '
    function sort(v, n, i, j, t) {
      for (i = 2; i <= n; i++) {
        t = v[i]
        for (j = i - 1; j > 0 && v[j] > t; j--) v[j + 1] = v[j]
        v[j + 1] = t
      }
    }
    function median(v, n) {
      sort(v, n)
      return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    {a[NR] = $1; b[NR] = $2; r[NR] = $1 / $2}
    END {
      srand(1)
      for (k = 1; k <= 1000; k++) {
        for (i = 1; i <= NR; i++) drawn[i] = r[int(rand() * NR) + 1]
        medians[k] = median(drawn, NR)
      }
      sort(medians, 1000)
      verdict = least == 0 ? "" : medians[975] < least ? ", SHORT of " least : ", at least " least
      printf "BENCH %s: %.3f of dm-linear (%.3f to %.3f%s), %d rounds; %.0f and %.0f %s\n", title,
        median(r, NR), medians[25], medians[975], verdict, NR, median(a, NR), median(b, NR), unit
    }'
}

compare() { # TITLE LEAST RW BS SIZE DEPTH VOLUME LINEAR: one fio, whose jobs take turns
  {
    printf '[global]\nrw=%s\nbs=%s\nsize=%s\niodepth=%s\ndirect=1\nioengine=libaio\nthread=1\n' \
      "$3" "$4" "$5" "$6"
    printf 'time_based=1\nruntime=%sms\nstonewall=1\nnorandommap=1\n' "$ROUND_MS"
    for round in $(seq "$ROUNDS"); do
      # First one, then the other: whatever drifts within a round cancels out.
      if [ $((round % 2)) -eq 1 ]; then first=$7 second=$8; else first=$8 second=$7; fi
      printf '[%s]\nfilename=%s\n' "a$round" "$first" "b$round" "$second"
    done
  } >/tmp/compare.fio
  fio --minimal /tmp/compare.fio >/tmp/compare.out
  # IOPS of reads and of writes.
  awk -F ';' -v bs="$4" '{print $3, $8 + $49, ($7 + $48) * 1024 / 1000000}' /tmp/compare.out |
    sort -k1.2n -k1.1,1.1 >/tmp/compare.sorted
  awk -v wanted="${9:-iops}" '{
    value = wanted == "iops" ? $2 : $3
    odd = substr($1, 2) % 2
    if (substr($1, 1, 1) == "a") first = value
    else if (odd) print first, value
    else print value, first
  }' /tmp/compare.sorted | judge "$1" "$2" "${9:-iops}"
}

fill() { # DEVICE MIB: a RAM disk has no memory before it is written
  dd if=/dev/zero of="$1" bs=1M count="$2" oflag=direct status=none
}

# $1: what is said of the map
loads_beside_dm_linear() {
  dmsetup create line --table "0 $(sectors_of "$main") linear $main 0"
  compare "4 KiB random reads, $1" 0.97 randread 4k 64m 16 /dev/mapper/vol /dev/mapper/line
  compare "4 KiB random writes, $1" 0.97 randwrite 4k 64m 16 /dev/mapper/vol /dev/mapper/line
  compare "1 MiB sequential reads, $1" 0.99 read 1m 64m 4 /dev/mapper/vol /dev/mapper/line
  compare "1 MiB sequential writes, $1" 0.99 write 1m 64m 4 /dev/mapper/vol /dev/mapper/line
  expect "slow requests" "$(figure vol slow_requests)" 0
}

scenario_bench_healthy_volume() {
  main=$(null_disk m 1024) spare=$(null_disk s 8)
  fill "$main" 64
  make_volume vol "$main" "$spare"
  loads_beside_dm_linear "no remaps"
}

scenario_bench_with_100000_remaps_elsewhere() {
  main=$(null_disk m 1024) spare=$(null_disk s 480)
  fill "$main" 64
  map_image vol "$main" "$spare" 100000
  start_volume vol "$main" "$spare"
  loads_beside_dm_linear "100,000 remaps elsewhere"
}

scenario_bench_small_loop_device() {
  modprobe loop
  truncate -s 10M /tmp/main.bin
  truncate -s 5M /tmp/spare.bin
  main=$(losetup -f)
  losetup "$main" /tmp/main.bin
  spare=$(losetup -f)
  losetup "$spare" /tmp/spare.bin
  fill "$main" 10
  make_volume vol "$main" "$spare"
  dmsetup create line --table "0 $(sectors_of "$main") linear $main 0"
  set -- 10m 1 /dev/mapper/vol /dev/mapper/line MB/s
  compare "loop device, 4 KiB sequential reads" 0 read 4k "$@"
  compare "loop device, 1 KiB sequential writes" 0 write 1k "$@"
  dmsetup remove vol
  dmsetup remove line
  losetup -d "$main"
  losetup -d "$spare"
}
