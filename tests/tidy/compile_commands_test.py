#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows that compile_commands.py notices missing flags, wrong levels, headers that need others."""

import os
import tempfile
import unittest

import compile_commands as checker
from source import Source

FLAGS = ["g++", *checker.WARNINGS]


class CompileCommandsTest(unittest.TestCase):
    def test_complete_calls_are_left_in_peace(self):
        self.assertEqual(checker.flag_problems("core/a.cpp", [*FLAGS, "-std=c++20"]), [])
        self.assertEqual(checker.flag_problems("cli/a.cpp", [*FLAGS, "-std=c++2b"]), [])

    def test_a_missing_warning_is_found(self):
        for flag in checker.WARNINGS:
            call = [f for f in FLAGS if f != flag] + ["-std=c++20"]
            self.assertEqual(len(checker.flag_problems("core/a.cpp", call)), 1)

    def test_a_switched_off_warning_is_found(self):
        for flag in ("-Wno-shadow", "-w"):
            self.assertTrue(checker.flag_problems("core/a.cpp", [*FLAGS, "-std=c++20", flag]))

    def test_the_wrong_language_level_is_found(self):
        self.assertTrue(checker.flag_problems("core/a.cpp", [*FLAGS, "-std=c++23"]))
        self.assertTrue(checker.flag_problems("cli/a.cpp", [*FLAGS, "-std=c++20"]))

    def test_only_headers_without_a_unit_of_their_own_are_lonely(self):
        paths = ("a/x.h", "a/x.cpp", "a/y.h", "a/y_test.cpp", "a/z.h")
        self.assertEqual(checker.lonely_headers([Source(p, b"") for p in paths]), ["a/z.h"])

    def test_a_header_that_needs_another_is_found(self):
        with tempfile.TemporaryDirectory() as top:
            for name, text in (("good.h", "inline int f() { return 1; }\n"),
                               ("bad.h", "inline std::size_t f() { return 1; }\n")):
                with open(os.path.join(top, name), "w", encoding="utf-8") as file:
                    file.write("#pragma once\n" + text)
            call = ["g++", "-I", top, "-o", "x.o", "-c", "x.cpp"]
            self.assertIsNone(checker.header_problem(top, top, "good.h", call))
            self.assertIn("bad.h", checker.header_problem(top, top, "bad.h", call))

    def test_flags_come_from_the_nearest_unit_of_the_same_folder(self):
        entries = {"core/a/x.cpp": ["1"], "core/b/x.cpp": ["2"], "cli/x.cpp": ["3"]}
        self.assertEqual(checker.nearest("core/b/y.h", entries), ["2"])
        self.assertIsNone(checker.nearest("sim/y.h", entries))


if __name__ == "__main__":
    unittest.main()
