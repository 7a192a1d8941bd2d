# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user is told when something went wrong: each sentence is true and says what to do."""

import json
import os
import signal
import unittest

import nbd

from harness import FAILED, MIB, OK, REFUSED, USAGE, CliTest
from running import RunningTest, connected, read_sectors, write_sectors


class Troubled(RunningTest):
    def make_faulty(self, *ranges, spare_mib=4):
        """A volume `tank` whose main refuses these ranges, running."""
        self.plan(*ranges)
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", spare_mib * MIB)
        self.succeed("create", "tank", "--main", f"faulty:{self.folder}/main.json:{main}",
                     "--spare", spare)
        self.path = self.start()

    def plan(self, *ranges):
        """What main refuses, from the next start on."""
        (self.folder / "main.json").write_text(json.dumps({"ranges": list(ranges)}))

    def fail_to(self, what, sector):
        with connected(self.path) as client, self.assertRaises(nbd.Error):
            if what == "read":
                client.pread(4096, sector * 512)
            else:
                client.pwrite(bytes(4096), sector * 512, nbd.CMD_FLAG_FUA)


class Counting(Troubled):
    def test_reads_of_lost_sectors_are_failed_reads_after_a_restart_too(self):
        self.make_faulty({"sector": 800, "count": 8, "on": "read", "error": "ENODATA"})
        self.succeed("mark", "tank", "800")
        self.stop()
        self.path = self.start()
        for _ in range(3):
            self.fail_to("read", 800)
        report = self.status()
        self.assertEqual((report["io"]["failed_reads"], report["io"]["errors"]), (3, 3))
        self.assertRegex(self.succeed("status", "tank").out, r"Reads +3 \(0 B\), .*, 3 failed")

    def test_writes_that_a_full_file_system_refuses_call_for_attention(self):
        self.make_faulty({"sector": 0, "count": 80, "on": "write", "error": "ENOSPC"})
        for sector in range(0, 72, 8):
            self.fail_to("write", sector)
        report = self.status()
        self.assertEqual((report["health"], report["io"]["failed_writes"]), ("attention", 9))
        self.assertIn("9 writes failed", report["reasons"][0])
        self.assertIn("not because of the medium: no room below main", report["reasons"][0])
        self.assertIn("dm-remap events tank", report["advice"])
        self.assertIn("no_space", self.succeed("events", "tank").out)

    def test_what_lies_on_a_missing_spare_is_no_room(self):
        self.make_volume(spares=(4 * MIB, 4 * MIB))
        self.start()
        self.succeed("mark", "tank", "0+800")
        used = [member["used_blocks"] for member in self.status()["members"][1:]]
        self.assertEqual(sum(used), 100)
        self.stop()
        gone = used.index(max(used)) + 1
        os.rename(self.folder / f"spare{gone}.img", self.folder / "away")
        self.start("tank", "--degraded")
        members = self.status()["members"]
        there = members[3 - gone]
        text = self.succeed("status", "tank").out
        self.assertRegex(text, rf"Spare +{there['used_blocks']} blocks? used, "
                               rf"{there['free_blocks']:,} free")
        self.assertIn(f"; {max(used)} blocks on missing or retired spares", text)

    def test_counts_agree_with_their_nouns(self):
        self.make_volume()
        with connected(self.start()) as client:
            client.flush()
        self.assertRegex(self.succeed("status", "tank").out, r"Others +1 flush, 0 discards")


class Moving(Troubled):
    def test_a_block_that_main_does_not_take_home_is_told_and_the_others_go(self):
        self.make_faulty()
        self.succeed("mark", "tank", "80", "160", "240")
        self.stop()
        self.plan({"sector": 80, "count": 8, "on": "write", "error": "EIO"})
        self.start()
        self.assert_refused_moving("forget", "block at sector 80 could not go home",
                                   "main does not take it", "stays on the spare",
                                   "2 other blocks are back on main")
        self.assertEqual([run["sector"] for run in self.map()], [80])

    def assert_refused_moving(self, command, *words):
        result = self.run_program(command, "tank", "80", "160", "240")
        self.assertEqual((result.code, result.out), (FAILED, ""))
        self.assert_one_line(result, *words)

    def test_a_block_that_no_spare_takes_is_told(self):
        self.make_faulty()
        room = self.status()["members"][1]["free_blocks"]
        self.succeed("mark", "tank", f"8000+{room * 8}")
        self.assert_refused_moving("mark", "block at sector 80 could not be moved",
                                   "no spare block is free", "stays on main",
                                   "0 other blocks are on the spare")

    def test_a_read_only_volume_says_how_it_became_so(self):
        self.make_volume()
        self.start("tank", "--read-only")
        bad = self.folder / "bad.txt"
        bad.write_text("40\n")
        for arguments in (["mark", "tank", "80"], ["forget", "tank", "80"],
                          ["import", "tank", "--badblocks", bad]):
            with self.subTest(command=arguments[0]):
                self.assert_refused(FAILED, arguments, "volume `tank` was started with --read-only",
                                    "start it without")

    def test_a_block_size_goes_with_the_form_that_counts_blocks(self):
        for arguments in (["export", "tank", "--mapfile", "--block-size", "4096"],
                          ["import", "tank", "--mapfile", "x", "--block-size", "4096"]):
            self.assert_refused(USAGE, arguments, "--block-size goes with --badblocks")
        self.assert_refused(USAGE, ["export", "tank", "--badblocks", "--block-size", "0"], "`0`")


