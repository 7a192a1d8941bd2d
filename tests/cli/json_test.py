# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/json.md and the program name the same keys."""

import json
import pathlib
import re
import unittest

import metadata
from harness import MIB
from running import RunningTest, free_port

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "json.md"
POOLS = ("health_records", "io_contexts", "work_items", "buffers")


def documented():
    """{command: set of key paths}, from the tables of the page."""
    sections = {}
    for section in re.split(r"(?m)^## ", PAGE.read_text())[1:]:
        title, body = section.split("\n", 1)
        keys = {key for row in re.findall(r"(?m)^\| (`.+?) \|", body)
                for key in re.findall(r"`([^`]+)`", row)}
        for command in title.split(", "):
            sections[command] = keys
    return sections


def paths(value, prefix=""):
    """All key paths in a JSON value; the inside of records is told in words."""
    if isinstance(value, list):
        return set().union(*(paths(item, prefix + "[]") for item in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        path = f"{prefix}.{key}" if prefix else key
        found.add(path)
        if key != "records":
            found |= paths(inner, path)
    return found


class Json(RunningTest):
    def setUp(self):
        super().setUp()
        self.documented = documented()

    def compare(self, command, value, absent=()):
        """`absent`: documented keys that this one output has no reason to hold."""
        shown = set()
        for path in paths(value):
            for pool in POOLS:
                path = path.replace(f"pools.{pool}.", "pools.*.")
            shown.add(path)
        parents = {path.split(".")[0].rstrip("[]") for path in shown} | {
            "superblocks[].members", "members[].errors"}
        self.assertEqual(shown - self.documented[command] - parents, set(), "not documented")
        self.assertEqual(self.documented[command] - shown - set(absent), set(), "not shown")

    def test_commands_on_a_stopped_volume(self):
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        self.compare("create", self.succeed("create", "tank", "--main", main, "--spare", spare,
                                            "--json").json)
        self.compare("list", self.succeed("list", "--json").json)
        self.succeed("start", "tank", "--export", "nbd")
        self.succeed("mark", "tank", "80")
        self.stop()
        self.compare("dump", self.succeed("dump", "--json", spare).json)
        first = self.succeed("dump", "--json", spare).json["superblocks"][0]["sector"]
        metadata.flip(spare, first)
        self.compare("check", self.run_program("check", "--json", spare).json)
        saved = self.folder / "tank.dmr"
        self.compare("backup", self.succeed("backup", "--json", spare, "--backup-file",
                                            saved).json)
        self.compare("restore", self.succeed("restore", "--json", "--dry-run", spare,
                                             "--backup-file", saved).json)
        self.compare("dump --records", self.succeed("dump", "--json", "--records", spare).json,
                     absent={"gaps[].first", "gaps[].last"})
        self.compare("repair", self.succeed("repair", "--json", spare).json)

    def compare_import_and_export(self):
        badblocks = {"block_bytes", "blocks"}
        mapfile = {"volume_sectors", "lost[].sector", "lost[].sectors"}
        self.compare("export", self.succeed("export", "tank", "--badblocks", "--json").json,
                     absent=mapfile)
        self.compare("export", self.succeed("export", "tank", "--mapfile", "--json").json,
                     absent=badblocks | mapfile - {"volume_sectors"})  # nothing is lost
        path = self.folder / "list"
        path.write_text("40\n")
        self.compare("import", self.succeed("import", "tank", "--badblocks", path, "--json").json,
                     absent={f"non_{what}_bytes" for what in ("tried", "trimmed", "scraped")})
        path.write_text("0 + 1\n0 512 -\n")
        self.compare("import", self.succeed("import", "tank", "--mapfile", path, "--json").json)

    def test_commands_on_a_running_volume(self):
        self.make_volume()
        self.compare("start", self.succeed("start", "tank", "--export", "nbd", "--tcp",
                                           free_port(), "--json").json)
        self.compare("scrub", self.succeed("scrub", "tank", "start", "--json").json)
        self.compare("mark", self.succeed("mark", "tank", "80", "--json").json)
        self.compare("status", self.succeed("status", "tank", "--json").json)
        self.compare("map", self.succeed("map", "tank", "--json").json, absent={"runs[].lost"})
        self.compare_import_and_export()
        self.compare("forget", self.succeed("forget", "tank", "80", "--json").json)
        for line in self.succeed("events", "tank", "--json").out.splitlines():
            self.compare("events", json.loads(line))


    def test_simulate(self):
        value = self.succeed("simulate", "--runs", 2, "--json").json
        failure = {key for key in self.documented["simulate"] if key.startswith("failure.")}
        self.compare("simulate", value, absent=failure)


if __name__ == "__main__":
    unittest.main()
