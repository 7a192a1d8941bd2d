# SPDX-License-Identifier: GPL-2.0-or-later
"""The house rules that a machine can hold. Each rule yields (line, message) for one file."""

import itertools
import re
from typing import Callable, Iterator

from source import Source

Finding = tuple[int, str]
Rule = Callable[[Source], Iterator[Finding]]

RULES: dict[str, Rule] = {}

MAX_COLUMNS = 100
MAX_FUNCTION_LINES = 70
MAX_SOURCE_LINES = 400
MAX_TEST_LINES = 600
MAX_PURPOSE_LINES = 8
MAX_FILE_BYTES = 256 * 1024

LICENSE_LINE = "SPDX-License-Identifier: GPL-2.0-or-later"

TOP_LEVEL = {
    ".ci", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", "CMakeLists.txt",
    "CMakePresets.json", "LICENSE", "Makefile", "README.md", "bench", "cli", "cmake", "core",
    "demo", "docs", "exports", "kernel", "packaging", "runtime", "scripts", "sim", "support",
    "tests",
}

# Safe in a kernel object: no heap, no exception, no floating point, nothing to link. Of <cstring>
# only the mem* functions are (BANNED_IN_CORE sees to that).
CORE_HEADERS = {
    "algorithm", "array", "atomic", "bit", "compare", "concepts", "coroutine", "cstddef",
    "cstdint", "cstring", "limits", "new", "optional", "span", "type_traits", "utility",
}

# Which folders a folder may include from, besides itself. Tests may include anything.
LAYERS = {
    "core": set(),
    "support": {"core"},
    "sim": {"core", "support"},
    "runtime": {"core", "support"},
    "exports": {"core", "support", "runtime"},
    "cli": {"core", "support", "runtime", "exports", "sim"},
    "demo": {"core", "support", "runtime", "exports"},
}

BANNED_EVERYWHERE = {
    "strcpy": "copies without a bound", "strcat": "appends without a bound",
    "sprintf": "prints without a bound", "vsprintf": "prints without a bound",
    "gets": "reads without a bound", "strtok": "keeps hidden state",
    "system": "runs a shell", "popen": "runs a shell",
    "rand": "is not reproducible by a seed of ours", "srand": "see rand",
    "atoi": "swallows errors; use std::from_chars", "atol": "swallows errors",
    "atof": "swallows errors", "alloca": "has no limit", "setjmp": "jumps over destructors",
    "longjmp": "jumps over destructors", "tmpnam": "is a race", "mktemp": "is a race",
}
BANNED_IN_CORE = {
    r"(?<!static_)\bassert\s*\(": "assert can be switched off; use DMR_ASSERT",
    r"(?<!operator )\bnew\b(?!\s*[(>])": "the engine has no heap; only placement new",
    r"(?<!= )(?<!operator )\bdelete\b": "the engine has no heap",
    r"\b(malloc|calloc|realloc|free)\s*\(": "the engine has no heap",
    r"\bstd::(function|string|vector|map|unordered_map|unique_ptr|shared_ptr|mutex)\b":
        "allocates or needs an operating system",
    r"\b(float|double)\b": "the kernel saves no floating-point registers",
    r"\b(throw|try|catch)\b": "the engine is compiled without exceptions",
    r"\b(dynamic_cast|typeid)\b": "the engine is compiled without type information",
    r"\bthread_local\b": "there is no thread-local storage in the kernel",
    r"\b__int128\b": "128-bit division is not there in the kernel",
    r"\bstd::popcount\b": "may call __popcountdi2, which the kernel has not",
    r"\bstr(n?cmp|n?cpy|n?cat|r?chr|len|str|tok|dup|to\w+)\s*\(":
        "of <cstring> only the mem* functions are in the kernel",
    r"\bvirtual\s+~": "a virtual destructor pulls in operator delete",
}
BANNED_IN_TESTS = {
    r"\b(DISABLED_\w+|GTEST_SKIP\b)": "a test that does not run shows nothing",
    r"\b(sleep|usleep|nanosleep|sleep_for|sleep_until)\s*\(": "wait for the event, not for time",
}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def code_matches(source: Source, pattern: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.code.split("\n"), 1):
        match = re.search(pattern, line)
        if match:
            yield number, match.group(0).strip()


