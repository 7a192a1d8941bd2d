# SPDX-License-Identifier: GPL-2.0-or-later
"""`start` with what only root can set up: a mounted loop device, full disks, other users."""

import contextlib
import itertools
import os
import pathlib
import shutil
import stat
import subprocess
import unittest

from harness import FAILED, MIB, PROGRAM, REFUSED, content, loop_device
from running import RunningTest, unmount

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@contextlib.contextmanager
def mounted(device, folder):
    folder.mkdir()
    subprocess.run(["mount", device, folder], check=True)
    try:
        yield folder
    finally:
        unmount(folder)


class ForNobody(RunningTest):
    """For users without rights: nobody may look into the folder of the build, perhaps."""

    DISKS = "/var/tmp"

    def setUp(self):
        super().setUp()
        self.program = str(self.folder / "dm-remap")
        shutil.copy(PROGRAM, self.program)
        for folder in (self.folder, self.run_dir):
            os.chmod(folder, 0o755)


class Fuse(RunningTest):
    def test_a_filesystem_on_main_is_mounted_through_the_volume(self):
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        subprocess.run(["mkfs.ext4", "-q", main], check=True)
        self.succeed("create", "tank", "--main", main, "--spare", spare)
        device = self.succeed("start", "tank").out.strip()
        self.assertTrue(stat.S_ISBLK(os.stat(device).st_mode), device)
        with mounted(device, self.folder / "mnt") as folder:
            (folder / "letter").write_text("still here")
            self.assert_one_line(self.refused_stop(), "is mounted on", "--force")
        self.stop()
        device = self.succeed("start", "tank", "--export", "fuse").out.strip()
        with mounted(device, self.folder / "again") as folder:
            self.assertEqual((folder / "letter").read_text(), "still here")
        self.stop()
        self.succeed("check", main, spare)

    def test_a_device_that_a_program_has_open_is_not_pulled_out(self):
        self.make_volume()
        device = self.succeed("start", "tank", "--export", "fuse").out.strip()
        with open(device, "rb"):
            self.assert_one_line(self.refused_stop(), f"process {os.getpid()})", device, "--force")
        self.stop()
        device = self.succeed("start", "tank", "--export", "fuse").out.strip()
        with open(device, "rb"):
            self.succeed("stop", "tank", "--force")

    def test_a_main_that_is_read_only_is_served_read_only(self):
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        self.succeed("create", "tank", "--main", main, "--spare", spare)
        with loop_device(main, "--read-only") as device:
            devices = ["--main", device, "--spare", spare, "--export", "nbd"]
            self.assert_refused(FAILED, ["start", *devices], device, "is read-only",
                                "--read-only starts")
            self.succeed("start", *devices, "--read-only")
            self.stop()

    def refused_stop(self):
        result = self.run_program("stop", "tank")
        self.assertEqual(result.code, REFUSED)
        return result


class BlockDevices(RunningTest):
    # All block devices are searched: those of other runs, and of the test before, whose loop
    # device the kernel may keep for a moment.
    tests = itertools.count()

    def setUp(self):
        super().setUp()
        self.NAME = f"tank-{os.getpid()}-{next(self.tests)}"

    def test_a_volume_is_found_by_its_name_alone(self):
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        with loop_device(main) as main_device, loop_device(spare) as spare_device:
            self.succeed("create", self.NAME, "--main", main_device, "--spare", spare_device)
            self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "elsewhere")
            listed = self.succeed("list", "--scan", "--json").json["volumes"]
            self.assertIn((self.NAME, [spare_device]),
                          [(volume["name"], volume["spares"]) for volume in listed])
            # Its main has no serial number by which it could be known again.
            self.assert_refused(REFUSED, ["start", self.NAME, "--export", "nbd"],
                                f"main of volume `{self.NAME}`", "--main and --spare")

    def test_a_spare_that_moved_to_another_device_is_found(self):
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        with loop_device(spare) as device:
            self.succeed("create", self.NAME, "--main", main, "--spare", device)
        with loop_device(self.disk("first.img", MIB)), loop_device(spare):
            self.succeed("start", self.NAME, "--export", "nbd")
            self.stop(self.NAME)

    def test_two_volumes_of_one_name_are_told_apart_by_their_devices(self):
        mains = [self.disk(f"main{i}.img", MIB) for i in range(2)]
        spares = [self.disk(f"spare{i}.img", 4 * MIB) for i in range(2)]
        with loop_device(spares[0]) as first, loop_device(spares[1]) as second:
            for main, spare in zip(mains, (first, second)):
                self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / f"state-{main[-5]}")
                self.succeed("create", self.NAME, "--main", main, "--spare", spare)
            self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "elsewhere")
            self.assert_refused(REFUSED, ["start", self.NAME, "--export", "nbd"],
                                f"2 volumes are called `{self.NAME}`", first, second)
            listed = self.succeed("list", "--scan", "--json").json["volumes"]
            self.assertEqual(sorted(volume["spares"] for volume in listed
                                    if volume["name"] == self.NAME), sorted([[first], [second]]))


