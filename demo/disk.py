# SPDX-License-Identifier: GPL-2.0-or-later
"""A failing disk: a sparse file and the plan of its bad sectors for the `faulty` decorator.

Bad sectors of real disks come in clusters: most bursts are one or two sectors long and a few have
hundreds, and the next burst is often within the same megabytes. Positions, bursts and distances are
drawn from such distributions, always the same ones for the same seed."""

import json
import os
import random

SECTOR = 512
MAIN_BYTES = 1 << 30
SPARE_BYTES = 64 << 20
# The first blocks of a filesystem are left alone, or the run without a layer would end at mkfs.
SPARED_BYTES = 48 << 20
LARGEST_GAP_SECTORS = 4096


class FailingDisk:
    """`unreadable` takes writes and cannot be read; `unwritable` refuses writes; `weak` fails twice
    and reads then, from the time on that the story adds it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        taken = []
        self.unreadable = self.clusters(7, taken)
        self.unwritable = self.clusters(9, taken)
        self.weak = self.clusters(9, taken)
        self.taken = taken

    def burst_length(self):
        kind = self.random.random()
        if kind < 0.60:
            return self.random.randint(1, 2)
        if kind < 0.93:
            return self.random.randint(3, 40)
        return self.random.randint(41, 600)

    def cluster(self):
        at = self.random.randrange(SPARED_BYTES // SECTOR, (MAIN_BYTES - (16 << 20)) // SECTOR)
        bursts = []
        for _ in range(self.random.randint(4, 14)):
            length = self.burst_length()
            bursts.append((at, length))
            gap = int(LARGEST_GAP_SECTORS ** self.random.random())
            at += length + max(1, gap)
        return bursts

    def clusters(self, number, taken):
        """Bursts as (sector, count), apart from all that are taken."""
        found = []
        while number > 0:
            cluster = self.cluster()
            begin, end = cluster[0][0], sum(cluster[-1])
            if any(begin < other_end and other_begin < end for other_begin, other_end in taken):
                continue
            taken.append((begin, end))
            found.extend(cluster)
            number -= 1
        return sorted(found)

    def is_bad(self, sector, count):
        return any(begin < sector + count and sector < end for begin, end in self.taken)

    def write_plan(self, path):
        ranges = [fault(sector, count, "read") for sector, count in self.unreadable]
        ranges += [fault(sector, count, "write") for sector, count in self.unwritable]
        with open(path, "w", encoding="ascii") as file:
            json.dump({"ranges": ranges}, file, indent=1)


def fault(sector, count, on, **more):
    return {"sector": sector, "count": count, "on": on, "error": "EIO", **more}


def sectors_in(bursts):
    return sum(count for _, count in bursts)


def make_sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
        os.fsync(file.fileno())
