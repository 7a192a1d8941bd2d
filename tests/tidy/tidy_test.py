#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows for every rule a file that breaks it, and that well-kept files break none."""

import unittest

import rules
from source import Source
from tidy import findings

CPP = f"// {rules.LICENSE_LINE}\n// Adds two numbers for the benefit of a test.\n"
PY = f"# {rules.LICENSE_LINE}\n" + '"""Adds two numbers for the benefit of a test."""\n'
HEADER = CPP + "#pragma once\n"


def cpp(body: str) -> str:
    return CPP + body


def long_function(lines: int) -> str:
    return "int f(int x) {\n" + "  x = x + 1;\n" * (lines - 2) + "}\n"


# For each rule: the files (path, text) that it must find a fault in.
BAD = {
    "licence": [("core/a.cpp", "// Adds.\n"), ("scripts/x", "#!/usr/bin/env bash\n# Adds.\n"),
                ("core/CMakeLists.txt", "add_library(x)\n"), (".gitignore", "build/\n")],
    "purpose": [("core/a.cpp", f"// {rules.LICENSE_LINE}\n#include <new>\n"),
                ("core/a.h", f"// {rules.LICENSE_LINE}\n// Adds.\n#pragma once\n"),
                ("core/b.h", CPP + "// more\n" * rules.MAX_PURPOSE_LINES),
                ("tests/a.py", f"# {rules.LICENSE_LINE}\nimport os\n")],
    "file_length": [("core/a.cpp", cpp("int x;\n" * 399)), ("core/a_test.cpp", cpp("\n" * 599)),
                    ("scripts/x", "#!/usr/bin/env bash\n" + ":\n" * 400)],
    "function_length": [
        ("core/a.cpp", cpp(long_function(71))),
        ("core/a.cpp", cpp("namespace dmr {\nclass A {\n" + long_function(71) + "};\n}\n")),
        ("core/a.cpp", cpp("A::A(int x) : a_(x), b_{x}, c_(1) {\n" + "  g();\n" * 70 + "}\n")),
        ("core/a.cpp", cpp("A::A() : b_{1} {\n" + "  if (x) {\n  }\n" * 35 + "}\n")),
        ("core/a.cpp", cpp("void f() {\n  g([] {\n" + "  h();\n" * 70 + "  });\n}\n")),
        ("core/a.cpp", cpp("auto f() -> std::array<int, 2> {\n" + "  h();\n" * 70 + "}\n")),
        ("core/a.cpp", cpp("TEST(Index, Finds) {\n" + "  h();\n" * 70 + "}\n")),
        ("tests/a.py", PY + "def f():\n" + "    g()\n" * 70)],
    "columns": [("core/a.cpp", cpp("int " + "x" * 96 + ";\n"))],
    "white_space": [("core/a.cpp", cpp("int x; \n")), ("core/a.cpp", cpp("\tint x;\n")),
                    ("core/a.cpp", cpp("int x;"))],
    "pragma_once": [("core/a.h", CPP), ("core/a.h", CPP + "// #pragma once\n")],
    "own_header_first": [
        ("core/a.cpp", cpp('#include <new>\n#include "core/a.h"\n')),
        ("core/a_test.cpp", cpp('#include "core/b.h"\n#include "core/a.h"\n'))],
    "rooted_includes": [("core/a.cpp", cpp('#include "a.h"\n')),
                        ("core/a.cpp", cpp('#include "../core/a.h"\n'))],
    "layers": [("core/a.cpp", cpp('#include "runtime/ring.h"\n')),
               ("runtime/a.h", HEADER + '#include "cli/main.h"\n'),
               ("exports/nbd/a.cpp", cpp('#include "sim/disk.h"\n'))],
    "core_headers": [("core/a.h", HEADER + "#include <vector>\n"),
                     ("core/a.h", HEADER + "#include <unistd.h>\n")],
    "core_calls": [("core/a.cpp", cpp(line + "\n")) for line in (
        "assert(x);", "int* p = new int;", "auto* p = new (std::nothrow) A; delete p;",
        "void* p = malloc(4);", "free(p);", "std::function<void()> f;", "double x = 0;",
        "try {", "throw 1;", "dynamic_cast<A*>(p);", "thread_local int x;",
        "unsigned __int128 x;", "std::popcount(x);", "virtual ~A() = default;", "strlen(x);")],
    "banned_calls": [("runtime/a.cpp", cpp(f"  {name}(x);\n")) for name in rules.BANNED_EVERYWHERE]
                    + [("cli/a.cpp", cpp("std::system(x);\n"))],
    "test_calls": [("core/a_test.cpp", cpp("TEST(A, DISABLED_Adds) {}\n")),
                   ("core/a_test.cpp", cpp("GTEST_SKIP();\n")),
                   ("tests/a.cpp", cpp("sleep(1);\n")),
                   ("tests/a.cpp", cpp("std::this_thread::sleep_for(1s);\n"))],
    "using_namespace": [("core/a.h", HEADER + "using namespace dmr;\n"),
                        ("core/a.cpp", cpp("using namespace std;\n"))],
    "commented_out_code": [("core/a.cpp", cpp("int y;\n// x = x + 1;\n")),
                           ("core/a.cpp", cpp("\n  // if (x) {\n  //   submit(io, 3);\n  // }\n"))],
    "unfinished": [("core/a.cpp", cpp("// TO" "DO: the rest\n")), ("README.md", "FIX" "ME\n")],
    "named_suppressions": [("core/a.cpp", cpp("int x;  // NOLINT\n")),
                           ("core/a.cpp", cpp("// NOLINTNEXTLINE: it must\n"))],
    "private_paths": [("README.md", "cd /ho" "me/me/dm-remap\n"),
                      ("docs/a.md", "see /ro" "ot/x\n"), ("docs/a.md", "in /wo" "rk/x\n")],
    "shell_strict": [("scripts/x", "#!/usr/bin/env bash\nset -e\n")],
    "no_binaries": [("core/a.dat", "\0"), ("docs/big.txt", "x" * (rules.MAX_FILE_BYTES + 1))],
    "no_generated_files": [("core/a.o", ""), ("core/a.cpp.orig", ""), ("compile_commands.json", ""),
                           ("tests/__pycache__/a.pyc", ""), ("sim/run.log", "")],
    "file_names": [("core/CamelCase.cpp", CPP), ("core/index_v2.cpp", CPP),
                   ("core/index_new.h", CPP),
                   ("scripts/run_optimized", "")],
    "top_level": [("notes.txt", ""), ("STATUS.md", ""), ("tools/a.cpp", CPP)],
}

