# SPDX-License-Identifier: GPL-2.0-or-later
# Run only when named. Rounds alternate with dm-linear on the same RAM disk; emulation makes the
# absolute figures worthless, the ratio counts.
set -euo pipefail

iops() { # DEVICE RW BS: of one second
  fio --name=speed --filename="$1" --rw="$2" --bs="$3" --direct=1 --ioengine=libaio --iodepth=16 \
    --time_based --runtime=1 --ramp_time=0.2 --minimal |
    awk -F ';' '{printf "%d\n", $8 + $49}'
}
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

scenario_bench_beside_dm_linear() {
  main=$(null_disk m 64) spare=$(null_disk s 8)
  make_volume vol "$main" "$spare"
  other=$(null_disk o 64)
  dmsetup create line --table "0 $(sectors_of "$other") linear $other 0"
  for load in "randread 4k" "randwrite 4k" "read 1M"; do
    rm -f /tmp/ratio.img
    for round in 1 2 3 4 5 6 7 8; do
      # shellcheck disable=SC2086
      a=$(iops /dev/mapper/vol $load) b=$(iops /dev/mapper/line $load)
      echo $((a * 1000 / b)) >>/tmp/ratio.img
    done
    echo "BENCH $load: remap/linear median $(median </tmp/ratio.img)/1000 of 8 rounds, last $a $b"
  done
}
