# SPDX-License-Identifier: GPL-2.0-or-later
"""`start` on devices that cannot be what they were: read-only, resized, with other sectors, the
same one twice, or on a filesystem without direct I/O. Needs root for loop devices and a mount."""

import contextlib
import os
import subprocess

from harness import FAILED, MIB, REFUSED, loop_device
from running import RunningTest, unmount


@contextlib.contextmanager
def ramfs(folder):
    """A filesystem whose files know no direct I/O."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "ramfs", folder], check=True)
    try:
        yield folder
    finally:
        unmount(folder)


class StartOnOtherDevices(RunningTest):
    def setUp(self):
        super().setUp()
        self.main, (self.spare,) = self.make_volume()

    def refuse(self, code, *words, main=None, spare=None):
        return self.assert_refused(code, ["start", "--export", "nbd", "--main", main or self.main,
                                          "--spare", spare or self.spare], *words)

    def test_a_read_only_main(self):
        with loop_device(self.main, "--read-only") as main:
            self.refuse(FAILED, main, "read-only", main=main)

    def test_a_read_only_spare(self):
        with loop_device(self.spare, "--read-only") as spare:
            self.refuse(FAILED, spare, "read-only", spare=spare)

    def test_read_only_devices_are_good_for_a_read_only_start(self):
        with loop_device(self.main, "--read-only") as main, \
                loop_device(self.spare, "--read-only") as spare:
            self.succeed("start", "--export", "nbd", "--read-only", "--main", main,
                         "--spare", spare)
            self.stop()

    def test_a_spare_with_larger_logical_blocks_than_main(self):
        with loop_device(self.main) as main, \
                loop_device(self.spare, "--sector-size", "4096") as spare:
            self.refuse(REFUSED, spare, "logical block", main=main, spare=spare)

    def test_an_odd_sized_spare(self):
        os.truncate(self.spare, os.path.getsize(self.spare) + 100)
        self.refuse(FAILED, self.spare, "512")

    def test_an_odd_sized_main(self):
        os.truncate(self.main, os.path.getsize(self.main) + 100)
        self.refuse(FAILED, self.main, "512")

    def test_a_main_that_has_grown_is_another_disk(self):
        os.truncate(self.main, os.path.getsize(self.main) + MIB)
        self.refuse(REFUSED, self.main)

    def test_a_main_that_is_a_loop_device_of_the_spare(self):
        with loop_device(self.spare) as main:
            self.refuse(REFUSED, main, main=main)


class WithoutDirectIo(RunningTest):
    def test_it_is_refused_unless_buffering_is_allowed(self):
        with ramfs(self.folder / "ram") as folder:
            main, spare = folder / "main.img", folder / "spare.img"
            for path, size in ((main, 16 * MIB), (spare, 4 * MIB)):
                path.write_bytes(bytes(size))
            create = ["create", "tank", "--main", main, "--spare", spare]
            self.assert_refused(REFUSED, create, "direct I/O", "--allow-buffered")
            self.succeed(*create, "--allow-buffered")
            start = ["start", "tank", "--export", "nbd"]
            self.assert_refused(REFUSED, start, "direct I/O", "--allow-buffered")
            self.succeed(*start, "--allow-buffered")
            self.stop()
