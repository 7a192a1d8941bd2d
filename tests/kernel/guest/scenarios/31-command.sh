# SPDX-License-Identifier: GPL-2.0-or-later
# The command dm-remap on volumes that the kernel runs, and the same volume in kernel and server.
set -euo pipefail

# Bad blocks 512 to 515 of main (sectors 4096 to 4127) refuse reads and writes.
make_tank() {
  main=$(null_disk nmain 64)
  spare=$(null_disk nspare 8)
  dm-remap create tank --main "$main" --spare "$spare"
  bad_blocks nmain 4096 4127
  pattern tank 64 >/tmp/tank.img
}
tank_figure() { # the number under this key of `status`
  dm-remap status tank --json | sed -n "s/^ *\"$1\": \\([0-9]*\\),*$/\\1/p" | head -1
}

scenario_command_shows_and_changes_a_volume_in_the_kernel() {
  make_tank
  # The module is not loaded yet.
  [ ! -d /sys/module/dm_remap ] || fail "the module is loaded already"
  expect path "$(dm-remap start tank --export dm)" /dev/mapper/tank
  expect uuid "$(dmsetup info -c --noheadings -o uuid tank | cut -c1-8)" DMREMAP-
  put /dev/mapper/tank 4080 /tmp/tank.img
  same_at /dev/mapper/tank 4080 /tmp/tank.img
  expect remapped "$(tank_figure remapped_blocks)" 4
  dm-remap status tank | grep -q '/dev/mapper/tank (dm)' || fail "status"
  dm-remap status tank --verbose | grep -q 'Run by *the kernel' || fail "status --verbose"
  expect runs "$(dm-remap map tank | grep -c 'spare 1 sector')" 1
  dm-remap mark tank 80+80 | grep -q '^10 blocks moved' || fail "mark"
  expect runs "$(dm-remap map tank | grep -c 'spare 1 sector')" 2
  dm-remap mark tank 4112+8 | grep -q '^0 blocks moved' || fail "mark what is there already"
  dm-remap forget tank 80+80 | grep -q '^10 blocks back on main' || fail "forget"
  expect remapped "$(tank_figure remapped_blocks)" 4
  printf '20\n22\n' | dm-remap import tank --badblocks - --block-size 4096 | grep -q '2 blocks' ||
    fail "import"
  expect export "$(dm-remap export tank --badblocks --block-size 4096 | tr '\n' ' ')" \
    "20 22 512 513 514 515 "
  dm-remap events tank | grep -q remapped || fail "events"
  expect news "$(dm-remap events tank --json | grep -c '"kind":"remapped"')" 4
  dm-remap list | grep -qE '^tank +running +/dev/mapper/tank +/dev/nmain +/dev/nspare' ||
    fail "list"
  same_at /dev/mapper/tank 4080 /tmp/tank.img
  dm-remap stop tank
  [ ! -e /dev/mapper/tank ] || fail "stop has left the device"
  dm-remap check "$main" "$spare" | grep -q sound || fail "check"
}

scenario_volume_goes_from_kernel_to_server_and_back() {
  modprobe fuse
  modprobe loop
  trap 'dm-remap stop tank --force >/dev/null 2>&1 || true' EXIT
  make_tank
  pattern later 32 >/tmp/later.img
  dm-remap start tank --export dm
  put /dev/mapper/tank 4080 /tmp/tank.img
  dm-remap map tank >/tmp/map.kernel
  dm-remap stop tank

  path=$(dm-remap start tank --export fuse)
  dm-remap map tank >/tmp/map.server
  cmp /tmp/map.kernel /tmp/map.server || fail "the server sees another map"
  same_at "$path" 4080 /tmp/tank.img
  # What the server has, the kernel does not get, nor by another name.
  refuses dm-remap start tank --export dm
  grep -q 'running already (process' /tmp/refused || fail "$(cat /tmp/refused)"
  refuses dmsetup create other --table "$(table_of "$main" "$spare")"
  bad_blocks nmain 8192 8199
  put "$path" 8176 /tmp/later.img
  dm-remap stop tank

  # Without --export, the kernel is the best that there is.
  expect path "$(dm-remap start tank)" /dev/mapper/tank
  same_at /dev/mapper/tank 4080 /tmp/tank.img
  same_at /dev/mapper/tank 8176 /tmp/later.img
  expect remapped "$(tank_figure remapped_blocks)" 5
  dm-remap stop tank
}

scenario_command_says_who_uses_a_device_and_why_the_kernel_refuses() {
  make_tank
  dm-remap start tank --export dm
  other=$(null_disk nother 8)
  for words in "start tank" "start tank --export fuse" "check $main $spare" "check $main" \
    "create other --main $main --spare $other"; do
    refuses dm-remap $words
    grep -q '`tank`' /tmp/refused || fail "$words: $(cat /tmp/refused)"
    grep -qE 'in the kernel|running volume' /tmp/refused || fail "$words: $(cat /tmp/refused)"
  done
  # Somebody has it open.
  exec 9</dev/mapper/tank
  refuses dm-remap stop tank
  grep -q -- '--force' /tmp/refused || fail "$(cat /tmp/refused)"
  dm-remap stop tank --force
  refuses dd if=/proc/self/fd/9 of=/dev/null bs=4096 count=1 iflag=direct
  exec 9<&-
  refuses dmsetup info tank
  dm-remap check "$main" "$spare" | grep -q sound || fail "check"

  expect path "$(dm-remap start tank --export dm --read-only)" /dev/mapper/tank
  refuses put /dev/mapper/tank 0 /tmp/tank.img
  dm-remap status tank | grep -q 'read-only' || fail "status of a read-only one"
  dm-remap stop tank
  # A main of another size: the metadata is examined before the kernel sees it.
  other=$(null_disk nwrong 32)
  refuses dm-remap start --main "$other" --spare "$spare" --export dm
  grep -q "$other" /tmp/refused || fail "$(cat /tmp/refused)"
  # The name is taken by another program's mapping.
  dmsetup create tank --table "0 8 error"
  refuses dm-remap start tank --export dm
  grep -q 'no volume of dm-remap' /tmp/refused || fail "$(cat /tmp/refused)"
  dmsetup remove tank
}
