# SPDX-License-Identifier: GPL-2.0-or-later
"""The FUSE export with a real filesystem on it, and without root."""

import filecmp
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from exported import MAIN_BYTES, MIB, ExportTest, bad, noise

NOBODY = 65534


class FuseMountTest(ExportTest):
    def unmount(self, mount):
        if os.path.ismount(mount):
            subprocess.run(["umount", str(mount)], check=False)

    def test_ext4_on_a_failing_disk(self):
        faults = [bad(sector, 8, on="write") for sector in range(2000, 130_000, 5000)]
        device = self.serve("fuse", {"ranges": faults})
        self.assertTrue(device.startswith("/dev/loop"), device)
        self.tool("mkfs.ext4", "-q", "-F", device)
        mount = self.folder / "mnt"
        mount.mkdir()
        self.addCleanup(self.unmount, mount)
        self.tool("mount", device, mount)
        for name in "abc":
            noise(mount / name, 10 * MIB)
            shutil.copy(mount / name, self.folder / name)
        self.tool("umount", mount)
        self.tool("mount", device, mount)
        for name in "abc":
            self.assertTrue(filecmp.cmp(mount / name, self.folder / name, shallow=False))
        self.tool("umount", mount)
        self.tool("e2fsck", "-fn", device)
        self.assert_check_finds_nothing()

    def test_direct_io_of_fio(self):
        device = self.serve("fuse")
        self.tool("fio", "--name=verify", "--ioengine=libaio", f"--filename={device}", "--direct=1",
                  "--rw=randwrite", "--bs=4k", "--iodepth=32", "--size=32m", "--verify=crc32c",
                  "--verify_fatal=1", "--do_verify=1")
        self.assert_check_finds_nothing()

    def test_device_goes_with_stop(self):
        device = self.serve("fuse")
        self.succeed("stop", "tank")
        backing = pathlib.Path("/sys/block") / pathlib.Path(device).name / "loop/backing_file"
        self.assertFalse(backing.exists())
        self.assertFalse((self.run_dir / "tank.fuse").exists())

    def test_mount_of_a_killed_server_is_replaced(self):
        self.serve("fuse")
        pid = int((self.run_dir / "tank.lock").read_text())
        os.kill(pid, 9)
        while pathlib.Path(f"/proc/{pid}").exists():
            pass  # the kernel takes its time, ours is limited by ctest
        device = self.succeed("start", "tank").out.strip()
        self.assertEqual(int(self.tool("blockdev", "--getsize64", device)), MAIN_BYTES)

    def where_everybody_may_open_fuse(self):
        """A mount namespace in which /dev/fuse has the mode that udev gives it; how to enter."""
        node = self.folder / "fuse"
        os.mknod(node, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
        os.chmod(node, 0o666)
        keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             f"mount --bind '{node}' /dev/fuse && echo && read _"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(keeper.communicate, b"\n")
        self.assertEqual(keeper.stdout.readline(), b"\n")
        return ("nsenter", f"--mount=/proc/{keeper.pid}/ns/mnt")

    def test_user_without_root_gets_a_file(self):
        enter = self.where_everybody_may_open_fuse()
        # Folders of the user's own, below one that everybody may enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dmr-user-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "state")
        as_nobody = (*enter, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        for folder in (self.folder, self.run_dir):
            os.chown(folder, NOBODY, NOBODY)
        self.make_volume(main=16 * MIB)
        for image in self.folder.glob("*.img"):
            os.chown(image, NOBODY, NOBODY)
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        members = ["--main", self.folder / "main.img", "--spare", self.folder / "spare1.img"]
        path = self.succeed("start", "tank", "--export", "fuse", *members,
                            prefix=as_nobody).out.strip()
        self.addCleanup(self.run_program, "stop", "tank", prefix=as_nobody)
        self.assertEqual(path, str(self.run_dir / "tank.fuse" / "tank"))
        self.tool(*as_nobody, "dd", "if=/dev/urandom", f"of={path}", "bs=1M", "count=16",
                  "conv=notrunc,fsync", "oflag=direct", "iflag=fullblock")
        self.tool(*as_nobody, "dd", f"if={path}", f"of={self.folder}/back", "bs=1M", "iflag=direct")
        self.succeed("stop", "tank", prefix=as_nobody)
        self.assertTrue(filecmp.cmp(self.folder / "main.img", self.folder / "back", shallow=False))
        self.assertFalse((self.run_dir / "tank.fuse").exists())
