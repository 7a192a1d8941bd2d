# SPDX-License-Identifier: GPL-2.0-or-later
"""`repair`: every damaged copy is rewritten from a good one, or nothing is written at all."""

import itertools
import json
import os
import unittest

import metadata
from harness import FAILED, FAULT, MIB, OK, REFUSED, USAGE, content
from running import RunningTest

DAMAGE = (metadata.flip, metadata.zero)


class RepairTest(RunningTest):
    """A volume of two spares with something in its map, stopped."""

    spare_sizes = (4 * MIB, 4 * MIB)

    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume(spares=self.spare_sizes)
        self.succeed("start", "tank", "--export", "nbd")
        self.succeed("mark", "tank", "80+8")
        self.succeed("mark", "tank", "400+24")
        self.runs = self.map()
        self.stop()
        self.state = self.map_of(*self.spares)
        self.assertEqual(self.state, (2, 4, 0))

    def map_of(self, *devices):
        report = self.run_program("check", "--json", *devices).json
        return report["runs"], report["remapped_blocks"], report["lost_sectors"]

    def places(self, spare, kind):
        dump = self.succeed("dump", "--json", spare).json
        if kind == "journal":
            return [slot["sector"] for slot in dump["journal"]]
        return [block["sector"] for block in dump[kind]]

    def journal_of(self, spare):
        return [slot["sector"] for slot in self.succeed("dump", "--json", spare).json["journal"]
                if slot["verdict"] == "good" and slot["sequence"]]

    def repair(self, *devices, code=OK):
        """Repairs, and holds that it says the truth: main is not touched, check is clean."""
        devices = devices or self.spares
        main = content(self.main)
        self.assertEqual(self.run_program("check", *devices).code, FAULT)
        result = self.run_program("repair", "--json", *devices)
        self.assertEqual(result.code, code, result.out + result.err)
        self.assertEqual(content(self.main), main)
        report = result.json
        self.assertEqual(report["outcome"], "repaired")
        self.assertEqual([one for one in report["left"] if one["weight"] != "note"], [])
        self.succeed("check", *devices)
        self.assertEqual(self.map_of(*devices), self.state)
        return report