class Telling(Troubled):
    def test_a_spare_that_is_full_is_told_once_and_what_fell_out_of_the_list_too(self):
        self.make_faulty({"sector": 0, "count": 24576, "on": "write", "error": "EIO"}, spare_mib=8)
        room = self.status()["members"][1]["free_blocks"]
        with connected(self.path) as client:
            client.pwrite(bytes(4096), 30000 * 512)  # main as a whole is good
            for block in range(room):
                client.pwrite(bytes(4096), block * 4096)
            for block in range(room, room + 10):
                with self.assertRaises(nbd.Error):
                    client.pwrite(bytes(4096), block * 4096)
        result = self.succeed("events", "tank")
        self.assertEqual(result.out.count("spare_exhausted"), 1)
        newest = self.status()["newest_event"]
        self.assertGreater(newest, 1024)
        self.assert_one_line(result, f"{newest - 1024} earlier events are not kept")

    def test_lost_sectors_are_they(self):
        self.make_faulty({"sector": 1603, "count": 2, "on": "read", "error": "ENODATA"})
        self.succeed("mark", "tank", "1600")
        self.assertIn("2 sectors from 1603: lost; reads fail until they are written",
                      self.succeed("events", "tank").out)

    def test_a_server_that_hangs_is_named_with_its_process_and_its_log(self):
        self.make_volume()
        self.start()
        server = self.status()["pid"]
        os.kill(server, signal.SIGSTOP)
        try:
            listed = self.run_program("list", timeout=12)
            status = self.run_program("status", "tank", timeout=50)
            self.assertEqual(self.succeed("list", "--names", timeout=5).out, "tank\n")
        finally:
            os.kill(server, signal.SIGCONT)
        self.assertEqual(listed.code, FAILED)
        self.assertRegex(listed.out, r"(?m)^tank +no answer")
        for result in (listed, status):
            self.assert_one_line(result, "server of volume `tank`", f"process {server}",
                                 "has not answered", "its log is")
        self.assertIn("running", self.succeed("list").out)


class Unknown(CliTest):
    def test_a_volume_that_nobody_knows(self):
        for command in ("status", "stop", "events", "map"):
            self.assert_refused(FAILED, [command, "nosuch"], "no volume `nosuch` is known",
                                "dm-remap list")

    def test_a_backup_of_one_asks_for_spares(self):
        result = self.assert_refused(FAILED, ["backup", "nosuch", "--backup-file", "x"],
                                     "give the spares")
        self.assertNotIn("--main", result.err)

    def test_a_backup_needs_no_main(self):
        main, _ = self.make_volume()
        os.rename(main, self.folder / "away")
        self.succeed("backup", "tank", "--backup-file", self.folder / "tank.dmr")

    def test_a_note_that_cannot_be_read_is_named(self):
        main, spares = self.make_volume()
        note = self.folder / "state" / "tank.json"
        for garbage in (b"{", b"[]", b'{"name": "pond", "set": "", "main": "", "spares": []}'):
            with self.subTest(garbage=garbage):
                note.write_bytes(garbage)
                result = self.run_program("list")
                self.assertEqual((result.code, result.out), (FAILED, ""))
                self.assert_one_line(result, str(note), "--main and --spare")
                self.assert_refused(FAILED, ["status", "tank"], "not running")
                self.assert_refused(FAILED, ["start", "tank", "--export", "nbd"], str(note))
        note.unlink()
        note.mkdir()
        self.assert_one_line(self.run_program("list"), str(note))
        self.assertEqual(self.run_program("check", main, *spares).code, OK)

    def test_a_folder_of_notes_that_cannot_be_read_is_named(self):
        folder = self.folder / "file"
        folder.write_text("")
        self.environment["DM_REMAP_STATE_DIR"] = str(folder)
        result = self.run_program("list")
        self.assertEqual((result.code, result.out), (FAILED, ""))
        self.assert_one_line(result, str(folder), "cannot be read")


