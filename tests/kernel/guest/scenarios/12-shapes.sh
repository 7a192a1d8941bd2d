# SPDX-License-Identifier: GPL-2.0-or-later
# Members that are a part of a disk, and requests that carry no data.
set -euo pipefail

le32() { # NUMBER: as four escaped bytes
  printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}
# DISK SECTOR: two partitions, one up to SECTOR and one from there to the end.
two_partitions() {
  truncate -s 512 /tmp/mbr.img
  {
    head -c 446 /tmp/mbr.img
    printf "\0\0\0\0\x83\0\0\0$(le32 8)$(le32 $(($2 - 8)))"
    printf "\0\0\0\0\x83\0\0\0$(le32 "$2")$(le32 $(($(sectors_of "$1") - $2)))"
    head -c 32 /tmp/mbr.img
    printf '\x55\xaa'
  } >/tmp/table.img
  put "$1" 0 /tmp/table.img 512
  blockdev --rereadpt "$1"
  [ -b "${1}1" ] && [ -b "${1}2" ] || fail "no partitions on $1"
}

# What recovery sends must land in the member's partition, and not where the disk has that sector.
scenario_partitions_are_members_and_their_neighbours_stay() {
  disk=$(null_disk m 16) spare_disk=$(null_disk s 12)
  two_partitions "$disk" 8200
  two_partitions "$spare_disk" 8200
  main=${disk}2 spare=${spare_disk}2
  pattern other 8192 >/tmp/other.img
  put "${disk}1" 0 /tmp/other.img 1M
  put "${spare_disk}1" 0 /tmp/other.img 1M
  make_volume vol "$main" "$spare"
  pattern old 4096 >/tmp/a.img
  put /dev/mapper/vol 2048 /tmp/a.img
  bad_blocks m $((8200 + 4000)) $((8200 + 4015))
  pattern a 4096 >/tmp/a.img
  put /dev/mapper/vol 2048 /tmp/a.img
  same_at /dev/mapper/vol 2048 /tmp/a.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 2
  # Rewritten, they cannot be read any more.
  bad_blocks m $((8200 + 5001)) $((8200 + 5002))
  expect unreadable "$(unreadable /dev/mapper/vol 4996 16)" "5001 5002 "
  reload_volume vol "$main" "$spare"
  expect "unreadable after reload" "$(unreadable /dev/mapper/vol 4996 16)" "5001 5002 "
  put /dev/mapper/vol 2048 /tmp/a.img 4k
  same_at /dev/mapper/vol 2048 /tmp/a.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 3
  dmsetup remove vol
  same_at "${disk}1" 0 /tmp/other.img
  same_at "${spare_disk}1" 0 /tmp/other.img
  dm-remap check "$main" "$spare" >/tmp/check.log || fail "check finds faults"
}

zeros() { head -c $(($1 * 512)) /dev/zero >/tmp/zero.img; } # SECTORS
zero_out() { # SECTOR SECTORS of vol, in as few requests as the kernel makes of it
  blkdiscard --zeroout --offset $(($1 * 512)) --length $(($2 * 512)) /dev/mapper/vol
}

scenario_zeroes_fill_remapped_blocks_and_clear_lost_ones() {
  zeroing_members
  pattern a 1024 >/tmp/a.img
  put "$main" 4096 /tmp/a.img
  make_volume vol "$main" "$spare"
  [ "$(cat "$(folder_of vol)/../../queue/write_zeroes_max_bytes")" -gt 0 ] ||
    fail "the volume takes no write-zeroes"
  dmsetup message vol 0 mark 4720+16 | grep -q '^changed 2 ' || fail mark
  medium_errors 2
  expect unreadable "$(unreadable /dev/mapper/vol 4656 8)" "4660 4661 4662 "
  medium_errors 0
  # A discard promises nothing, so it brings nothing back.
  blkdiscard --offset $((4656 * 512)) --length 4096 /dev/mapper/vol
  expect "unreadable after a discard" "$(unreadable /dev/mapper/vol 4656 8)" "4660 4661 4662 "
  zero_out 4661 1
  expect "unreadable after one" "$(unreadable /dev/mapper/vol 4656 8)" "4660 4662 "
  zeros 1
  same_at /dev/mapper/vol 4661 /tmp/zero.img
  # Plain, lost and remapped blocks at once, from the middle of a block to the middle of another.
  zero_out 4628 100
  [ "$(figure vol write_zeroes)" -gt 1 ] || fail "no write-zeroes arrived"
  expect "lost sectors" "$(figure vol lost_sectors)" 0
  expect "remapped blocks" "$(figure vol remapped_blocks)" 3
  zeros 100
  head -c $((532 * 512)) /tmp/a.img >/tmp/before.img
  tail -c +$((632 * 512 + 1)) /tmp/a.img >/tmp/after.img
  for time in "at once" "after reload"; do
    same_at /dev/mapper/vol 4628 /tmp/zero.img
    same_at /dev/mapper/vol 4096 /tmp/before.img
    same_at /dev/mapper/vol 4728 /tmp/after.img
    [ "$time" = "after reload" ] || reload_volume vol "$main" "$spare"
  done
}

# A loop device on a tmpfs says that it takes write-zeroes, and cannot do any: the kernel then
# writes. Nothing is wrong with the disk.
scenario_zeroes_that_a_disk_cannot_do_are_written() {
  modprobe loop
  truncate -s 16M /tmp/main.img
  truncate -s 8M /tmp/spare.img
  main=$(losetup --find --show /tmp/main.img) spare=$(losetup --find --show /tmp/spare.img)
  trap 'dmsetup remove vol; losetup -d "$main"; losetup -d "$spare"' EXIT
  make_volume vol "$main" "$spare"
  pattern a 64 >/tmp/a.img
  put /dev/mapper/vol 800 /tmp/a.img
  dmsetup message vol 0 mark 816+8 | grep -q '^changed 1 ' || fail mark
  zero_out 808 40
  [ "$(figure vol write_zeroes)" -gt 0 ] || fail "no write-zeroes arrived"
  zeros 40
  same_at /dev/mapper/vol 808 /tmp/zero.img
  head -c $((8 * 512)) /tmp/a.img >/tmp/before.img
  same_at /dev/mapper/vol 800 /tmp/before.img
  expect "remapped blocks" "$(figure vol remapped_blocks)" 1
  expect "lost sectors" "$(figure vol lost_sectors)" 0
}
