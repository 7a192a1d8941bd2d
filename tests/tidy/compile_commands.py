#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the build's own record of compiler calls against the rules.

`compile_commands.py TOP BUILD`: every .cpp is compiled, with all warnings as errors and the
language level of its folder; every header without a .cpp of its own compiles alone (for those of
the engine, tests/gates sees to that with the kernel's flags).
"""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

from source import Source
from tidy import repository_files

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
# Two false findings of g++ 12 are let through; cmake/Compiler.cmake says why.
RELAXED = re.compile(r"-Wno-(?!(?:restrict|mismatched-new-delete)$)|-w$")
COMPILE_TIMEOUT_S = 120


def levels(folder: str) -> set[str]:
    """`support` also holds what the engine's own library links."""
    if folder in ("core", "kernel"):
        return {"-std=c++20"}
    return {"-std=c++20", "-std=c++23"} if folder == "support" else {"-std=c++23"}


def standard(argument: str) -> str:
    return {"-std=c++2a": "-std=c++20", "-std=c++2b": "-std=c++23"}.get(argument, argument)


def flag_problems(path: str, arguments: list[str]) -> list[str]:
    problems = [f"{path}: compiled without {flag}" for flag in WARNINGS if flag not in arguments]
    problems += [f"{path}: compiled with {a}" for a in arguments if RELAXED.match(a)]
    wanted = levels(path.split("/", 1)[0])
    if wanted.isdisjoint(map(standard, arguments)):
        problems.append(f"{path}: not compiled with {' or '.join(sorted(wanted))}")
    return problems


def is_kernel_c(source: Source) -> bool:
    """Of the module's shim, which is C: only the kernel's build knows its headers."""
    return any(line.startswith("#include <linux/") for line in source.lines) and \
        source.folder == "kernel"


def lonely_headers(sources: list[Source]) -> list[str]:
    """Headers that no .cpp proves to stand alone by including them first."""
    paths = {source.path for source in sources}
    return [
        source.path for source in sources
        if source.name.endswith(".h") and source.folder != "core" and not is_kernel_c(source)
        and source.path[:-2] + ".cpp" not in paths
        and source.path[:-2] + "_test.cpp" not in paths
    ]


def nearest(path: str, entries: dict[str, list[str]]) -> list[str] | None:
    """The compiler call for the file that shares the longest path with `path`."""
    near = max(entries, key=lambda other: len(os.path.commonprefix([other, path])), default=None)
    if near is None or near.split("/", 1)[0] != path.split("/", 1)[0]:
        return None
    return entries[near]


def header_problem(top: str, build: str, path: str, arguments: list[str]) -> str | None:
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as unit:
        unit.write(f'#include "{path}"\n#include "{path}"\n')
        unit.flush()
        command = without_outputs(arguments) + ["-fsyntax-only", unit.name]
        done = subprocess.run(command, cwd=build, capture_output=True, text=True,
                              timeout=COMPILE_TIMEOUT_S)
    return f"{path}: does not compile alone\n{done.stderr}" if done.returncode else None


def without_outputs(arguments: list[str]) -> list[str]:
    """The call without the names of the files that it reads and writes."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("-o", "-MF", "-MT", "-include"):
            skip = True
        elif argument not in ("-c", "-MD") and not argument.endswith(".cpp"):
            kept.append(argument)
    return kept


# Targets of the sanitizer builds alone, which compile them with the same flags and -Werror.
OF_OTHER_BUILDS = ("tests/fuzz/",)


def main() -> int:
    top, build = map(os.path.realpath, sys.argv[1:3])
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    entries = {
        os.path.relpath(os.path.realpath(command["file"]), top): shlex.split(command["command"])
        for command in commands
    }
    entries = {path: call for path, call in entries.items() if not path.startswith(("..", "build"))}
    problems = [p for path, call in entries.items() for p in flag_problems(path, call)]

    sources = repository_files(top)
    problems += [f"{source.path}: belongs to no target" for source in sources
                 if source.path.endswith(".cpp") and source.path not in entries
                 and not source.path.startswith(OF_OTHER_BUILDS)]
    calls = {path: nearest(path, entries) for path in lonely_headers(sources)}
    problems += [f"{path}: belongs to no target" for path, call in calls.items() if call is None]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        checks = [pool.submit(header_problem, top, build, path, call)
                  for path, call in calls.items() if call is not None]
        problems += filter(None, (check.result() for check in checks))

    print("\n".join(problems))
    print(f"{len(entries)} compiler calls, {len(checks)} headers alone, {len(problems)} findings")
    return 1 if problems or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
