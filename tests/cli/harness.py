# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command-line tests share: files as disks, the program run as a user runs it, and the
claim that a refused command changes nothing."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["DMR_PROGRAM"]
SECTOR = 512
KIB = 1024
MIB = 1024 * KIB

OK, FAILED, USAGE, REFUSED, FAULT = range(5)


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self):
        return json.loads(self.out)


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return str(path)


def content(path):
    """Bytes and modification time: what must not change when a command is refused."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return digest, os.stat(path).st_mtime_ns, os.stat(path).st_size


@contextlib.contextmanager
def loop_device(path, *options):
    made = subprocess.run(["losetup", "--find", "--show", *options, str(path)],
                          capture_output=True, text=True, check=True)
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextlib.contextmanager
def partitions(disk, *places):
    """Partitions of `disk` at these (first sector, sectors); their paths."""
    with contextlib.ExitStack() as stack:
        for number, (first, count) in enumerate(places, 1):
            subprocess.run(["addpart", disk, str(number), str(first), str(count)], check=True)
            stack.callback(subprocess.run, ["delpart", disk, str(number)], check=True)
        yield [f"{disk}p{number}" for number in range(1, len(places) + 1)]


class CliTest(unittest.TestCase):
    """Each test has a folder for its disks, and folders for run-time files and notes of its own."""

    DISKS = os.environ.get("DMR_TEST_DIR")
    program = PROGRAM

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.DISKS))
        # Sockets have short paths: not below the build folder, which may lie deep.
        self.run_dir = pathlib.Path(tempfile.mkdtemp(prefix="dmr-"))
        self.environment = dict(
            os.environ,
            DM_REMAP_RUNTIME_DIR=str(self.run_dir),
            DM_REMAP_STATE_DIR=str(self.folder / "state"),
            LC_ALL="C.UTF-8")
        self.addCleanup(shutil.rmtree, self.run_dir, ignore_errors=True)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for lock in self.run_dir.glob("*.lock"):
            self.run_program("stop", lock.stem)

    def disk(self, name, size):
        return sparse(self.folder / name, size)

    def run_program(self, *arguments, prefix=(), timeout=60, **options):
        return Result(subprocess.run(
            [*prefix, self.program, *map(str, arguments)], capture_output=True, text=True,
            errors="replace", env=self.environment, cwd=self.folder, timeout=timeout,
            stdin=subprocess.DEVNULL, check=False, **options))

    def succeed(self, *arguments, **options):
        result = self.run_program(*arguments, **options)
        self.assertEqual(result.code, OK, f"{arguments}: {result.err}")
        return result

    def make_volume(self, name="tank", main=16 * MIB, spares=(4 * MIB,), options=()):
        main_path = self.disk("main.img", main)
        paths = [self.disk(f"spare{i}.img", size) for i, size in enumerate(spares, 1)]
        arguments = ["create", name, "--main", main_path]
        for path in paths:
            arguments += ["--spare", path]
        self.succeed(*arguments, *options)
        return main_path, paths

    def assert_one_line(self, result, *words):
        """One line on stderr, under the program's name, that says these words."""
        lines = result.err.splitlines()
        self.assertEqual(len(lines), 1, f"not one line: {result.err!r}")
        self.assertTrue(lines[0].startswith("dm-remap: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])

    def assert_refused(self, code, arguments, *words, **options):
        """The command ends with `code` and one line that says `words`; no disk has changed."""
        disks = [path for path in self.folder.rglob("*") if path.is_file()]
        before = {path: content(path) for path in disks}
        result = self.run_program(*arguments, **options)
        self.assertEqual(result.code, code, f"{arguments}: {result.out}{result.err}")
        self.assertEqual(result.out, "")
        self.assert_one_line(result, *words)
        after = {path: content(path) for path in disks}
        self.assertEqual(before, after, "a refused command has written")
        return result
