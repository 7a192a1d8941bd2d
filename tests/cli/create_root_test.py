# SPDX-License-Identifier: GPL-2.0-or-later
"""`create` on block devices, and as a user without rights: needs root to set the stage."""

import os
import shutil
import subprocess
import unittest

from harness import CliTest, FAILED, MIB, PROGRAM, REFUSED, content, loop_device, partitions


class CreateOnBlockDevices(CliTest):
    def setUp(self):
        super().setUp()
        self.main = self.disk("main.img", 16 * MIB)
        self.spare = self.disk("spare.img", 4 * MIB)

    def refuse(self, code, *words, main=None, spare=None, **options):
        return self.assert_refused(
            code, ["create", "tank", "--main", main or self.main, "--spare", spare or self.spare],
            *words, **options)

    def test_block_devices_make_a_sound_volume(self):
        with loop_device(self.main) as main, loop_device(self.spare) as spare:
            self.succeed("create", "tank", "--main", main, "--spare", spare)
            self.succeed("check", main, spare)

    def test_a_read_only_spare(self):
        with loop_device(self.spare, "--read-only") as spare:
            self.refuse(FAILED, "spare", "read-only", spare=spare)

    def test_a_read_only_main(self):
        with loop_device(self.main, "--read-only") as main:
            self.refuse(FAILED, "main", "read-only", main=main)

    def test_a_spare_with_larger_logical_blocks_than_main(self):
        with loop_device(self.main) as main, \
                loop_device(self.spare, "--sector-size", "4096") as spare:
            self.refuse(FAILED, "logical blocks of 4 KiB", main=main, spare=spare)

    def test_blocks_smaller_than_the_logical_blocks_of_main(self):
        with loop_device(self.main, "--sector-size", "4096") as main:
            self.assert_refused(FAILED, ["create", "tank", "--main", main, "--spare", self.spare,
                                         "--block-size", "512"], "--block-size 4096")

    def test_a_mounted_device(self):
        subprocess.run(["mkfs.ext4", "-q", self.main], check=True)
        target = self.folder / "mounted"
        target.mkdir()
        with loop_device(self.main) as main:
            subprocess.run(["mount", main, target], check=True)
            before = content(self.spare)
            try:
                result = self.run_program("create", "tank", "--main", main, "--spare", self.spare)
            finally:
                subprocess.run(["umount", target], check=True)
        self.assertEqual(result.code, REFUSED)
        self.assert_one_line(result, "main", "in use")
        self.assertEqual(content(self.spare), before)

    def test_a_disk_and_its_own_partition(self):
        with loop_device(self.main) as disk, \
                partitions(disk, (2048, 8192), (10240, 8192)) as (first, second):
            self.refuse(REFUSED, "share sectors", main=disk, spare=first)
            self.refuse(REFUSED, "share sectors", main=second, spare=disk)

    def test_two_partitions_of_one_disk_are_apart(self):
        with loop_device(self.main) as disk, \
                partitions(disk, (2048, 8192), (10240, 8192)) as (first, second):
            self.succeed("create", "tank", "--main", first, "--spare", second)

    def test_a_loop_device_and_its_own_file(self):
        with loop_device(self.main) as main:
            self.refuse(REFUSED, "its own file", main=main, spare=self.main)

    def test_a_file_below_a_loop_device(self):
        with loop_device(self.spare) as device:
            self.refuse(REFUSED, "in use by " + device)


class CreateWithoutRights(CliTest):
    """For users without rights: nobody may look into the folder of the build, perhaps."""

    DISKS = "/var/tmp"
    PREFIX = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    def setUp(self):
        super().setUp()
        self.program = str(self.folder / "dm-remap")
        shutil.copy(PROGRAM, self.program)
        self.main = self.disk("main.img", 16 * MIB)
        self.spare = self.disk("spare.img", 4 * MIB)
        for path in (self.folder, self.run_dir):
            os.chmod(path, 0o755)

    def test_a_spare_that_the_user_may_not_write(self):
        os.chmod(self.main, 0o666)
        os.chmod(self.spare, 0o644)
        self.assert_refused(FAILED, ["create", "tank", "--main", self.main, "--spare", self.spare],
                            "spare", "Permission denied", prefix=self.PREFIX)

    def test_a_main_that_the_user_may_not_write(self):
        os.chmod(self.main, 0o644)
        os.chmod(self.spare, 0o666)
        self.assert_refused(FAILED, ["create", "tank", "--main", self.main, "--spare", self.spare],
                            "main", "read-only", prefix=self.PREFIX)

    def test_ones_own_files_are_enough(self):
        os.chmod(self.main, 0o666)
        os.chmod(self.spare, 0o666)
        result = self.succeed("create", "tank", "--main", self.main, "--spare", self.spare,
                              prefix=self.PREFIX)
        self.assertIn("Created volume tank", result.out)


if __name__ == "__main__":
    unittest.main()
