# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the engine's freestanding objects to what a kernel module may contain.

check: undefined symbols against an allow-list, forbidden sections, stack frames of 512 bytes.
prove: compiles a source with one known fault and succeeds only if the check finds that fault.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

FRAME_LIMIT_BYTES = 512
FORBIDDEN_SECTIONS = (".init_array", ".ctors", ".eh_frame", ".gcc_except_table", ".tbss", ".tdata")

# One source for each fault, and the words with which the check must report it.
FAULTS = {
    "undefined_symbol": (
        "#include <cstddef>\n"
        'extern "C" void* malloc(std::size_t);\n'
        "void* leak() { return malloc(8); }\n",
        "undefined symbol malloc",
    ),
    "forbidden_section": (
        "extern int seed();\nint seed() { return 7; }\n"
        "struct Late { int value = seed(); Late() { asm volatile(\"\"); } };\nLate late;\n",
        "section .init_array",
    ),
    "large_frame": (
        "void big();\n"
        "void big() { char bytes[600]; asm volatile(\"\" : : \"r\"(bytes) : \"memory\"); }\n",
        "stack frame",
    ),
}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def allowed_symbols(path):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return {line.split("#")[0].strip() for line in lines} - {""}


def symbol_findings(objects, allowed):
    defined = set()
    wanted = []
    for item in objects:
        # -P prints `name type [value size]`: one line a symbol, stable to split.
        for line in run("nm", "-P", str(item)).splitlines():
            name, kind = line.split()[:2]
            if kind in "Uwv":
                wanted.append((item, name))
            else:
                defined.add(name)
    return [f"{item}: undefined symbol {name}" for item, name in wanted
            if name not in defined and name not in allowed]


def section_findings(objects):
    findings = []
    for item in objects:
        for line in run("readelf", "-SW", str(item)).splitlines():
            name = line.partition("]")[2].split()[:1]
            for forbidden in FORBIDDEN_SECTIONS:
                if name and (name[0] == forbidden or name[0].startswith(forbidden + ".")):
                    findings.append(f"{item}: section {name[0]}")
    return findings


def usage_file(item):
    """The .su file beside an object: `x.cpp.o` has `x.cpp.su` (g++ and clang agree)."""
    return item.with_suffix(".su")


def frame_findings(objects):
    findings = []
    for item in objects:
        usage = usage_file(item)
        if not usage.exists():
            findings.append(f"{item}: no stack usage beside it ({usage.name})")
            continue
        for line in usage.read_text(encoding="utf-8").splitlines():
            function, size, kind = line.rsplit("\t", 2)
            if int(size) > FRAME_LIMIT_BYTES or kind not in ("static", "dynamic,bounded"):
                findings.append(f"{function}: stack frame of {size} bytes ({kind}), "
                                f"limit {FRAME_LIMIT_BYTES}")
    return findings


def all_findings(objects, allowed):
    return symbol_findings(objects, allowed) + section_findings(objects) + frame_findings(objects)


def check(arguments):
    lines = pathlib.Path(arguments.objects).read_text(encoding="utf-8").splitlines()
    objects = [pathlib.Path(line) for line in lines if line]
    if not objects:
        print("no objects to check")
        return 1
    findings = all_findings(objects, allowed_symbols(arguments.allow))
    print("\n".join(findings) if findings else f"{len(objects)} objects are freestanding")
    return 1 if findings else 0


def prove(arguments):
    source, words = FAULTS[arguments.fault]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "fault.cpp"
        path.write_text(source, encoding="utf-8")
        item = path.with_suffix(".o")
        run(arguments.compiler, "-std=c++20", *arguments.flags, "-c", str(path), "-o", str(item))
        findings = all_findings([item], allowed_symbols(arguments.allow))
    print("\n".join(findings) or "the check found nothing")
    # Exactly this fault: a check that complains about everything proves nothing.
    return 0 if findings and all(words in finding for finding in findings) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--allow", required=True)
    parser.add_argument("--objects")
    parser.add_argument("--compiler")
    parser.add_argument("mode", choices=("check", "prove"))
    parser.add_argument("fault", nargs="?", choices=sorted(FAULTS))
    arguments, arguments.flags = split_flags(parser)
    if arguments.mode == "prove" and not (arguments.fault and arguments.compiler):
        parser.error("prove needs a fault and --compiler")
    if arguments.mode == "check" and not arguments.objects:
        parser.error("check needs --objects")
    return check(arguments) if arguments.mode == "check" else prove(arguments)


def split_flags(parser):
    """What follows `--` goes to the compiler."""
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:at]), words[at + 1:]


if __name__ == "__main__":
    sys.exit(main())