class Members(RunningTest):
    """A device in two places, or of another volume."""

    def setUp(self):
        super().setUp()
        self.main, (self.spare,) = self.make_volume()

    def test_one_file_twice(self):
        for arguments in (["check", self.spare, self.spare], ["repair", self.spare, self.spare],
                          ["start", "--main", self.spare, "--spare", self.spare, "--export",
                           "nbd"]):
            with self.subTest(command=arguments[0]):
                self.assert_refused(REFUSED, arguments, "are the same file")

    def test_a_spare_that_now_is_another_volumes(self):
        self.succeed("create", "pond", "--main", self.disk("m2.img", MIB), "--spare", self.spare,
                     "--force")
        self.assert_refused(REFUSED, ["start", "tank", "--export", "nbd"],
                            f"{self.spare} is of volume `pond`", "not of `tank`")

    def test_a_main_that_is_read_only(self):
        read_only = ["start", "tank", "--export", "nbd", "--read-only"]
        os.chmod(self.main, 0o444)
        if os.access(self.main, os.W_OK):
            self.skipTest("root may write to it")
        self.assert_refused(FAILED, ["start", "tank", "--export", "nbd"], "main", "is read-only",
                            "--read-only")
        self.succeed(*read_only)

    def test_a_main_of_another_known_volume(self):
        other = self.disk("s2.img", 4 * MIB)
        arguments = ["create", "pond", "--main", self.main, "--spare", other]
        self.assert_refused(REFUSED, arguments, f"main {self.main}: is main of volume `tank`",
                            "--force")
        self.assert_refused(REFUSED, ["create", "pond", "--main", self.disk("m2.img", MIB),
                                      "--spare", self.main], "is main of volume `tank`")
        self.succeed(*arguments, "--force")

    def test_the_main_of_a_volume_that_has_gone(self):
        with open(self.spare, "r+b") as file:
            file.write(bytes(4 * MIB))
        self.succeed("create", "pond", "--main", self.main, "--spare", self.disk("s2.img", 4 * MIB))

    def test_a_spare_of_an_odd_size_is_refused_by_check_as_by_start(self):
        os.truncate(self.spare, 4 * MIB + 100)
        for arguments in (["check", self.spare], ["start", "tank", "--export", "nbd"]):
            self.assert_refused(FAILED, arguments, str(4 * MIB + 100), "not a multiple")

    def test_a_spare_of_an_odd_size_is_dumped_without_its_last_bytes(self):
        whole = self.succeed("dump", self.spare)
        self.assertEqual(whole.err, "")
        for size, left_out in ((4 * MIB + 100, 100), (4 * MIB - 100, 412)):
            os.truncate(self.spare, size)
            for options in ([], ["--json"], ["--records"]):
                result = self.succeed("dump", self.spare, *options)
                self.assert_one_line(result, f"note: {self.spare}: the last {left_out} bytes",
                                     "left out")
                self.assertEqual(result.out == whole.out, not options and size > 4 * MIB)

    def test_a_start_without_a_spare_says_so_and_what_it_caught_up_with(self):
        self.succeed("create", "pond", "--main", self.disk("m2.img", MIB), "--spare",
                     self.disk("a.img", 4 * MIB), "--spare", self.disk("b.img", 4 * MIB))
        os.rename(self.folder / "b.img", self.folder / "away")
        result = self.succeed("start", "pond", "--degraded", "--export", "nbd")
        self.assert_one_line(result, "starting without spare 2 (--degraded)")
        path = self.status("pond")["exports"][0]["path"]
        write_sectors(path, 0, bytes(4096))
        self.succeed("mark", "pond", "80")
        self.stop("pond")
        os.rename(self.folder / "away", self.folder / "b.img")
        result = self.succeed("start", "pond", "--export", "nbd")
        for line in result.err.splitlines():
            self.assertIn("repaired: ", line)
        self.assertIn(f"repaired: {self.folder / 'b.img'} lags behind", result.err)
        self.assertEqual(len(read_sectors(path, 80, 8)), 4096)


if __name__ == "__main__":
    unittest.main()
