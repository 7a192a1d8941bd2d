# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles each header of a folder on its own: whoever includes one needs no other before it."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor


def compile_alone(header, arguments):
    """The compiler's complaint about a source that includes only this header, twice."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "alone.cpp"
        source.write_text(f'#include "{header}"\n' * 2, encoding="utf-8")
        done = subprocess.run([arguments.compiler, *arguments.flags, "-I", arguments.root,
                               "-fsyntax-only", str(source)], capture_output=True, text=True)
        return f"{header} does not compile alone:\n{done.stderr}" if done.returncode else ""


def notices_a_needy_header(arguments):
    """Proof that the check can fail: a header that uses what it does not include."""
    with tempfile.TemporaryDirectory() as folder:
        needy = pathlib.Path(folder) / "needy.h"
        needy.write_text("#pragma once\ninline dmr::u64 missing = 0;\n", encoding="utf-8")
        return compile_alone(needy, arguments) != ""


def main():
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--compiler", required=True)
    arguments = parser.parse_args(words[:at])
    arguments.flags = words[at + 1:]

    if not notices_a_needy_header(arguments):
        print("the check does not notice a header that needs another one")
        return 1
    root = pathlib.Path(arguments.root)
    headers = sorted(path.relative_to(root) for path in (root / arguments.folder).rglob("*.h")
                     if "testing" not in path.parts)  # what only tests use is hosted
    if not headers:
        print(f"no headers in {arguments.folder}")
        return 1
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        answers = pool.map(lambda header: compile_alone(header, arguments), headers)
        complaints = [answer for answer in answers if answer]
    print("\n".join(complaints) or f"{len(headers)} headers compile alone")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
