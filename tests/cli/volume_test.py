# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of a running volume: status, map, mark, forget, import, export, events, list."""

import json
import os
import re
import subprocess
import unittest

import nbd

from harness import PROGRAM, FAILED, MIB, OK, USAGE
from running import RunningTest, connected, read_sectors, write_sectors


class Volume(RunningTest):
    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume()
        self.path = self.start()

    def refuse(self, code, arguments, *words):
        """Refused, and the map is as it was."""
        before = self.map()
        self.assert_refused(code, arguments, *words)
        self.assertEqual(self.map(), before)


class MarkAndForget(Volume):
    def test_marked_blocks_live_on_the_spare_with_their_data(self):
        data = os.urandom(4096)
        write_sectors(self.path, 80, data)
        moved = self.succeed("mark", "tank", "80+8", "--json").json
        self.assertEqual((moved["blocks_changed"], moved["sectors_lost"]), (1, 0))
        run, = self.map()
        self.assertEqual((run["block"], run["length"], run["member"]), (10, 1, 1))
        self.assertEqual(read_sectors(self.path, 80, 8), data)

    def test_one_sector_moves_its_block(self):
        self.succeed("mark", "tank", "83")
        self.assertEqual([(run["sector"], run["sectors"]) for run in self.map()], [(80, 8)])

    def test_several_ranges_at_once(self):
        self.succeed("mark", "tank", "0x50+8", "800")
        self.assertEqual([run["block"] for run in self.map()], [10, 100])

    def test_forgotten_blocks_are_home_with_their_data(self):
        self.succeed("mark", "tank", "80")
        data = os.urandom(4096)
        write_sectors(self.path, 80, data)
        self.succeed("forget", "tank", "80")
        self.assertEqual(self.map(), [])
        self.assertEqual(read_sectors(self.path, 80, 8), data)

    def test_the_map_survives_a_restart(self):
        self.succeed("mark", "tank", "80")
        before = self.map()
        self.stop()
        self.start()
        self.assertEqual(self.map(), before)

    def test_a_sector_out_of_range_changes_nothing(self):
        last = 16 * MIB // 512
        for command in ("mark", "forget"):
            for words in (f"{last}", f"{last - 1}+2", "0+99999999", "99999999999"):
                with self.subTest(command=command, words=words):
                    self.refuse(USAGE, [command, "tank", words], "not inside the volume",
                                str(last))

    def test_a_good_range_beside_a_bad_one_is_not_moved(self):
        self.refuse(USAGE, ["mark", "tank", "80", "99999999"], "not inside the volume")

    def test_what_is_no_range_is_wrong_usage(self):
        for words in ("x", "8+", "+8", "8+0", "8-9", "8.0", "1e3", "18446744073709551616",
                      "18446744073709551615+1"):
            with self.subTest(words=words):
                self.refuse(USAGE, ["mark", "tank", words], words)