class Repair(RepairTest):
    def test_a_sound_volume_is_left_as_it_is(self):
        before = [content(path) for path in self.spares]
        report = self.succeed("repair", "--json", *self.spares).json
        self.assertEqual(report["outcome"], "sound")
        self.assertIn("sound", self.succeed("repair", self.main, *self.spares).out)
        self.assertEqual([content(path) for path in self.spares], before)

    def test_each_superblock_copy(self):
        for damage, copy in itertools.product(DAMAGE, range(3)):
            with self.subTest(damage=damage.__name__, copy=copy):
                damage(self.spares[0], self.places(self.spares[0], "superblocks")[copy])
                report = self.repair()
                self.assertEqual(report["findings"][0]["kind"], "superblock_damaged")

    def test_two_superblock_copies_of_each_spare(self):
        for spare in self.spares:
            for sector in self.places(spare, "superblocks")[:2]:
                metadata.flip(spare, sector)
        self.repair()

    def test_all_superblock_copies_of_a_spare_are_rebuilt_from_the_other(self):
        for damage in DAMAGE:
            with self.subTest(damage=damage.__name__):
                for sector in self.places(self.spares[1], "superblocks"):
                    damage(self.spares[1], sector)
                findings = self.run_program("check", "--json", *self.spares).json["findings"]
                self.assertIn("repair", findings[0]["consequence"])
                self.repair()
                self.assertEqual(self.succeed("dump", "--json", self.spares[1])
                                 .json["superblocks"][2]["own_member"], 2)

    def test_all_superblock_copies_of_a_spare_that_lags_behind_are_not(self):
        # It was missing once: its blocks are stale, and nothing may make them count again.
        self.succeed("start", "--main", self.main, "--spare", self.spares[0], "--degraded",
                     "--export", "nbd")
        self.stop()
        for sector in self.places(self.spares[1], "superblocks"):
            metadata.flip(self.spares[1], sector)
        self.assert_refused_with_report(FAILED, ["repair", *self.spares], "cannot be repaired")

    def assert_refused_with_report(self, code, arguments, *words):
        """As assert_refused, for commands that tell first what they found."""
        before = {path: content(path) for path in (self.main, *self.spares)}
        result = self.run_program(*arguments)
        self.assertEqual(result.code, code, result.out + result.err)
        self.assert_one_line(result, *words)
        self.assertEqual({path: content(path) for path in before}, before, "it has written")
        return result

    def test_used_and_unused_journal_slots(self):
        for damage in DAMAGE:
            with self.subTest(damage=damage.__name__):
                used = self.journal_of(self.spares[0])
                for sector in (used[0], self.places(self.spares[0], "journal")[-1]):
                    damage(self.spares[0], sector)
                report = self.repair()
                self.assertEqual({one["kind"] for one in report["findings"]}, {"journal_damaged"})

    def test_every_checkpoint_of_one_spare(self):
        for damage in DAMAGE:
            with self.subTest(damage=damage.__name__):
                for sector in self.places(self.spares[0], "checkpoints"):
                    damage(self.spares[0], sector)
                self.repair()

    def test_the_newest_checkpoint_of_every_spare(self):
        for spare in self.spares:
            headers = [block for block in self.succeed("dump", "--json", spare).json["checkpoints"]
                       if "sequence" in block]
            newest = max(headers, key=lambda block: block["sequence"])
            metadata.flip(spare, newest["sector"])
        self.repair()

    def test_damage_of_all_kinds_at_once(self):
        first, second = self.spares
        metadata.flip(first, self.places(first, "superblocks")[1])
        metadata.zero(second, self.places(second, "superblocks")[0])
        metadata.flip(first, self.journal_of(first)[-1])
        for sector in self.places(second, "checkpoints"):
            metadata.zero(second, sector)
        self.repair()

    def test_main_may_be_given_and_is_not_written_to(self):
        metadata.flip(self.spares[0], self.places(self.spares[0], "superblocks")[0])
        os.chmod(self.main, 0o444)
        self.repair(self.main, *self.spares)

    def test_the_words_name_what_was_repaired(self):
        sector = self.places(self.spares[0], "superblocks")[1]
        metadata.flip(self.spares[0], sector)
        text = self.succeed("repair", *self.spares).out
        self.assertIn(f"repaired: {self.spares[0]}: superblock copy 1 (sector {sector})", text)
        self.assertIn("sound again", text)

    def test_a_dry_run_writes_nothing(self):
        metadata.flip(self.spares[0], self.places(self.spares[0], "superblocks")[0])
        before = [content(path) for path in self.spares]
        report = self.succeed("repair", "--dry-run", "--json", *self.spares).json
        self.assertEqual(report["outcome"], "repairable")
        self.assertEqual([content(path) for path in self.spares], before)

    def test_without_the_other_spare_only_when_told_to(self):
        metadata.flip(self.spares[0], self.places(self.spares[0], "superblocks")[0])
        self.assert_refused_with_report(REFUSED, ["repair", self.spares[0]], "spare 2",
                                        "--degraded")
        self.succeed("repair", "--degraded", self.spares[0])
        self.succeed("check", self.spares[0])
        # The other one lags behind now, and is brought up to date.
        self.succeed("repair", *self.spares)
        self.succeed("check", *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)

    def test_every_checkpoint_of_every_spare_is_beyond_repair(self):
        for spare in self.spares:
            for sector in self.places(spare, "checkpoints"):
                metadata.flip(spare, sector)
        self.assert_refused_with_report(FAILED, ["repair", *self.spares], "no good copy", "restore",
                                        "dump")
        report = self.run_program("repair", "--json", *self.spares)
        self.assertEqual(report.json["outcome"], "beyond_repair")

    def test_every_superblock_of_every_spare_is_beyond_repair(self):
        for spare in self.spares:
            for sector in self.places(spare, "superblocks"):
                metadata.flip(spare, sector)
        self.assert_refused(FAULT, ["repair", *self.spares], "no copy of its superblock is good",
                            "restore")

    def test_a_running_volume_is_refused(self):
        self.succeed("start", "tank", "--export", "nbd")
        result = self.run_program("repair", *self.spares)
        self.assertEqual(result.code, REFUSED)
        self.assert_one_line(result, "running volume `tank`", "dm-remap stop tank")

    def test_spares_of_two_volumes_are_refused(self):
        main, spare = self.disk("m2.img", 16 * MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "other", "--main", main, "--spare", spare)
        self.assert_refused(FAILED, ["repair", self.spares[0], spare], "different volumes")

    def test_a_newer_format_is_not_touched(self):
        for sector in self.places(self.spares[0], "superblocks"):
            metadata.forge(self.spares[0], sector, "<H", metadata.VERSION_MAJOR_AT, 9)
        self.assert_refused(FAILED, ["repair", *self.spares], "version")

    def test_what_is_no_spare_is_refused(self):
        self.assert_refused(FAULT, ["repair", self.main], "no superblock of dm-remap")
        self.assert_refused(FAILED, ["repair", "nowhere"], "nowhere", "No such file")
        self.assert_refused(USAGE, ["repair"], "DEV")
        self.assert_refused(USAGE, ["repair", *[self.spares[0]] * 10], "10 devices")
        self.assert_refused(REFUSED, ["repair", self.spares[0], self.spares[0]],
                            "are the same file")

    def test_a_spare_that_refuses_to_be_written_is_told(self):
        sector = self.places(self.spares[0], "journal")[9]
        metadata.flip(self.spares[0], sector)
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps({"ranges": [{"sector": sector, "count": 8, "on": "write"}]}))
        result = self.run_program("repair", f"faulty:{plan}:{self.spares[0]}", self.spares[1])
        self.assertEqual(result.code, FAILED, result.out + result.err)
        self.assert_one_line(result, "not repaired")
        self.assertIn("What is left", result.out)


