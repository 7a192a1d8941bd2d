# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaging metadata on purpose: where its blocks lie, and how to forge one with a good CRC.
Written from docs/format.md, not from the program's code."""

import struct

BLOCK = 4096
SECTOR = 512
CRC_AT = 8
KIND_AT = 12
VERSION_MAJOR_AT = 64
INCOMPAT_AT = 64 + 8 + 16
CRC_SEED = 0x444D5200


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc32c(seed, data):
    crc = seed ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def read_block(path, sector):
    with open(path, "rb") as file:
        file.seek(sector * SECTOR)
        return bytearray(file.read(BLOCK))


def write_block(path, sector, block):
    with open(path, "r+b") as file:
        file.seek(sector * SECTOR)
        file.write(block)


def flip(path, sector, at=200, bit=3):
    block = read_block(path, sector)
    block[at] ^= 1 << bit
    write_block(path, sector, block)


def zero(path, sector):
    write_block(path, sector, bytes(BLOCK))


def sealed(block):
    """`block` with the CRC that it should have."""
    block = bytearray(block)
    kind = struct.unpack_from("<H", block, KIND_AT)[0]
    struct.pack_into("<I", block, CRC_AT, 0)
    struct.pack_into("<I", block, CRC_AT, crc32c(CRC_SEED + kind, block))
    return block


def forge(path, sector, form, at, value):
    """Changes a field of a block, and makes its CRC good again."""
    block = read_block(path, sector)
    struct.pack_into(form, block, at, value)
    write_block(path, sector, sealed(block))
