#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the tests that docs/contract.md names for each rule against those that exist:
contract_names.py REPOSITORY. Patterns are GoogleTest's, `Suite.Name` with `*`."""

import fnmatch
import pathlib
import re
import sys

RULES = range(1, 11)
ROW = re.compile(r"^\| (\d+) \|.*\|([^|]*)\|$")
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", re.MULTILINE)


def named(document: str) -> dict[int, list[str]]:
    """Of each rule, the patterns in the last column."""
    rows = filter(None, map(ROW.match, document.splitlines()))
    return {int(row[1]): re.findall(r"`([^`]+)`", row[2]) for row in rows}


def faults(document: str, tests: set[str]) -> list[str]:
    patterns = named(document)
    found = [f"rule {rule} names no test" for rule in RULES if not patterns.get(rule)]
    for rule, names in patterns.items():
        found += [f"rule {rule}: no test is called `{name}`" for name in names
                  if not fnmatch.filter(tests, name)]
    return found


def main() -> int:
    top = pathlib.Path(sys.argv[1])
    tests = set()
    for folder in ("core", "runtime", "exports", "sim", "cli"):
        for file in (top / folder).rglob("*_test.cpp"):
            tests |= {".".join(found) for found in TEST.findall(file.read_text("utf-8"))}
    sample = "| 1 | a | b | `A.B*` |\n"
    assert faults(sample, {"A.Bc"}) == [f"rule {rule} names no test" for rule in RULES[1:]]
    assert "rule 1: no test is called `A.B*`" in faults(sample, {"A.C"})
    found = faults((top / "docs/contract.md").read_text("utf-8"), tests)
    for fault in found:
        print(f"docs/contract.md: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