class Records(RepairTest):
    """`dump --records`: what is left of a map that neither repair nor a backup can save."""

    def homes(self, *devices):
        report = self.succeed("dump", "--json", "--records", *(devices or self.spares)).json
        homes = {}
        for record in report["records"]:
            for i in range(record["blocks"]):
                homes[record["block"] + i] = (record["member"], record["spare_block"] + i)
        return report, homes

    def setUp(self):
        super().setUp()
        self.expected = {run["block"] + i: (run["member"], run["home_block"] + i)
                         for run in self.runs for i in range(run["length"])}

    def test_a_sound_map_is_shown_whole(self):
        report, homes = self.homes()
        self.assertEqual(homes, self.expected)
        self.assertEqual((report["gaps"], report["bad_blocks"]), ([], 0))
        self.assertIn("block 10+1 -> member", self.succeed("dump", "--records", *self.spares).out)

    def test_the_journal_alone_and_one_checkpoint_alone(self):
        for kinds in (("checkpoints",), ("journal",)):
            with self.subTest(lost=kinds):
                for spare in self.spares:
                    for sector in (place for kind in kinds for place in self.places(spare, kind)):
                        metadata.flip(spare, sector)
                report, homes = self.homes()
                self.assertEqual(homes, self.expected)
                self.assertGreater(report["bad_blocks"], 0)
                self.tearDown()
                self.doCleanups()
                self.setUp()

    def test_a_missing_journal_block_is_named(self):
        for spare in self.spares:
            for sector in self.places(spare, "checkpoints"):
                metadata.zero(spare, sector)
            metadata.flip(spare, self.journal_of(spare)[0])
        report, homes = self.homes()
        self.assertEqual(report["gaps"], [{"first": 1, "last": 1}])
        self.assertLess(homes.items(), self.expected.items())
        self.assertIn("journal blocks 1 to 1 are missing",
                      self.succeed("dump", "--records", *self.spares).out)

    def test_without_any_superblock_the_customary_places_are_looked_at(self):
        for spare in self.spares:
            for sector in self.places(spare, "superblocks"):
                metadata.zero(spare, sector)
        report, homes = self.homes()
        self.assertFalse(report["layout_known"])
        self.assertEqual(homes, self.expected)

    def test_nothing_of_ours(self):
        self.assert_refused(FAILED, ["dump", "--records", self.main], "holds no metadata")
        self.assert_refused(USAGE, ["dump", *self.spares], "one device")


class RepairOfASingleSpare(RepairTest):
    spare_sizes = (4 * MIB,)

    def test_what_the_spare_itself_has_a_copy_of(self):
        spare, = self.spares
        metadata.flip(spare, self.places(spare, "superblocks")[0])
        metadata.zero(spare, self.places(spare, "superblocks")[2])
        metadata.flip(spare, self.journal_of(spare)[0])
        headers = [block for block in self.succeed("dump", "--json", spare).json["checkpoints"]
                   if "sequence" in block]
        metadata.flip(spare, max(headers, key=lambda block: block["sequence"])["sector"])
        self.repair()


if __name__ == "__main__":
    unittest.main()