@rule
def licence(source: Source) -> Iterator[Finding]:
    if source.is_source and not any(LICENSE_LINE in line for line in source.lines[:2]):
        yield 1, f"the first line (after a shebang) must hold `{LICENSE_LINE}`"


@rule
def purpose(source: Source) -> Iterator[Finding]:
    """Right below the licence line: what the file is for, in a few lines."""
    if not source.is_source:
        return
    start = next((i + 1 for i, line in enumerate(source.lines[:2]) if LICENSE_LINE in line), None)
    if start is None:
        return  # told by `licence`
    if source.is_python:
        match = re.match(r'"""(.*?)"""', "\n".join(source.lines[start:]), re.DOTALL)
        words = match.group(1).split("\n") if match else []
    else:
        marker = "//" if source.is_cpp else "#"
        words = []
        for line in source.lines[start:]:
            if not line.startswith(marker):
                break
            words.append(line.lstrip("/# "))
    if len(" ".join(words).strip()) < 20:
        yield start + 1, "say in a comment below the licence line what the file is for"
    elif len(words) > MAX_PURPOSE_LINES and source.is_cpp:
        yield start + 1, f"the opening comment is longer than {MAX_PURPOSE_LINES} lines"


@rule
def file_length(source: Source) -> Iterator[Finding]:
    limit = MAX_TEST_LINES if source.is_test else MAX_SOURCE_LINES
    if source.is_source and len(source.lines) > limit:
        yield limit + 1, f"{len(source.lines)} lines; {limit} are allowed"


@rule
def function_length(source: Source) -> Iterator[Finding]:
    for function in source.functions:
        length = function.last_line - function.first_line + 1
        if length > MAX_FUNCTION_LINES:
            yield (function.first_line,
                   f"a function of {length} lines; {MAX_FUNCTION_LINES} are allowed")


@rule
def columns(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if source.is_source and len(line) > MAX_COLUMNS:
            yield number, f"{len(line)} columns; {MAX_COLUMNS} are allowed"


@rule
def white_space(source: Source) -> Iterator[Finding]:
    if not source.is_source or not source.text:
        return
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line and source.name != "Makefile":
            yield number, "a tab"
    if not source.text.endswith("\n"):
        yield len(source.lines), "no line break at the end of the file"


@rule
def pragma_once(source: Source) -> Iterator[Finding]:
    if source.is_header and not re.search(r"(?m)^#pragma once$", source.code):
        yield 1, "a header begins with `#pragma once`"


@rule
def own_header_first(source: Source) -> Iterator[Finding]:
    """x.cpp includes x.h before all else: the compiler then proves that x.h stands alone."""
    if not source.name.endswith(".cpp"):
        return
    own = re.sub(r"(_test|_bench)?\.cpp$", ".h", source.path)
    includes = re.findall(r'(?m)^#include ["<](.+?)[">]', source.text)
    if own in includes and includes[0] != own:
        yield 1, f'"{own}" must be the first include'


@rule
def rooted_includes(source: Source) -> Iterator[Finding]:
    if not source.is_cpp:
        return
    for number, line in enumerate(source.lines, 1):
        match = re.match(r'#include "(.+)"', line)
        if match and ("/" not in match.group(1) or ".." in match.group(1)):
            yield number, f'"{match.group(1)}" is not a path from the top of the repository'


@rule
def layers(source: Source) -> Iterator[Finding]:
    if not source.is_cpp or source.is_test or source.folder not in LAYERS:
        return
    allowed = LAYERS[source.folder] | {source.folder, "generated"}
    for number, line in enumerate(source.lines, 1):
        match = re.match(r'#include "(\w+)/', line)
        if match and match.group(1) not in allowed:
            yield number, f"{source.folder} must not know {match.group(1)}"


@rule
def core_headers(source: Source) -> Iterator[Finding]:
    if source.folder != "core" or not source.is_cpp or source.is_test:
        return
    for number, line in enumerate(source.lines, 1):
        match = re.match(r"#include <(.+)>", line)
        if match and match.group(1) not in CORE_HEADERS:
            yield number, f"<{match.group(1)}> is not safe in a kernel object"


@rule
def core_calls(source: Source) -> Iterator[Finding]:
    if source.folder != "core" or not source.is_cpp or source.is_test:
        return
    for pattern, reason in BANNED_IN_CORE.items():
        for number, found in code_matches(source, pattern):
            yield number, f"`{found}`: {reason}"


@rule
def banned_calls(source: Source) -> Iterator[Finding]:
    if not source.is_cpp:
        return
    for name, reason in BANNED_EVERYWHERE.items():
        for number, _ in code_matches(source, rf"(?<![\w.>])(std::)?{name}\s*\("):
            yield number, f"`{name}` {reason}"


@rule
def test_calls(source: Source) -> Iterator[Finding]:
    if not source.is_cpp or not source.is_test:
        return
    for pattern, reason in BANNED_IN_TESTS.items():
        for number, found in code_matches(source, pattern):
            yield number, f"`{found}`: {reason}"


@rule
def using_namespace(source: Source) -> Iterator[Finding]:
    if source.is_cpp:
        pattern = r"\busing namespace\b(?! std::(chrono|string_view)_literals)"
        for number, _ in code_matches(source, pattern if source.is_header else
                                      r"\busing namespace std\s*;"):
            yield number, "`using namespace` reaches further than it looks"


@rule
def commented_out_code(source: Source) -> Iterator[Finding]:
    """A comment of which every line is code; an example between words is welcome."""
    code = re.compile(r"//.*[;{}]$")
    statement = re.compile(r"//\s*[\w:>.*&\[\]-]+(\(.*\)| [-+|&]?= .*|\s+\w+ = .*);$")
    lines = [line.strip() for line in source.lines] if source.is_cpp else []
    number = 0
    for is_comment, group in itertools.groupby(lines, lambda line: line.startswith("//")):
        block = list(group)
        if is_comment and all(map(code.match, block)) and any(map(statement.match, block)):
            yield number + 1, "commented-out code"
        number += len(block)


@rule
def unfinished(source: Source) -> Iterator[Finding]:
    words = "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK"))
    for number, line in enumerate(source.lines, 1):
        match = re.search(rf"\b({words})\b", line)
        if match:
            yield number, f"`{match.group(0)}`: finish it or leave it out"