# Well kept: no rule may find anything here.
GOOD = [
    ("core/a.h", HEADER + "#include <array>\n#include \"core/b.h\"\n\nnamespace dmr {\n"
                          "struct A {\n  A(const A&) = delete;\n  int x = 1'000'000;\n};\n}\n"),
    ("core/a.cpp", cpp('#include "core/a.h"\n\n' + long_function(70))),
    ("core/b.cpp", cpp("// A new double is made by malloc(), as `delete` says; sleep(1)\n"
                       "static_assert(sizeof(int) == 4);\n"
                       'const char* text = "strcpy(x); new int; // \\" double";\n'
                       "char quote = '\"'; char other = '\\'';\n"
                       "void* operator new(std::size_t bytes) noexcept;\n"
                       "void operator delete(void* frame);\n"
                       "auto* a = new (memory) A;\nauto* b = ::new (memory) A;\n")),
    ("core/c.cpp", cpp("\n// To use it:\n//   submit(io, 3);\nint x;  // x = 3;\n")),
    ("core/c.cpp", cpp("int table[] = {\n" + "  1,\n" * 100 + "};\n")),
    ("core/d.cpp", cpp("namespace dmr {\n" + long_function(60) + long_function(60) + "}\n")),
    ("core/a_test.cpp", cpp("#include \"core/a.h\"\n\n#include <vector>\n\n"
                            "TEST(A, Adds) {\n  auto* p = new int;\n  delete p;\n}\n")),
    ("runtime/a.cpp", cpp("std::snprintf(x, 3, y);\nring.system(x);\nmy_rand(x);\n")),
    ("runtime/b.cpp", cpp("int x = 1;  // NOLINT(bugprone-thing)\n")),
    ("tests/a.py", PY + "def f():\n    return 1\n"),
    ("scripts/x", f"#!/usr/bin/env bash\n# {rules.LICENSE_LINE}\n# Adds two numbers for a test.\n"
                  "set -euo pipefail\n"),
    ("docs/io.png", "\0png"),
    ("README.md", "Text with trailing code `strcpy(`  \n"),
]


def source(path: str, text: str) -> Source:
    return Source(path, text.encode(), executable=text.startswith("#!"))


class TidyTest(unittest.TestCase):
    def test_every_rule_has_a_bad_sample(self):
        self.assertEqual(set(BAD) | {"executable_bit"}, set(rules.RULES))

    def test_every_bad_sample_is_found(self):
        for name, samples in BAD.items():
            for path, text in samples:
                with self.subTest(rule=name, path=path, text=text[-80:]):
                    self.assertTrue(list(rules.RULES[name](source(path, text))))

    def test_a_script_must_be_executable_and_nothing_else_may(self):
        check = rules.RULES["executable_bit"]
        self.assertTrue(list(check(Source("scripts/x", b"#!/usr/bin/env bash\n", False))))
        self.assertTrue(list(check(Source("core/a.h", b"int x;\n", True))))

    def test_good_files_are_left_in_peace(self):
        for path, text in GOOD:
            with self.subTest(path=path):
                self.assertEqual(findings(source(path, text)), [])

    def test_lines_are_counted_from_one(self):
        found = list(rules.RULES["unfinished"](source("a.md", "one\ntwo FIX" "ME\n")))
        self.assertEqual([line for line, _ in found], [2])

    def test_literals_and_comments_keep_their_lines(self):
        text = 'a /* x\ny */ "b\\"c" R"(d\n")" // e\nf\n'
        code = source("core/a.cpp", text).code
        self.assertEqual(code.count("\n"), text.count("\n"))
        for word in ("x", "y", "b", "c", "d", "e"):
            self.assertNotIn(word, code)
        self.assertIn("f", code)


if __name__ == "__main__":
    unittest.main()
