# SPDX-License-Identifier: GPL-2.0-or-later
"""The way without root, or where nothing can be mounted: a real ext4 image made by mke2fs goes over
NBD to the server, comes back over NBD, and is read with debugfs."""

import os
import re
import subprocess

import files
from disk import MAIN_BYTES, SECTOR
from nbd import NbdClient
from workshop import DemoError

CHUNK = 1 << 20
BLOCK = 4096


def chunks_with_data(handle):
    """Where a sparse file is more than a hole."""
    end = 0
    while True:
        try:
            begin = os.lseek(handle, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(handle, begin, os.SEEK_HOLE)
        yield from range(begin // CHUNK * CHUNK, end, CHUNK)
        end = -(-end // CHUNK) * CHUNK   # the last chunk has been taken whole


class Wired:
    words = "an ext4 image, written and read over NBD"
    export = "nbd"

    def __init__(self, workshop, server):
        self.workshop, self.server = workshop, server
        self.client = None
        self.image = os.path.join(workshop.disks, f"{server.name}.ext4")
        self.copy = os.path.join(workshop.disks, f"{server.name}.copy.ext4")
        self.chunks = []      # offsets of the parts that mke2fs has written to
        self.unread = set()   # sectors that gave an error when the image came back

    # ---- the device ----

    def attach(self):
        self.client = NbdClient(self.server.start(self.export))

    def detach(self):
        self.unmount()
        self.server.stop()

    def bury(self):
        self.client = None

    def mount(self):
        if self.client is None:
            self.client = NbdClient(self.server.path)

    def unmount(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def remount(self):
        """Nothing is cached on this way."""

    scan_command = "# what `badblocks -b 4096` does, by this script over NBD"

    def scan(self, listing):
        """Reads all and lists what cannot be read, in blocks of 4 KiB like badblocks(8)."""
        bad = []
        for offset in range(0, MAIN_BYTES, CHUNK):
            try:
                self.client.read(offset, CHUNK)
            except OSError:
                for block in range(offset, offset + CHUNK, BLOCK):
                    try:
                        self.client.read(block, BLOCK)
                    except OSError:
                        bad.append(block // BLOCK)
        with open(listing, "w", encoding="ascii") as file:
            file.writelines(f"{block}\n" for block in bad)

    def read_sector(self, sector):
        try:
            return bytes(self.client.read(sector * SECTOR, SECTOR))
        except OSError as error:
            return error.errno

    # ---- the filesystem ----

    def format(self):
        """The image is made together with its files: see store()."""

    def store(self, chosen, progress):
        stage = self.workshop.folder(self.workshop.disks)
        for file in chosen:
            files.copy(file, os.path.join(stage, file.name))
        with open(self.image, "wb") as image:
            image.truncate(MAIN_BYTES)
        self.workshop.run("mke2fs", "-q", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=0",
                          "-d", stage, self.image)
        failed = 0
        with open(self.image, "rb", buffering=0) as image:
            self.chunks = list(chunks_with_data(image.fileno()))
            for number, offset in enumerate(self.chunks):
                failed += self.send(offset, os.pread(image.fileno(), CHUNK, offset))
                progress.at(progress.total * number // len(self.chunks))
        try:
            self.client.flush()
        except OSError as error:
            return [f"flush: {error.strerror}"]
        return [f"{failed} blocks of 4 KiB refused"] if failed else []

    def send(self, offset, data):
        """Blocks of this chunk that the server refused."""
        try:
            self.client.write(offset, data)
            return 0
        except OSError:
            pass
        refused = 0
        for at in range(0, CHUNK, BLOCK):
            try:
                self.client.write(offset + at, data[at:at + BLOCK])
            except OSError:
                refused += 1
        return refused

    def fetch(self, progress=lambda number: None):
        """The image as the server has it now; sectors that it cannot read are zeros and noted."""
        self.unread.clear()
        with open(self.copy, "wb", buffering=0) as copy:
            copy.truncate(MAIN_BYTES)
            for number, offset in enumerate(self.chunks):
                os.pwrite(copy.fileno(), self.receive(offset, CHUNK), offset)
                progress(number)

    def receive(self, offset, length):
        try:
            return bytes(self.client.read(offset, length))
        except OSError:
            if length == SECTOR:
                self.unread.add(offset // SECTOR)
                return bytes(SECTOR)
        step = BLOCK if length > BLOCK else SECTOR
        return b"".join(self.receive(at, step) for at in range(offset, offset + length, step))

    def read_back(self, chosen, progress):
        self.fetch(lambda number: progress.at(progress.total * number // len(self.chunks)))
        out = self.workshop.folder(self.workshop.disks)
        self.workshop.run("debugfs", "-R", f"rdump / {out}", self.copy, check=False)
        verdict = files.Verdict()
        for file in chosen:
            before = verdict.wrong
            files.judge(file, os.path.join(out, file.name), verdict)
            # debugfs reads the zeros that stand for what could not be read: that was an error.
            if verdict.wrong > before and self.touches_unread(file):
                verdict.wrong -= 1
                verdict.unreadable += 1
        return verdict

    def touches_unread(self, file):
        return any(sector in self.unread for begin, count in self.extents(file)
                   for sector in range(begin, begin + count))

    def extents(self, file):
        """[(first sector, sectors)] of the device, in the file's order."""
        done = self.workshop.run("debugfs", "-R", f'blocks "/{file.name}"', self.image,
                                 stderr=subprocess.DEVNULL)
        blocks = [int(word) for word in re.findall(r"\d+", done.stdout.splitlines()[-1])]
        found = []
        for block in blocks:
            sector = block * BLOCK // SECTOR
            if found and sum(found[-1]) == sector:
                found[-1] = (found[-1][0], found[-1][1] + BLOCK // SECTOR)
            else:
                found.append((sector, BLOCK // SECTOR))
        return found

    def check_filesystem(self):
        """e2fsck, read-only, of what comes back, as (clean, its words)."""
        self.mount()
        self.fetch()
        done = self.workshop.run("e2fsck", "-fn", self.copy, check=False)
        return done.returncode == 0, done.stdout

    # ---- a file that is written piece by piece ----

    def open_pieces(self, file):
        extents = self.extents(file)
        if sum(count for _, count in extents) * SECTOR < file.size:
            raise DemoError(f"{file.name} has holes")
        return WiredPieces(self.client, extents)

    def write_synced(self, _source, _name):
        """A new file needs a mounted filesystem."""
        return False


class WiredPieces:
    """Pieces of an existing file, written to its sectors; a write returns when it is durable."""

    def __init__(self, client, extents):
        self.client, self.extents = client, extents

    def place(self, offset):
        for begin, count in self.extents:
            if offset < count * SECTOR:
                return begin * SECTOR + offset
            offset -= count * SECTOR
        raise DemoError("an offset behind the end of the file")

    def write(self, offset, data):
        self.client.write(self.place(offset), data, fua=True)

    def read(self, offset, length):
        return bytes(self.client.read(self.place(offset), length))

    def close(self):
        pass
