# SPDX-License-Identifier: GPL-2.0-or-later
"""A failing disk: a sparse file and the plan of its bad sectors for the `faulty` decorator.

Bad sectors of real disks come in clusters: most bursts are one or two sectors long, a few have
hundreds, and the next one is near. The distances are drawn around those of a failing laptop disk
(the ddrescue mapfile that kddrescueview brings as its example; the quartiles of its 126 gaps are
134, 746 and 14,208 sectors). The same seed always draws the same disk."""

import json
import os
import random

SECTOR = 512
MAIN_BYTES = 1 << 30
SPARE_BYTES = 64 << 20
# The first blocks of a filesystem are left alone, or the run without a layer would end at mkfs.
SPARED_BYTES = 48 << 20
CROWDED_BYTES = 224 << 20
SMALLEST_GAP_SECTORS, LARGEST_GAP_SECTORS = 16, 1 << 15
BLOCK = 8   # sectors; two kinds of faults share no block


class FailingDisk:
    """`unreadable` takes writes and cannot be read; `unwritable` refuses writes; `weak` fails a
    few times before it reads, from the time on that the story adds it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.taken = []
        self.unreadable = self.clusters(7)
        self.unwritable = self.clusters(12)
        self.weak = self.clusters(10)

    def anywhere(self):
        """Every second one where filesystems put their first files."""
        end = CROWDED_BYTES if self.random.random() < 0.5 else MAIN_BYTES - (64 << 20)
        return self.random.randrange(SPARED_BYTES // SECTOR, end // SECTOR)

    def burst_length(self):
        kind = self.random.random()
        if kind < 0.60:
            return self.random.randint(1, 2)
        if kind < 0.93:
            return self.random.randint(3, 40)
        return self.random.randint(41, 600)

    def cluster(self, at):
        """Bursts as (sector, count) from a sector on."""
        bursts = []
        for _ in range(self.random.randint(4, 14)):
            length = self.burst_length()
            bursts.append((at, length))
            factor = (LARGEST_GAP_SECTORS / SMALLEST_GAP_SECTORS) ** self.random.random()
            at += length + int(SMALLEST_GAP_SECTORS * factor)
        return bursts

    def clusters(self, number):
        """The bursts of so many clusters, without those that meet what is bad already."""
        found = []
        for _ in range(number):
            for burst in self.cluster(self.anywhere()):
                if sum(burst) < MAIN_BYTES // SECTOR and not self.is_bad(*burst):
                    found.append(burst)
                    self.taken.append(burst)
        return sorted(found)

    def is_bad(self, sector, count):
        begin, end = sector // BLOCK, (sector + count - 1) // BLOCK
        return any(at // BLOCK <= end and begin <= (at + length - 1) // BLOCK
                   for at, length in self.taken)

    def write_plan(self, path):
        ranges = [fault(sector, count, "read") for sector, count in self.unreadable]
        ranges += [fault(sector, count, "write") for sector, count in self.unwritable]
        with open(path, "w", encoding="ascii") as file:
            json.dump({"ranges": ranges}, file, indent=1)


def fault(sector, count, on, **more):
    return {"sector": sector, "count": count, "on": on, "error": "EIO", **more}


def blocks_of(burst):
    """The parts of a burst in each block of 4 KiB, as a disk with such physical sectors fails."""
    at, count = burst
    end = at + count
    while at < end:
        part = min(end, (at // BLOCK + 1) * BLOCK) - at
        yield at, part
        at += part


def sectors_in(bursts):
    return sum(count for _, count in bursts)


def make_sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
        os.fsync(file.fileno())