class Lists(Volume):
    def write_list(self, text):
        path = self.folder / "bad.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def test_imported_blocks_are_moved(self):
        moved = self.succeed("import", "tank", "--badblocks", self.write_list("40\n41\n4000\n"),
                             "--json").json
        self.assertEqual(moved["blocks_changed"], 2)
        self.assertEqual([run["block"] for run in self.map()], [10, 1000])

    def test_the_block_size_of_the_list_counts(self):
        self.succeed("import", "tank", "--badblocks", self.write_list("10\n"), "--block-size", "4K")
        self.assertEqual([run["block"] for run in self.map()], [10])

    def test_a_list_on_the_standard_input(self):
        subprocess.run([PROGRAM, "import", "tank", "--badblocks", "-"], input=b"40\n",
                       env=self.environment, check=True, stdout=subprocess.DEVNULL)
        self.assertEqual([run["block"] for run in self.map()], [10])

    def test_a_list_longer_than_one_request(self):
        blocks = range(0, 600 * 16, 16)  # none beside another
        self.succeed("import", "tank", "--badblocks",
                     self.write_list("".join(f"{block}\n" for block in blocks)))
        self.assertEqual(len(self.map()), 600)

    def test_what_is_exported_is_imported_to_the_same(self):
        self.succeed("mark", "tank", "80+16", "8000")
        listed = self.succeed("export", "tank", "--badblocks").out
        self.assertEqual(listed.split(), [str(n) for n in (*range(40, 48), *range(4000, 4004))])
        before = self.map()
        moved = self.succeed("import", "tank", "--badblocks", self.write_list(listed),
                             "--json").json
        self.assertEqual(moved["blocks_changed"], 0)
        self.assertEqual(self.map(), before)

    def test_export_in_json_and_other_units(self):
        self.succeed("mark", "tank", "80")
        listed = self.succeed("export", "tank", "--badblocks", "--block-size", "4096",
                              "--json").json
        self.assertEqual(listed, {"name": "tank", "block_bytes": 4096, "blocks": [10]})

    def test_a_bad_list_changes_nothing_and_names_the_line(self):
        for text, words in (("1\nbad\n", "line 2"),
                            ("1\n1\n", "line 2"),
                            ("16384\n", "line 1: block 16384 lies past the end"),
                            (b"\x00\xff\n", "line 1"),
                            ("-3\n", "line 1"),
                            ("1 2\n", "line 1")):
            with self.subTest(text=text):
                self.refuse(FAILED, ["import", "tank", "--badblocks", self.write_list(text)],
                            words, "nothing was changed")

    def test_a_list_that_is_not_there(self):
        self.refuse(FAILED, ["import", "tank", "--badblocks", "nowhere"], "nowhere")

    def test_the_bad_areas_of_a_mapfile_are_moved_and_the_others_told(self):
        text = ("# Mapfile. Created by GNU ddrescue version 1.27\n0x0 ? 1\n0x0 0xA000 +\n"
                "0xA000 0x200 -\n0xA200 0x1000 *\n0xB200 0x400 -\n0xB600 0xA00 /\n"
                "0xC000 0x2000 ?\n")
        result = self.succeed("import", "tank", "--mapfile", self.write_list(text))
        self.assertIn("2 ranges read: 2 blocks moved", result.out)
        self.assertIn("Left alone: 14.5 KiB", result.out)
        self.assertIn("8 KiB non-tried, 4 KiB non-trimmed, 2.5 KiB non-scraped", result.out)
        self.assertEqual([(run["block"], run["length"]) for run in self.map()], [(10, 2)])
        again = self.succeed("import", "tank", "--mapfile", self.write_list(text), "--json").json
        self.assertEqual(again, {
            "name": "tank", "blocks_changed": 0, "blocks_unchanged": 2, "sectors_lost": 0,
            "non_tried_bytes": 8192, "non_trimmed_bytes": 4096, "non_scraped_bytes": 2560})

    def test_a_finished_mapfile_leaves_nothing_to_tell(self):
        result = self.succeed("import", "tank", "--mapfile",
                              self.write_list("0 + 1\n0 512 -\n512 512 +\n"))
        self.assertNotIn("Left alone", result.out)

    def test_a_bad_mapfile_changes_nothing_and_names_the_line(self):
        for text, words in (("", "line 1"),
                            ("40\n41\n", "line 1"),
                            ("0 + 1\n0 512 !\n", "line 2"),
                            ("0 + 1\n0 512 -\n1024 512 -\n", "line 3: a gap"),
                            ("0 + 1\n0 1024 -\n512 512 -\n", "line 3: the area at 0x200 overlaps"),
                            ("0 + 1\n0 0x1000200 -\n", "line 2"),
                            (b"\x00\xff\n", "line 1")):
            with self.subTest(text=text):
                self.refuse(FAILED, ["import", "tank", "--mapfile", self.write_list(text)],
                            words, "nothing was changed")

    def test_one_form_has_to_be_chosen(self):
        path = self.write_list("1\n")
        for arguments in (["import", "tank"],
                          ["import", "tank", "--badblocks", path, "--mapfile", path],
                          ["export", "tank"], ["export", "tank", "--badblocks", "--mapfile"]):
            with self.subTest(arguments=arguments):
                self.refuse(USAGE, arguments, "give one of --badblocks")

    def test_an_impossible_unit(self):
        self.refuse(USAGE, ["import", "tank", "--badblocks", self.write_list("1\n"),
                            "--block-size", "1000"], "multiple of 512")