class WithoutRights(ForNobody):
    def make_volume_of_nobody(self):
        os.chmod(self.folder, 0o777)
        os.chmod(self.run_dir, 0o777)
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        for path in (main, spare):
            os.chmod(path, 0o666)
        self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "state-of-nobody")
        self.succeed("create", "tank", "--main", main, "--spare", spare, prefix=NOBODY)

    def kind_of_what_is_served(self, *namespace):
        """What `start` prints is one, as nobody sees it who looks from a namespace of mounts."""
        path = self.succeed("start", "tank", prefix=[*namespace, *NOBODY]).out.strip()
        holder = (self.run_dir / "tank.lock").read_text().strip()
        found = subprocess.run(["nsenter", f"--mount=/proc/{holder}/ns/mnt", *NOBODY, "stat",
                                "--format=%F %s", path], capture_output=True, text=True,
                               check=True)
        return found.stdout.strip()

    def test_without_root_it_is_a_plain_file(self):
        self.make_volume_of_nobody()
        node = self.folder / "fuse"
        os.mknod(node, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
        os.chmod(node, 0o666)
        script = 'mount --bind "$0" /dev/fuse && exec "$@"'
        namespace = ["unshare", "--mount", "sh", "-c", script, str(node)]
        self.assertEqual(self.kind_of_what_is_served(*namespace), f"regular file {16 * MIB}")
        self.succeed("stop", "tank", prefix=NOBODY)

    def test_without_root_and_fuse_it_is_a_socket(self):
        self.make_volume_of_nobody()
        node = self.folder / "fuse"
        node.touch(0o600)
        script = 'mount --bind "$0" /dev/fuse && exec "$@"'
        namespace = ["unshare", "--mount", "sh", "-c", script, str(node)]
        self.assertEqual(self.kind_of_what_is_served(*namespace), "socket 0")
        self.succeed("stop", "tank", prefix=NOBODY)

    def test_a_run_time_folder_that_may_not_be_written(self):
        main, spares = self.make_volume()
        for path in (main, *spares):
            os.chmod(path, 0o666)
        os.chmod(self.folder / "state", 0o755)
        os.chmod(self.folder / "state" / "tank.json", 0o644)
        self.assert_refused(FAILED, ["start", "tank", "--export", "nbd"], str(self.run_dir),
                            "DM_REMAP_RUNTIME_DIR", prefix=NOBODY)

    def test_the_socket_is_not_for_other_users(self):
        self.make_volume()
        self.start()
        self.assert_refused(FAILED, ["status", "tank"], "Permission denied", prefix=NOBODY)


class DiskFull(RunningTest):
    """A sparse file on a file system without room: it fails where it is written, not before."""

    def test_create_says_that_there_is_no_space(self):
        main = self.disk("main.img", 16 * MIB)
        before = content(main)
        small = self.disk("small.img", 4 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", small], check=True)
        with loop_device(small) as device, mounted(device, self.folder / "mnt") as folder:
            with open(folder / "spare.img", "wb") as file:
                file.truncate(4 * MIB)
            self.fill(folder)
            result = self.run_program("create", "tank", "--main", main, "--spare",
                                      folder / "spare.img")
        self.assertEqual(result.code, FAILED)
        self.assert_one_line(result, "No space left on device")
        self.assertEqual(content(main), before)

    def test_a_full_disk_below_a_running_volume_is_an_error_that_passes(self):
        main = self.disk("main.img", 16 * MIB)
        small = self.disk("small.img", 8 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", small], check=True)
        with loop_device(small) as device, mounted(device, self.folder / "mnt") as folder:
            spare = folder / "spare.img"
            with open(spare, "wb") as file:
                file.truncate(6 * MIB)
            self.succeed("create", "tank", "--main", main, "--spare", spare)
            self.start()
            try:
                filler = self.fill(folder)
                refused = self.run_program("mark", "tank", "0+4096")
                lost = self.status()["lost_sectors"]
                filler.unlink()
            finally:
                self.stop()
            self.succeed("check", main, spare)
        self.assertEqual((refused.code, lost), (FAILED, 0))
        self.assert_one_line(refused, "block at sector 0 could not be moved",
                                 "the file system below the spare is full")

    @staticmethod
    def fill(folder):
        filler = pathlib.Path(folder) / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
        subprocess.run(["sync", "--file-system", filler], check=True)
        return filler


if __name__ == "__main__":
    unittest.main()
