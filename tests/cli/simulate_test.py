# SPDX-License-Identifier: GPL-2.0-or-later
"""`dm-remap simulate`: the same seed is the same run, wrong usage is told, Ctrl-C keeps the sums.
With an engine that has a deliberate bug: the failure is shortened, and its command repeats it."""

import os
import pty
import re
import shlex
import signal
import subprocess
import unittest

from harness import FAILED, OK, PROGRAM, USAGE, CliTest

BUGGY = os.environ["DMR_SIMULATE_WITH_BUG"]


class Simulate(CliTest):
    def simulate(self, *arguments):
        return self.succeed("simulate", *arguments, "--json").json

    def test_one_seed_is_one_run_again_and_again(self):
        first, second = self.simulate("--seed", 4711), self.simulate("--seed", 4711)
        self.assertEqual(first["figures"]["runs"], 1)
        self.assertEqual(first["figures"], second["figures"])
        self.assertNotEqual(first["figures"], self.simulate("--seed", 4712)["figures"])

    def test_the_trace_of_a_seed_is_the_same_byte_for_byte(self):
        for name in ("a", "b"):
            self.succeed("simulate", "--seed", 4711, "--profile", "power-cuts", "--trace", name)
        first = (self.folder / "a").read_bytes()
        self.assertEqual(first, (self.folder / "b").read_bytes())
        self.assertIn(b"power cut", first)
        self.assertGreater(len(first.splitlines()), 100)

    def test_the_number_of_processes_changes_nothing(self):
        runs = ("--seed", 1, "--runs", 40)
        self.assertEqual(self.simulate(*runs, "--jobs", 1)["figures"],
                         self.simulate(*runs, "--jobs", 4)["figures"])

    def test_all_profiles_take_turns(self):
        result = self.simulate("--seed", 1, "--runs", 2)
        self.assertGreater(len(result["profiles"]), 10)
        self.assertEqual(self.simulate("--seed", 1, "--profile", "quiet")["profiles"], ["quiet"])

    def test_seconds_end_it(self):
        result = self.simulate("--seconds", 1)
        self.assertGreater(result["figures"]["runs"], 0)
        self.assertFalse(result["interrupted"])

    def test_the_table_names_what_was_done(self):
        text = self.succeed("simulate", "--seed", 5, "--runs", 30).out
        self.assertIn("no rule was broken", text)
        for title in ("runs", "requests", "power cuts", "torn writes", "injected",
                      "metadata commits", "bytes compared"):
            self.assertIn(title, text)

    def test_ctrl_c_prints_what_was_done_and_ends_by_the_signal(self):
        process = subprocess.Popen([PROGRAM, "simulate", "--seconds", "3600", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.environment, cwd=self.folder)
        self.addCleanup(process.stderr.close)
        self.wait_for_children(process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertIn('"interrupted": true', out)

    def wait_for_children(self, process):
        """Until it has begun: then its signals wait for the end of the runs."""
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        while not open(children, encoding="ascii").read():
            self.assertIsNone(process.poll())

    def test_a_bar_shows_progress_on_a_terminal_only(self):
        self.assertEqual(self.succeed("simulate", "--runs", 20).err, "")
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:
            process = subprocess.Popen([PROGRAM, "simulate", "--seconds", "1"], stderr=theirs,
                                       stdout=subprocess.DEVNULL, env=self.environment)
            os.close(theirs)
            shown = b""
            try:
                while piece := terminal.read(4096):
                    shown += piece
            except OSError:
                pass  # how Linux says that the other end is closed
            self.assertEqual(process.wait(timeout=60), OK)
        self.assertRegex(shown, rb"\[#+\.*\] +\d+ %  [\d,]+ runs?, [\d,]+ runs/s, "
                                rb"[\d,]+ power cuts?")

    def test_wrong_usage(self):
        for arguments, words in (
                (["--runs", "0"], ["--runs"]),
                (["--jobs", "0"], ["--jobs"]),
                (["--seconds", "0"], ["--seconds"]),
                (["--runs", "x"], ["--runs"]),
                (["--profile", "powercuts"], ["did you mean `power-cuts`"]),
                (["--runs", "2", "--trace", "x"], ["--trace", "--seed"]),
                (["--seconds", "2", "--trace", "x"], ["--trace"]),
                (["--only-steps", "1"], ["--seed"]),
                (["--seed", "1", "--only-steps", "2,1"], ["--only-steps", "2,1"]),
                (["--seed", "1", "--only-steps", "301"], ["1 to 300"])):
            with self.subTest(arguments=arguments):
                self.assert_refused(USAGE, ["simulate", *arguments], *words)

    def test_a_trace_that_cannot_be_written_is_an_error(self):
        self.assert_refused(FAILED, ["simulate", "--seed", "1", "--trace", "no/folder"],
                            "no/folder")


class Failure(CliTest):
    program = BUGGY

    def fail(self, *arguments):
        result = self.run_program("simulate", *arguments, timeout=200)
        self.assertEqual(result.code, FAILED, result.out + result.err)
        return result

    def test_it_is_shortened_told_and_repeatable(self):
        result = self.fail("--seed", 1, "--runs", 500, "--profile", "clustered")
        self.assertRegex(result.out, r"(?m)^rule \d+ .* is broken: ")
        self.assertIn("broke the contract", result.err)
        steps = int(re.search(r"(?m)^(\d+) of its 300 steps are enough", result.out)[1])
        self.assertLess(steps, 30)
        command = re.search(r"(?m)^  dm-remap (simulate --seed .*)$", result.out)[1]
        again = self.run_program(*shlex.split(command))
        self.assertEqual(again.code, FAILED)
        rule = re.search(r"(?m)^rule .*$", result.out)[0]
        self.assertIn(rule, again.out)

    def test_json_tells_it_too(self):
        result = self.fail("--seed", 1, "--runs", 500, "--profile", "clustered", "--json")
        failure = result.json["failure"]
        self.assertTrue(failure["repeatable"])
        self.assertGreater(failure["rule"], 0)
        self.assertTrue(failure["history"][-1].startswith("rule "))
        alone = self.fail("--seed", failure["seed"], "--profile", "clustered", "--json")
        self.assertEqual(alone.json["failure"], failure)

    def test_its_trace_ends_with_the_rule(self):
        result = self.fail("--seed", 1, "--runs", 500, "--profile", "clustered", "--json")
        seed = result.json["failure"]["seed"]
        self.fail("--seed", seed, "--profile", "clustered", "--trace", "trace")
        lines = (self.folder / "trace").read_text().splitlines()
        self.assertRegex(lines[-1], r"^rule \d+ .* is broken: ")


if __name__ == "__main__":
    unittest.main()