class Looking(Volume):
    def test_a_healthy_volume_says_that_nothing_needs_to_be_done(self):
        report = self.status()
        self.assertEqual((report["health"], report["reasons"]), ("healthy", []))
        text = self.succeed("status", "tank").out
        for word in ("tank: healthy", "Nothing needs to be done", "Spare", "Remapped", "Lost",
                     "Weak", "main", "spare 1"):
            self.assertIn(word, text)
        self.assertLessEqual(len(text.splitlines()), 24, "one screen")

    def test_verbose_shows_the_pools(self):
        self.assertIn("work_items", self.succeed("status", "tank", "--verbose").out)

    def test_counters_count(self):
        write_sectors(self.path, 0, bytes(4096))
        read_sectors(self.path, 0, 16)
        io = self.status()["io"]
        self.assertEqual((io["write_bytes"], io["read_bytes"]), (4096, 8192))

    def test_status_without_a_name_shows_all(self):
        report = self.succeed("status", "--json").json
        self.assertEqual([volume["name"] for volume in report["volumes"]], ["tank"])

    def test_the_map_lists_home_and_sectors(self):
        self.assertIn("nothing is lost", self.succeed("map", "tank").out)
        self.succeed("mark", "tank", "80")
        row = self.succeed("map", "tank").out.splitlines()[1].split()
        self.assertEqual(row[:3], ["10", "1", "80"])
        self.assertEqual(row[3:5], ["spare", "1"])
        self.assertEqual(row[7:], ["8", "0", "-"])

    def test_the_picture_has_a_mark_where_a_block_is_remapped(self):
        self.succeed("mark", "tank", "32760")
        lines = self.succeed("map", "tank", "--visual").out.splitlines()
        self.assertTrue(lines[-2].endswith(".o"), lines)
        self.assertNotIn("\x1b", "".join(lines), "colours are for terminals")

    def test_colours_on_a_terminal_unless_they_are_not_wanted(self):
        for environment, wanted in (({}, True), ({"NO_COLOR": "1"}, False),
                                    ({"TERM": "dumb"}, False)):
            shown = subprocess.run(
                ["script", "-qec", f"{PROGRAM} status tank", "/dev/null"], capture_output=True,
                env={**self.environment, "TERM": "xterm", **environment}, check=True).stdout
            self.assertEqual(b"\x1b[" in shown, wanted, environment)

    def test_events_tell_what_happened(self):
        self.succeed("mark", "tank", "80")
        self.succeed("forget", "tank", "80")
        kinds = [line.split()[2] for line in self.succeed("events", "tank").out.splitlines()]
        self.assertIn("returned", kinds)

    def test_followed_events_end_with_the_volume(self):
        with subprocess.Popen([PROGRAM, "events", "tank", "--follow", "--json"],
                              stdout=subprocess.PIPE, text=True, env=self.environment) as follower:
            self.succeed("mark", "tank", "80")
            self.succeed("forget", "tank", "80")
            self.assertIn('"kind"', follower.stdout.readline())
            self.stop()
            follower.communicate(timeout=60)
            self.assertEqual(follower.returncode, OK)

    def test_list_shows_running_and_stopped_volumes(self):
        self.succeed("create", "pond", "--main", self.disk("m2.img", MIB), "--spare",
                     self.disk("s2.img", 4 * MIB))
        listed = self.succeed("list", "--json").json["volumes"]
        volumes = {volume["name"]: volume for volume in listed}
        self.assertEqual({name: volume["running"] for name, volume in volumes.items()},
                         {"tank": True, "pond": False})
        self.assertEqual(volumes["tank"]["path"], self.path)
        self.assertEqual(volumes["pond"]["main"], str(self.folder / "m2.img"))
        self.assertEqual(self.succeed("list", "--names").out, "pond\ntank\n")

    def test_names_are_completed(self):
        path = f"{os.path.dirname(PROGRAM)}:{os.environ['PATH']}"
        offered = subprocess.run(
            ["bash", "-c", 'source <(dm-remap completion bash); COMP_WORDS=(dm-remap status t); '
             'COMP_CWORD=2; _dm_remap; echo "${COMPREPLY[@]}"'], capture_output=True, text=True,
            env={**self.environment, "PATH": path}, check=True).stdout
        self.assertEqual(offered.split(), ["tank"])


