# SPDX-License-Identifier: GPL-2.0-or-later
"""`repair` and `restore` on block devices that take no writes: needs root to make them."""

import unittest

from backup_test import BackupTest
from harness import FAILED, content, loop_device


class OnReadOnlyDevices(BackupTest):
    def test_repair_and_restore_say_so_and_change_nothing(self):
        self.backup()
        self.lose(("superblocks",), self.spares[0])
        before = content(self.spares[0]), content(self.spares[1])
        with loop_device(self.spares[0], "--read-only") as first:
            devices = [first, self.spares[1]]
            for command in (["repair", *devices],
                            ["restore", *devices, "--backup-file", self.file]):
                result = self.run_program(*command)
                self.assertEqual(result.code, FAILED, command)
                self.assert_one_line(result, first, "read-only")
        self.assertEqual((content(self.spares[0]), content(self.spares[1])), before)
        with loop_device(self.spares[0]) as first:
            self.restore(devices=[first, self.spares[1]])
        self.succeed("check", self.main, *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)


if __name__ == "__main__":
    unittest.main()
