# SPDX-License-Identifier: GPL-2.0-or-later
"""`dm-remap scrub`: bad places are found before anybody needs them, and the truth is told."""

import json
import os
import pty
import re
import signal
import subprocess
import unittest

import nbd

from harness import PROGRAM, FAILED, MIB, OK, USAGE
from running import RunningTest, connected, write_sectors

SECTORS = 16 * MIB // 512
SLOWEST = ("--rate", "64K")  # a pass takes four minutes: it is under way whenever a test looks
FASTEST = ("--rate", "1G")


class Scrub(RunningTest):
    RANGES = ()

    def setUp(self):
        super().setUp()
        self.plan(*self.RANGES)
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        self.succeed("create", "tank", "--main", f"faulty:{self.folder}/plan.json:{main}",
                     "--spare", spare)

    def plan(self, *ranges):
        """What main refuses, from the next start on."""
        (self.folder / "plan.json").write_text(json.dumps({"ranges": list(ranges)}))

    def scrub(self, action, *options):
        return self.succeed("scrub", "tank", action, "--json", *options).json

    def background(self, *arguments):
        process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment,
                                   cwd=self.folder)
        self.addCleanup(self.end, process)
        return process

    def wait_until_it_runs(self):
        """And has read something; each look at it is a round trip."""
        for _ in range(1000):
            now = self.scrub("status")
            if now["state"] == "running" and now["position"] > 0:
                return
        self.fail("it does not run")

    def assert_outcome(self, process, code, *words):
        """Of a process that waited: what it said, and how it ended."""
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, err)
        self.assertEqual(len(err.splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)
        return out


class Finding(Scrub):
    RANGES = ({"sector": 1603, "count": 2, "on": "read", "error": "ENODATA"},
              {"sector": 20003, "count": 1, "on": "read", "error": "EIO", "times": 4})

    def test_bad_sectors_are_found_and_their_neighbours_saved(self):
        path = self.start()
        data = os.urandom(20 * 512)
        write_sectors(path, 1596, data)
        ended = self.scrub("start", *FASTEST, "--wait")
        self.assertEqual(ended, {
            "name": "tank", "volume_sectors": SECTORS, "state": "idle", "position": SECTORS,
            "passes": 1, "read_sectors": SECTORS, "skipped_sectors": 0, "failed_reads": 2,
            "unreadable_blocks": 1, "kib_per_s": MIB})
        lost, moved = self.map()
        self.assertEqual((lost["lost"], lost["member"]), ([1603, 1604], 1))
        self.assertEqual((moved["sector"], moved["lost_sectors"]), (20000, 0))
        with connected(path) as client:
            self.assertEqual(bytes(client.pread(7 * 512, 1596 * 512)), data[:7 * 512])
            with self.assertRaises(nbd.Error):
                client.pread(512, 1603 * 512)
        self.assertEqual(self.status()["scrub"]["unreadable_blocks"], 1)
        self.assertEqual(self.status()["lost_sectors"], 2)
        events = self.succeed("events", "tank").out
        self.assertIn(f"the scrub has come to the volume's end: {SECTORS} sectors looked at",
                      events)
        self.assertIn("2 sectors from 1603: lost", events)

    def test_what_was_found_is_told_in_words(self):
        self.start()
        self.assertRegex(self.succeed("status", "tank").out, r"Scrub +none since")
        text = self.succeed("scrub", "tank", "status").out
        self.assertIn("tank: no scrub since the volume was started", text)
        self.assertIn("`dm-remap scrub tank start` reads all 16 MiB, at most 32 MiB a second", text)
        text = self.succeed("scrub", "tank", "start", *FASTEST, "--wait").out
        for words in ("tank: scrub ended", f"sector {SECTORS} of {SECTORS}",
                      "2 blocks did not come at once, and 1 block could not be read whole",
                      "`dm-remap map tank` lists the lost sectors", "1 came to the end since"):
            self.assertIn(words, text)
        self.assertRegex(self.succeed("status", "tank").out,
                         r"Scrub +1 pass since the start; the last found 1 new unreadable")

    def test_what_is_lost_already_is_left_out(self):
        self.plan({"sector": 1600, "count": 8, "on": "read", "error": "ENODATA"})
        self.start()
        self.scrub("start", *FASTEST, "--wait")
        text = self.succeed("scrub", "tank", "start", *FASTEST, "--wait").out
        self.assertIn("Found      nothing", text)
        self.assertIn("8 sectors lost before", text)

    def test_a_read_only_volume_is_read_and_records_nothing(self):
        self.start("tank", "--read-only")
        text = self.succeed("scrub", "tank", "start", *FASTEST, "--wait").out
        self.assertIn("1 block could not be read whole; nothing of it is recorded", text)
        self.assertNotIn("lost sectors", text)
        self.assertEqual(self.map(), [])


class Orders(Scrub):
    def setUp(self):
        super().setUp()
        self.path = self.start()

    def refuse(self, code, arguments, *words):
        before = self.status()["scrub"]
        self.assert_refused(code, ["scrub", "tank", *arguments], *words)
        self.assertEqual(self.status()["scrub"], before)

    def test_a_pass_is_paused_goes_on_and_is_stopped(self):
        begun = self.scrub("start", "--from", 4096, *SLOWEST)
        self.assertEqual((begun["state"], begun["kib_per_s"]), ("running", 64))
        self.assertGreaterEqual(begun["position"], 4096)
        text = self.succeed("scrub", "tank", "status").out
        self.assertRegex(text, r"tank: scrub running, \d+ % done")
        self.assertRegex(text, r"Position +sector \d+ of 32768, begun at sector 4096")
        self.assertRegex(text, r"Speed +at most 64 KiB a second, so at least 3 min to go")
        self.assertRegex(self.succeed("status", "tank").out, r"Scrub +running, \d+ % done")
        paused = self.scrub("pause")
        self.assertEqual(paused["state"], "paused")
        self.assertRegex(self.succeed("scrub", "tank", "status").out,
                         r"(?s)tank: scrub paused at \d+ %.*Go on +dm-remap scrub tank start\n")
        self.assertRegex(self.succeed("status", "tank").out, r"Scrub +paused at \d+ %; `dm-remap")
        self.assertGreaterEqual(self.scrub("status")["position"], paused["position"])
        self.assertEqual(self.scrub("start")["state"], "running")
        stopped = self.scrub("stop")
        self.assertEqual((stopped["state"], stopped["passes"]), ("idle", 0))
        self.assertRegex(self.succeed("scrub", "tank", "status").out,
                         rf"(?s)tank: scrub stopped at \d+ %.*Go on +dm-remap scrub tank start "
                         rf"--from {stopped['position']}\n")
        again = self.scrub("start", "--from", stopped["position"], *FASTEST, "--wait")
        self.assertEqual(again["read_sectors"], SECTORS - stopped["position"])

    def test_start_gives_a_running_scrub_another_rate(self):
        self.scrub("start", *SLOWEST)
        self.assertEqual(self.scrub("start", "--rate", "4M")["kib_per_s"], 4096)

    def test_a_pass_ends_with_the_volume(self):
        self.scrub("start", *SLOWEST)
        self.stop()
        self.start()
        self.assertEqual(self.scrub("status")["state"], "idle")

    def test_orders_that_mean_nothing(self):
        self.refuse(FAILED, ["pause"], "nothing to pause")
        self.refuse(USAGE, ["start", "--from", SECTORS], f"volume of {SECTORS} sectors")
        self.scrub("start", *SLOWEST)
        self.scrub("pause")
        self.refuse(FAILED, ["start", "--from", 8], "a scrub is paused at sector")

    def test_wrong_arguments(self):
        self.refuse(USAGE, ["begin"], "none of start, pause, stop, status")
        self.refuse(USAGE, [], "ACTION is required")
        for rate in ("0", "1023", "63K", "17000G"):
            self.refuse(USAGE, ["start", "--rate", rate], "64 KiB to 16 GiB a second")
        self.refuse(USAGE, ["start", "--rate", "fast"], "`fast` is not a size")
        self.refuse(USAGE, ["start", "--from", "here"], "--from")
        self.refuse(USAGE, ["stop", "--from", "8"], "--from goes with `start`")
        self.refuse(USAGE, ["status", "--rate", "1M"], "--rate goes with `start`")
        for action in ("pause", "stop"):
            self.refuse(USAGE, [action, "--wait"], "--wait goes with `start` and `status`")


class Waiting(Scrub):
    def test_ctrl_c_leaves_the_scrub_running_and_says_so(self):
        self.start()
        waiting = self.background("scrub", "tank", "start", *SLOWEST, "--wait")
        self.wait_until_it_runs()
        # Not before it waits: then it would be ended at once, and say nothing.
        self.wait_until_held(waiting.pid)
        waiting.send_signal(signal.SIGINT)
        out = self.assert_outcome(waiting, -signal.SIGINT, "the scrub goes on",
                                  "`dm-remap scrub tank stop` ends it")
        self.assertIn("tank: scrub running", out)
        self.assertEqual(self.scrub("status")["state"], "running")

    def wait_until_held(self, pid):
        """Until the process holds SIGINT back."""
        for _ in range(100_000):
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                blocked = int(re.search(r"SigBlk:\s+(\w+)", status.read()).group(1), 16)
            if blocked & 1 << signal.SIGINT - 1:
                return
        self.fail("it does not wait")

    def test_somebody_who_stops_or_pauses_it_is_told(self):
        self.start()
        for action, words in (("pause", "the scrub was paused at sector"),
                              ("stop", "the scrub was stopped at sector")):
            with self.subTest(action=action):
                waiting = self.background("scrub", "tank", "start", *SLOWEST, "--wait")
                self.wait_until_it_runs()
                self.scrub(action)
                self.assert_outcome(waiting, FAILED, "dm-remap: volume `tank`: ", words,
                                    "`dm-remap scrub tank start")

    def test_a_volume_that_is_stopped_is_told(self):
        self.start()
        self.scrub("start", *SLOWEST)
        self.scrub("pause")
        self.scrub("start")
        waiting = self.background("scrub", "tank", "status", "--wait")
        self.wait_until_held(waiting.pid)
        self.stop()
        self.assert_outcome(waiting, FAILED, "the scrub was at sector", "when the volume runs",
                            "`dm-remap scrub tank start --from ")

    def test_a_device_that_does_not_answer_is_told(self):
        self.plan({"sector": 0, "count": SECTORS, "on": "read", "error": "ENODEV"})
        self.start()
        waiting = self.background("scrub", "tank", "start", *FASTEST, "--wait")
        self.assert_outcome(waiting, FAILED, "the scrub is paused at sector 0",
                            "main does not answer", "`dm-remap scrub tank start` goes on")
        self.assertEqual(self.map(), [])
        self.assertIn("scrub_paused", self.succeed("events", "tank").out)
        again = self.run_program("scrub", "tank", "status", "--wait")
        self.assertEqual(again.code, FAILED)
        self.assert_one_line(again, "main does not answer")

    def test_somebody_who_pauses_it_is_told_from_a_device_that_did_before(self):
        self.plan({"sector": 0, "count": SECTORS, "on": "read", "error": "ENODEV"})
        self.start()
        waiting = self.background("scrub", "tank", "start", *FASTEST, "--wait")
        self.assert_outcome(waiting, FAILED, "main does not answer")
        # It rests behind the first failure, at the same sector.
        waiting = self.background("scrub", "tank", "start", "--wait")
        self.wait_until_held(waiting.pid)
        self.assertEqual(self.scrub("pause")["position"], 0)
        self.assert_outcome(waiting, FAILED, "tank`: the scrub was paused at sector 0;")

    def test_status_waits_for_a_pass_that_runs(self):
        self.start()
        self.scrub("start", "--rate", "16M")
        self.assertEqual(self.scrub("status", "--wait")["passes"], 1)

    def test_there_is_nothing_to_wait_for(self):
        self.start()
        result = self.run_program("scrub", "tank", "status", "--wait")
        self.assertEqual(result.code, FAILED)
        self.assert_one_line(result, "no scrub of volume `tank` is under way")

    def test_a_terminal_is_shown_how_far_it_is(self):
        self.start()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen([PROGRAM, "scrub", "tank", "start", "--rate", "16M", "--wait"],
                              stdout=subprocess.DEVNULL, stderr=theirs, env=self.environment,
                              cwd=self.folder) as waiting:
            os.close(theirs)
            shown = b""
            while chunk := self.read_terminal(ours):
                shown += chunk
        self.assertEqual(waiting.returncode, OK, shown)
        self.assertRegex(shown.decode(), r"\[#*\.*\] +\d+ %  .* of 16 MiB")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), "it is wiped out")

    @staticmethod
    def read_terminal(terminal):
        try:
            return os.read(terminal, 4096)
        except OSError:  # nobody has the other end any more
            return b""


class Elsewhere(RunningTest):
    def test_volumes_that_do_not_run(self):
        for action in ("start", "pause", "stop", "status"):
            self.assert_refused(FAILED, ["scrub", "nosuch", action], "no volume `nosuch` is known")
        self.make_volume()
        for action in ("start", "pause", "stop", "status"):
            self.assert_refused(FAILED, ["scrub", "tank", action], "`tank` is not running",
                                "dm-remap start tank")


if __name__ == "__main__":
    unittest.main()
