#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds every file of the repository against rules.py: `tidy.py TOP`; exit status 1 if one fails.

Looked at are the files that git knows, and those it would take with `git add`.
"""

import os
import subprocess
import sys

from rules import RULES
from source import Source


def repository_files(top: str) -> list[Source]:
    command = ["git", "-c", "safe.directory=*", "-C", top, "ls-files", "-z", "--cached",
               "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    sources = []
    for name in sorted(set(filter(None, names))):
        path = os.path.join(top, name)
        if not os.path.isfile(path):
            continue  # deleted, not yet committed
        with open(path, "rb") as file:
            sources.append(Source(name, file.read(), os.access(path, os.X_OK)))
    return sources


def findings(source: Source) -> list[str]:
    names = ("no_binaries", "no_generated_files", "top_level") if source.is_binary else RULES
    return [
        f"{source.path}:{line}: {message} [{name}]"
        for name in names
        for line, message in RULES[name](source)
    ]


def main() -> int:
    sources = repository_files(sys.argv[1])
    if not sources:
        print("tidy: git lists no file", file=sys.stderr)
        return 1
    problems = [problem for source in sources for problem in findings(source)]
    print("\n".join(problems))
    print(f"tidy: {len(sources)} files, {len(RULES)} rules, {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
