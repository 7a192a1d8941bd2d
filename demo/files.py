# SPDX-License-Identifier: GPL-2.0-or-later
"""The data that is to survive: real files of this machine, with their checksums. Where there are
too few, files made by the demonstration are added, and said to be."""

import hashlib
import os
import random
import stat
from dataclasses import dataclass

PLACES = ("/usr/share/doc", "/usr/lib", "/usr/include", "/usr/share", "/usr/bin")
SMALLEST, LARGEST = 4096, 8 << 20
CHUNK = 1 << 20


@dataclass
class File:
    source: str     # where its content is
    name: str       # on the volume, relative
    size: int
    digest: str = ""


def walk(place, seen):
    for folder, subfolders, names in os.walk(place, onerror=lambda error: None):
        subfolders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            if not stat.S_ISREG(info.st_mode) or not SMALLEST <= info.st_size <= LARGEST:
                continue
            # Links to one inode are one file.
            if (info.st_dev, info.st_ino) in seen or not os.access(path, os.R_OK):
                continue
            seen.add((info.st_dev, info.st_ino))
            yield File(path, path.lstrip("/"), info.st_size)


def choose(want_bytes, want_files):
    """Real files until there are enough of them, and the places that they come from."""
    chosen, places, seen, total = [], [], set(), 0
    for place in PLACES:
        # No place gives more than a part, so that small and large files of all kinds come together.
        bytes_end = min(want_bytes, total + want_bytes * 2 // 5)
        files_end = min(want_files, len(chosen) + want_files * 2 // 5)
        before = len(chosen)
        for file in walk(place, seen):
            if total >= bytes_end or len(chosen) >= files_end:
                break
            chosen.append(file)
            total += file.size
        if len(chosen) > before:
            places.append(place)
    return chosen, places


def generate(folder, want_bytes, seed):
    """Files of random content in `folder`, for machines with few files of their own."""
    made, total, dice = [], 0, random.Random(seed)
    while total < want_bytes:
        size = dice.randint(16 << 10, 2 << 20)
        name = f"generated/{len(made):04d}.bin"
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(dice.randbytes(size))
        made.append(File(path, name, size))
        total += size
    return made


def digest_of(path):
    """Of a file's content; raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def copy(file, target):
    """Writes the content to `target` and takes its checksum on the way."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    digest = hashlib.sha256()
    with open(file.source, "rb", buffering=0) as source, open(target, "wb", buffering=0) as out:
        while data := source.read(CHUNK):
            digest.update(data)
            view = memoryview(data)
            while view:
                view = view[out.write(view):]
    file.digest = digest.hexdigest()


@dataclass
class Verdict:
    """What became of the files."""
    intact: int = 0
    unreadable: int = 0   # an error, and the program is told so
    wrong: int = 0        # other content than was written, and nobody says so
    missing: int = 0
    damaged_bytes: int = 0

    @property
    def lost(self):
        return self.unreadable + self.wrong + self.missing


def damaged_bytes(file, target):
    """Bytes of a page each that are unreadable or differ from the source."""
    page, damaged = 4096, 0
    with open(file.source, "rb", buffering=0) as source, open(target, "rb", buffering=0) as copied:
        for offset in range(0, file.size, page):
            want = os.pread(source.fileno(), page, offset)
            try:
                same = os.pread(copied.fileno(), page, offset) == want
            except OSError:
                same = False
            damaged += 0 if same else len(want)
    return damaged


def judge(file, target, verdict):
    try:
        found = digest_of(target)
        if found == file.digest:
            verdict.intact += 1
            return
        verdict.wrong += 1
    except FileNotFoundError:
        verdict.missing += 1
        verdict.damaged_bytes += file.size
        return
    except OSError:
        verdict.unreadable += 1
    try:
        verdict.damaged_bytes += damaged_bytes(file, target)
    except OSError:
        verdict.damaged_bytes += file.size