@rule
def named_suppressions(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if source.is_cpp and re.search(r"\bNOLINT(NEXTLINE|BEGIN|END)?\b(?!\()", line):
            yield number, "a suppression names its check: NOLINT(check)"


@rule
def private_paths(source: Source) -> Iterator[Finding]:
    pattern = re.compile(r"(?<![\w.$}])(/(home|Users)/\w|/(root|work)/)")
    for number, line in enumerate(source.lines, 1):
        if pattern.search(line):
            yield number, "a path of somebody's own machine"


@rule
def shell_strict(source: Source) -> Iterator[Finding]:
    if source.is_shell and "set -euo pipefail" not in source.lines:
        yield 1, "a shell script says `set -euo pipefail`"


@rule
def executable_bit(source: Source) -> Iterator[Finding]:
    if bool(source.shebang) != source.executable:
        yield 1, "a file has a shebang if, and only if, it is executable"


@rule
def no_binaries(source: Source) -> Iterator[Finding]:
    if source.is_binary and not re.fullmatch(r"docs/.*\.png", source.path):
        yield 1, "a binary file"
    if len(source.data) > MAX_FILE_BYTES:
        yield 1, f"larger than {MAX_FILE_BYTES} bytes"


@rule
def no_generated_files(source: Source) -> Iterator[Finding]:
    pattern = (r".*(\.(o|a|so|d|pyc|orig|rej|swp|log|img|bak|tmp|ninja)|~)|"
               r"compile_commands\.json|CMakeCache\.txt|CTestTestfile\.cmake|core\.\d+")
    if re.fullmatch(pattern, source.name):
        yield 1, "a generated file"


@rule
def file_names(source: Source) -> Iterator[Finding]:
    stem = source.name.split(".", 1)[0]
    if source.is_cpp and not re.fullmatch(r"[a-z0-9_]+", stem):
        yield 1, "file names are in snake_case"
    if re.search(r"_(v\d+|new|old|optimi[sz]ed|final|fixed|copy)$", stem):
        yield 1, "the name tells the file's history, not its purpose"


@rule
def top_level(source: Source) -> Iterator[Finding]:
    first = source.folder or source.name
    if first not in TOP_LEVEL:
        yield 1, f"`{first}` is not expected at the top of the repository"