class FailingDisk(RunningTest):
    """A main that refuses what its plan says: what the user is told about it."""

    def setUp(self):
        super().setUp()
        main, spare = self.disk("main.img", 16 * MIB), self.disk("spare.img", 4 * MIB)
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps({"ranges": [
            {"sector": 80, "count": 8, "on": "write", "error": "EIO"},
            {"sector": 1603, "count": 2, "on": "read", "error": "ENODATA"},
            {"sector": 8000, "count": 800, "on": "read", "error": "none", "slow_ms": 300}]}))
        self.succeed("create", "tank", "--main", f"faulty:{plan}:{main}", "--spare", spare)
        self.path = self.start()

    def test_a_refused_write_is_told_by_status_map_and_events(self):
        data = os.urandom(8192)
        write_sectors(self.path, 0, bytes(4096))  # the device takes writes elsewhere
        write_sectors(self.path, 72, data)
        self.assertEqual(read_sectors(self.path, 72, 16), data)
        self.assertEqual([run["block"] for run in self.map()], [10])
        self.assertEqual(self.status()["remapped_blocks"], 1)
        self.assertIn("remapped", self.succeed("events", "tank").out)

    def test_lost_sectors_are_named_one_by_one(self):
        with connected(self.path) as client, self.assertRaises(nbd.Error):
            client.pread(4096, 1600 * 512)
        self.assertEqual(len(read_sectors(self.path, 1600, 3)), 3 * 512)
        self.wait_until(lambda: self.status()["lost_sectors"] == 2)
        run, = self.map()
        self.assertEqual((run["lost"], run["lost_sectors"]), ([1603, 1604], 2))
        self.assertIn("1603 1604", self.succeed("map", "tank").out)
        self.assertIn("X", self.succeed("map", "tank", "--visual").out.splitlines()[1])
        report = self.status()
        self.assertEqual(report["health"], "failing")
        self.assertIn("backup", report["advice"])
        self.assertIn("2 sectors are lost", self.succeed("status", "tank").out)

    def test_marking_what_cannot_be_read_tells_what_is_lost(self):
        moved = self.succeed("mark", "tank", "1600+8", "--json").json
        self.assertEqual(moved["sectors_lost"], 2)

    def test_stopping_ends_a_mark_that_takes_long_and_tells_how_far_it_came(self):
        ranges = [f"{sector}+8" for sector in range(8000, 8800, 16)]
        marking = subprocess.Popen([PROGRAM, "mark", "tank", *ranges], env=self.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait_until(lambda: self.status()["remapped_blocks"] > 0)
        self.stop()
        said = marking.communicate()[1]
        self.assertEqual(marking.returncode, FAILED)
        self.assertEqual(len(said.splitlines()), 1, said)
        told = re.search(r"being stopped: mark ended after (\d+) of 50 ranges; run it again", said)
        self.assertTrue(told, said)
        self.assertLess(0, int(told[1]))
        self.assertLess(int(told[1]), 50)
        self.start()
        self.assertEqual(self.status()["remapped_blocks"], int(told[1]))

    def test_the_lost_sectors_are_the_bad_areas_of_an_exported_mapfile(self):
        path = self.folder / "bad.map"
        path.write_text("0 + 1\n0x000C8600 0x400 -\n")
        moved = self.succeed("import", "tank", "--mapfile", path, "--json").json
        self.assertEqual((moved["blocks_changed"], moved["sectors_lost"]), (1, 2))
        self.succeed("mark", "tank", "800")  # lives on the spare, but nothing of it is lost
        lines = self.succeed("export", "tank", "--mapfile").out.splitlines()
        self.assertEqual([line.split() for line in lines if line[0] != "#"], [
            ["0x01000000", "+", "1"],
            ["0x00000000", "0x000C8600", "+"],
            ["0x000C8600", "0x00000400", "-"],
            ["0x000C8A00", "0x00F37600", "+"]])
        self.assertEqual(self.succeed("export", "tank", "--mapfile", "--json").json, {
            "name": "tank", "volume_sectors": 32768,
            "lost": [{"sector": 1603, "sectors": 1}, {"sector": 1604, "sectors": 1}]})

    def wait_until(self, condition):
        """Salvage goes on behind the failed read; each look at it is a round trip."""
        for _ in range(1000):
            if condition():
                return
        self.fail("it does not happen")


class Stopped(RunningTest):
    def test_commands_for_running_volumes_say_how_to_start_it(self):
        self.make_volume()
        path = self.folder / "bad.txt"
        path.write_text("1\n")
        for arguments in (["status", "tank"], ["map", "tank"], ["events", "tank"],
                          ["mark", "tank", "0"], ["forget", "tank", "0"], ["stop", "tank"],
                          ["import", "tank", "--badblocks", path],
                          ["export", "tank", "--badblocks"]):
            with self.subTest(command=arguments[0]):
                self.assert_refused(FAILED, arguments, "`tank` is not running",
                                    "dm-remap start tank")

    def test_nothing_runs_and_nothing_is_known(self):
        self.assertIn("No volume is running", self.succeed("status").out)
        self.assertIn("No volume is known", self.succeed("list").out)
        self.assertEqual(self.succeed("list", "--json").json, {"volumes": []})


if __name__ == "__main__":
    unittest.main()
