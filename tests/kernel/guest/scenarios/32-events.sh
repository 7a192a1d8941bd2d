# SPDX-License-Identifier: GPL-2.0-or-later
# What a volume tells of itself arrives where somebody listens.
set -euo pipefail

scenario_events_reach_user_space() {
  main=$(null_disk m 32) first=$(null_disk s 1) second=$(null_disk t 1)
  listen
  switchable sw "$main"
  make_volume vol /dev/mapper/sw "$first" "$second"
  echo 500 >"$(folder_of vol)/breaker_rest_ms"
  disk=$(disk_of vol)
  pattern a 64 >/tmp/a.img
  put /dev/mapper/vol 8192 /tmp/a.img
  bad_blocks m 808 815
  put /dev/mapper/vol 808 /tmp/a.img 4k
  within 30 heard "^change $disk remapped 0 808 8 0$"
  bad_blocks m 8194 8195
  refuses get /dev/mapper/vol 8192 8 /tmp/b.img
  within 30 heard "^change $disk lost 0 8194 2 0$"

  # Main as a whole.
  pull_cable sw
  refuses put /dev/mapper/vol 9000 /tmp/a.img 4k
  plug_cable sw "$main"
  within 30 heard "^change $disk breaker_open 0 "
  # The next refused block finds that the disk answers again.
  bad_blocks m 2400 2407
  within 30 put /dev/mapper/vol 2400 /tmp/a.img 4k 2>/tmp/tries
  within 30 heard "^change $disk breaker_closed 0 "

  total=$(figure vol spare_total)
  dmsetup message vol 0 mark "16384+$((total * 8 * 15 / 16))" >/tmp/mark.log
  within 30 heard "^change $disk spare_low 0 "

  # The second spare refuses the next commit.
  bad_blocks t 0 $(($(sectors_of "$second") - 1))
  bad_blocks m 1600 1607
  put /dev/mapper/vol 1600 /tmp/a.img 4k 2>/tmp/tries || true
  within 30 heard "^change $disk member_failed 2 "

  dm-remap events vol >/tmp/events
  for kind in remapped lost breaker_open breaker_closed spare_low member_failed; do
    grep -qw $kind /tmp/events || fail "events lacks $kind: $(cat /tmp/events)"
  done
}
