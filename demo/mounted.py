# SPDX-License-Identifier: GPL-2.0-or-later
"""The way with root: a loop device on the served file, an ext4 filesystem on it, mounted."""

import array
import fcntl
import mmap
import os
import stat
import struct

import files
from disk import SECTOR
from workshop import DemoError

FIEMAP_IOCTL = 0xC020660B
MAX_EXTENTS = 512


def usable(workshop):
    """Why nothing can be mounted here, or an empty text."""
    if os.geteuid() != 0:
        return "not root"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "no /dev/fuse"
    image = os.path.join(workshop.short, "probe.img")
    folder = os.path.join(workshop.short, "probe")
    os.mkdir(folder)
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    workshop.run("mkfs.ext4", "-q", image)
    # Loop device and mount together; `umount` takes both away.
    done = workshop.run("mount", "-t", "ext4", "-o", "loop", image, folder, check=False)
    if done.returncode != 0:
        return f"mounting does not work here ({done.stdout.strip().splitlines()[-1:]})"
    workshop.run("umount", folder)
    return ""


class Mounted:
    words = "an ext4 filesystem, mounted"
    export = "fuse"

    def __init__(self, workshop, server):
        self.workshop, self.server = workshop, server
        self.folder = workshop.folder(workshop.short)
        self.device = self.loop = self.mounted = None

    # ---- the device ----

    def attach(self):
        """A block device for what the server serves: its own, or a loop device on its file."""
        path = self.server.start(self.export)
        self.device = path
        if not stat.S_ISBLK(os.stat(path).st_mode):
            done = self.workshop.run("losetup", "--find", "--show", "--direct-io=on", path)
            self.device = done.stdout.strip()
            self.loop = self.workshop.later(
                f"detach {self.device}",
                lambda device=self.device: self.workshop.run("losetup", "--detach", device))

    def detach(self):
        if self.loop:
            self.workshop.now(self.loop)
            self.loop = None
        self.server.stop()

    def bury(self):
        """After the server's death: nothing answers any more, take down what stood on it."""
        if self.mounted:
            self.workshop.forget(self.mounted)
            self.workshop.run("umount", "--lazy", self.folder, check=False)
            self.mounted = None

    @property
    def scan_command(self):
        return f"badblocks -b 4096 -o bad.txt {self.device}"

    def scan(self, listing):
        self.workshop.run("badblocks", "-b", "4096", "-o", listing, self.device)

    def read_sector(self, sector):
        """Its content, or the errno that the read ended with."""
        buffer = mmap.mmap(-1, SECTOR)  # direct I/O wants aligned memory
        handle = os.open(self.device, os.O_RDONLY | os.O_DIRECT)
        try:
            os.preadv(handle, [buffer], sector * SECTOR)
            return bytes(buffer)
        except OSError as error:
            return error.errno
        finally:
            os.close(handle)
            buffer.close()

    # ---- the filesystem ----

    def format(self):
        """Why it failed, or an empty text; None where store() does it."""
        done = self.workshop.run("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0",
                                 self.device, check=False)
        return done.stdout.strip() if done.returncode != 0 else ""

    def mount(self):
        done = self.workshop.run("mount", "-t", "ext4", "-o", "noatime", self.device, self.folder,
                                 check=False)
        if done.returncode != 0:
            words = done.stdout.strip().splitlines()[0].rsplit(": ", 1)[-1]
            raise DemoError(f"the filesystem cannot be mounted: {words}")
        self.mounted = self.workshop.later(f"unmount {self.folder}",
                                           lambda: self.workshop.run("umount", self.folder))

    def unmount(self):
        if self.mounted:
            self.workshop.now(self.mounted)
            self.mounted = None

    def remount(self):
        """The same filesystem with nothing of it left in memory."""
        self.unmount()
        self.mount()

    def store(self, chosen, progress):
        """Writes all files. The errors that the system reported, as texts."""
        errors, done = [], 0
        for file in chosen:
            try:
                files.copy(file, self.path_of(file))
            except OSError as error:
                errors.append(f"{file.name}: {error.strerror}")
                file.digest = file.digest or files.digest_of(file.source)
            done += file.size
            progress.at(done)
        synced = self.workshop.run("sync", "--file-system", self.folder, check=False)
        if synced.returncode != 0:
            errors.append(f"sync: {synced.stdout.strip().rsplit(': ', 1)[-1]}")
        return errors

    def read_back(self, chosen, progress):
        verdict, done = files.Verdict(), 0
        for file in chosen:
            files.judge(file, self.path_of(file), verdict)
            done += file.size
            progress.at(done)
        return verdict

    def path_of(self, file):
        return os.path.join(self.folder, file.name)

    def extents(self, file):
        """Where the file lies: [(first sector, sectors)] of the device, in its order."""
        head = struct.pack("=QQIIII", 0, (1 << 64) - 1, 0, 0, MAX_EXTENTS, 0)
        request = array.array("B", head + bytes(56 * MAX_EXTENTS))
        with open(self.path_of(file), "rb") as handle:
            fcntl.ioctl(handle, FIEMAP_IOCTL, request)
        count = struct.unpack_from("=I", request, 20)[0]
        found = []
        for number in range(count):
            _, physical, length = struct.unpack_from("=QQQ", request, 32 + 56 * number)
            found.append((physical // SECTOR, length // SECTOR))
        return found

    def check_filesystem(self):
        """e2fsck, read-only, as (clean, its words)."""
        self.unmount()
        done = self.workshop.run("e2fsck", "-fn", self.device, check=False)
        return done.returncode == 0, done.stdout

    # ---- a file that is written piece by piece ----

    def open_pieces(self, file):
        return MountedPieces(self.path_of(file))

    def write_synced(self, source, name):
        """A new file that the system confirms to be on disk; False where there can be none."""
        target = os.path.join(self.folder, name)
        files.copy(source, target)
        for path in (target, os.path.dirname(target)):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return True


class MountedPieces:
    """Pieces of an existing file, past the cache; a write returns when it is durable."""

    def __init__(self, path):
        self.handle = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
        self.buffer = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, offset, data):
        self.buffer[:len(data)] = data
        os.pwritev(self.handle, [self.buffer], offset)

    def read(self, offset, length):
        buffer = mmap.mmap(-1, length)
        os.preadv(self.handle, [buffer], offset)
        return bytes(buffer)

    def close(self):
        os.close(self.handle)
