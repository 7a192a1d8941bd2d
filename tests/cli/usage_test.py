# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as such: help, wrong usage, completion."""

import re
import subprocess
import unittest

from harness import PROGRAM, CliTest, OK, USAGE

COMMANDS = ("create", "start", "stop", "list", "status", "map", "events", "scrub", "mark",
            "forget", "import", "export", "check", "repair", "backup", "restore", "dump",
            "simulate", "completion")


class Usage(CliTest):
    def test_help_lists_every_command(self):
        text = self.succeed("--help").out
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} ")

    def test_every_command_explains_itself_with_examples(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                text = self.succeed(command, "--help").out
                self.assertRegex(text, rf"(?m)^Usage: dm-remap {command}\b")
                self.assertRegex(text, rf"(?m)^  (\w+ \"\$\(|.*)dm-remap {command}\b")
                self.assertIn("Examples:", text)
                self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_every_printing_command_offers_json(self):
        for command in COMMANDS:
            if command not in ("completion", "stop"):
                self.assertIn("--json", self.succeed(command, "--help").out, command)

    def test_no_command_is_wrong_usage(self):
        self.assert_refused(USAGE, [], "a command is missing", "--help")

    def test_an_unknown_command_suggests_the_nearest(self):
        self.assert_refused(USAGE, ["creat"], "no command `creat`", "did you mean `create`?")

    def test_an_unknown_option_is_wrong_usage(self):
        self.assert_refused(USAGE, ["list", "--colour"], "--colour", "dm-remap list --help")

    def test_a_missing_argument_is_named(self):
        self.assert_refused(USAGE, ["create", "tank"], "--main is required")
        self.assert_refused(USAGE, ["create"], "NAME is required")
        self.assert_refused(USAGE, ["mark", "tank"], "is required")

    def test_a_name_that_could_leave_the_folder_is_wrong_usage(self):
        for name in ("../x", "/x", ".x", "-x", "a/b", "a b", "", "x" * 64):
            with self.subTest(name=name):
                self.assert_refused(USAGE, ["status", "--", name])

    def test_a_word_that_is_no_choice_is_wrong_usage(self):
        self.assert_refused(USAGE, ["start", "tank", "--export", "smoke"],
                            "none of auto, dm, nbd, fuse")

    def test_a_word_far_from_every_choice_suggests_none(self):
        result = self.assert_refused(USAGE, ["completion", "fish"], "none of bash")
        self.assertNotIn("did you mean", result.err)

    def test_a_number_that_is_none_is_named(self):
        self.assert_refused(USAGE, ["simulate", "--runs", "x"], "--runs: `x` is not a number")

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            process = subprocess.run([PROGRAM, "completion", "bash"], stdout=full,
                                     stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(process.returncode, 1)
        self.assertIn("could not be written", process.stderr)


class Completion(CliTest):
    def complete(self, *words):
        """What bash offers for the last of `words`."""
        script = ('source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_dm_remap; printf "%s\\n" "${COMPREPLY[@]}"')
        process = subprocess.run(["bash", "-c", script, PROGRAM, *words], capture_output=True,
                                 text=True, env=self.environment, cwd=self.folder, check=True)
        return process.stdout.split()

    def test_commands_are_completed(self):
        self.assertEqual(self.complete("dm-remap", "st"), ["start", "stop", "status"])

    def test_options_are_those_of_the_command(self):
        self.assertEqual(self.complete("dm-remap", "create", "--ma"), ["--main"])
        self.assertEqual(self.complete("dm-remap", "list", "--ma"), [])

    def test_choices_are_completed(self):
        self.assertEqual(self.complete("dm-remap", "start", "tank", "--export", "n"), ["nbd"])

    def test_choices_stand_in_their_place(self):
        actions = ["start", "pause", "stop", "status"]
        for before in ([], ["--json"], ["--from", "8"], ["--wait", "--rate", "1M"]):
            with self.subTest(before=before):
                self.assertEqual(self.complete("dm-remap", "scrub", *before, "tank", ""), actions)
                self.assertEqual(self.complete("dm-remap", "scrub", *before, ""), [])
        self.assertEqual(self.complete("dm-remap", "scrub", "tank", "--from", ""), [])
        self.assertEqual(self.complete("dm-remap", "scrub", "tank", "--wait", "st"),
                         ["start", "stop", "status"])

    def test_devices_are_completed_as_files(self):
        self.disk("disk.img", 512)
        self.assertEqual(self.complete("dm-remap", "create", "t", "--main", "di"), ["disk.img"])
        self.assertEqual(self.complete("dm-remap", "check", "di"), ["disk.img"])

    def test_every_option_in_the_help_is_completed(self):
        for command in COMMANDS:
            text = self.succeed(command, "--help").out
            options = set(re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text))
            offered = set(self.complete("dm-remap", command, "--"))
            self.assertEqual(options, offered, command)

    def test_zsh_gets_the_same_options(self):
        script = self.succeed("completion", "zsh").out
        self.assertTrue(script.startswith("#compdef dm-remap"))
        for option in ("--main", "--export", "--badblocks", "--foreground"):
            self.assertIn(f"'{option}[", script.replace("'*", "'"))


if __name__ == "__main__":
    unittest.main()
