# SPDX-License-Identifier: GPL-2.0-or-later
"""One file of the repository as the rules see it: kind, text, code without comments, functions."""

import ast
import functools
import re
from dataclasses import dataclass

CPP_SUFFIXES = (".h", ".cpp", ".c")
HASH_COMMENT_NAMES = {
    "Makefile", "CMakeLists.txt", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore",
}

# Comments and literals, longest forms first; what matches is blanked, line breaks stay.
_CPP_NOT_CODE = re.compile(
    r"""R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"   # raw string
      | //(?:\\\n|[^\n])*                             # line comment
      | /\*.*?\*/                                     # block comment
      | "(?:\\.|[^"\\\n])*"                           # string
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'           # character, not a digit separator
    """,
    re.DOTALL | re.VERBOSE,
)


def _blank(match: re.Match) -> str:
    text = match.group(0)
    inner = re.sub(r"[^\n]", " ", text)
    if text.startswith(("/", "'")):
        return inner
    return '"' + inner[1:-1] + '"'


@dataclass(frozen=True)
class Function:
    """Where a function's declaration begins and its body ends, counted from 1."""

    first_line: int
    last_line: int


@dataclass(frozen=True)
class Source:
    """A file by its path from the top of the repository."""

    path: str
    data: bytes
    executable: bool = False

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The first part of the path; empty for a file at the top."""
        return self.path.split("/", 1)[0] if "/" in self.path else ""

    @property
    def is_binary(self) -> bool:
        return b"\0" in self.data

    @functools.cached_property
    def text(self) -> str:
        return self.data.decode("utf-8", errors="replace")

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    @property
    def is_cpp(self) -> bool:
        return self.name.endswith(CPP_SUFFIXES)

    @property
    def is_header(self) -> bool:
        return self.name.endswith(".h")

    @property
    def is_python(self) -> bool:
        return self.name.endswith(".py") or self.shebang.endswith("python3")

    @property
    def is_shell(self) -> bool:
        return self.name.endswith(".sh") or self.shebang.endswith(("bash", "/sh"))

    @property
    def is_cmake(self) -> bool:
        return self.name == "CMakeLists.txt" or self.name.endswith(".cmake")

    @property
    def shebang(self) -> str:
        first = self.data.split(b"\n", 1)[0]
        return first.decode("ascii", errors="replace") if first.startswith(b"#!") else ""

    @property
    def is_source(self) -> bool:
        """Whether people write it for a machine, so that it has comments."""
        return (
            self.is_cpp or self.is_python or self.is_shell or self.is_cmake
            or self.name in HASH_COMMENT_NAMES
        )

    @property
    def is_test(self) -> bool:
        """Tests, benchmarks and what only they use."""
        return (
            self.folder in ("tests", "bench")
            or re.search(r"_(test|bench|testing)\.(h|cpp|py)$", self.name) is not None
            or "/testing/" in self.path
        )

    @functools.cached_property
    def code(self) -> str:
        """C++ without comments and contents of literals; as many lines as the text."""
        return _CPP_NOT_CODE.sub(_blank, self.text)

    @functools.cached_property
    def functions(self) -> list[Function]:
        if self.is_python:
            return _python_functions(self.text)
        if self.is_cpp:
            return _cpp_functions(self.code)
        return []


def _python_functions(text: str) -> list[Function]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))
    return [Function(node.lineno, node.end_lineno) for node in nodes]


_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")
_CONSTRUCTOR_LIST = re.compile(r"\)[\w\s]*:(?!:)")


def _brace_kind(statement: str) -> str:
    """What a `{` opens, told by the text since the last `;`, `{` or `}`."""
    head = statement.strip()
    if "(" not in head:
        return "scope" if _SCOPE.search(head) else "initialiser"
    if _CONSTRUCTOR_LIST.search(head) and re.search(r"[\w>]$", head):
        return "initialiser"  # a member in a constructor's list
    if re.search(r"(=|,|\(|\breturn|\])$", head):
        return "initialiser"
    return "function"


def _cpp_functions(code: str) -> list[Function]:
    """Outermost bodies only: a lambda counts as part of the function it stands in."""
    code = re.sub(r"(?m)^[ \t]*#(?:\\\n|[^\n])*", _blank_keep_lines, code)
    found = []
    stack = []  # (kind, statement before the brace, its first line)
    depth = 0   # of function bodies
    statement, first_line, line = "", 0, 1
    for char in code:
        if char == "\n":
            line += 1
        if char == "{":
            kind = "block" if depth else _brace_kind(statement)
            depth += kind in ("function", "block")
            stack.append((kind, statement, first_line or line))
            statement, first_line = "", 0
        elif char == "}" and stack:
            kind, before, start = stack.pop()
            depth -= kind in ("function", "block")
            if kind == "function":
                found.append(Function(start, line))
            statement, first_line = (before + "{}", start) if kind == "initialiser" else ("", 0)
        elif char == ";":
            statement, first_line = "", 0
        else:
            if not first_line and not char.isspace():
                first_line = line
            statement += char
    return found


def _blank_keep_lines(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match.group(0))
