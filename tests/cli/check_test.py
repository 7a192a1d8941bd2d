# SPDX-License-Identifier: GPL-2.0-or-later
"""`check` and `dump`: damage is found, named with its place, and left as it is."""

import os
import unittest

import metadata
from harness import CliTest, FAILED, FAULT, MIB, OK, content


class Check(CliTest):
    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume(spares=(4 * MIB, 4 * MIB))
        self.spare = self.spares[0]
        self.members = [self.main, *self.spares]
        dump = self.succeed("dump", "--json", self.spare).json
        self.places = {
            "superblock": [copy["sector"] for copy in dump["superblocks"]],
            "journal": [slot["sector"] for slot in dump["journal"]],
            "checkpoint": [block["sector"] for block in dump["checkpoints"]],
        }

    def check(self, code, *devices):
        """Runs check, which must not write, and returns what it says in JSON."""
        devices = devices or self.members
        before = [content(path) for path in devices]
        words = self.run_program("check", *devices)
        result = self.run_program("check", "--json", *devices)
        self.assertEqual((words.code, result.code), (code, code), words.out + words.err)
        self.assertEqual([content(path) for path in devices], before, "check has written")
        return result.json

    def kinds(self, code=FAULT, *devices):
        return [finding["kind"] for finding in self.check(code, *devices)["findings"]]

    def test_a_fresh_volume_is_sound(self):
        report = self.check(OK)
        self.assertTrue(report["healthy"])
        self.assertEqual(report["findings"], [])
        self.assertEqual(report["name"], "tank")

    def test_any_subset_of_members_in_any_order_will_do(self):
        for devices in (self.spares, self.spares[1:], self.spares[::-1],
                        [self.spares[1], self.main], self.members[::-1]):
            self.check(OK, *devices)

    def test_one_damaged_superblock_copy_is_found(self):
        for damage in (metadata.flip, metadata.zero):
            for copy, sector in enumerate(self.places["superblock"]):
                with self.subTest(copy=copy, damage=damage.__name__):
                    good = metadata.read_block(self.spare, sector)
                    damage(self.spare, sector)
                    finding, = self.check(FAULT)["findings"]
                    self.assertEqual(finding["kind"], "superblock_damaged")
                    self.assertEqual((finding["member"], finding["copy"]), (1, copy))
                    self.assertEqual(finding["sector"], sector)
                    self.assertIn("start", finding["consequence"])
                    metadata.write_block(self.spare, sector, good)

    def test_a_damaged_journal_slot_is_found(self):
        for damage in (metadata.flip, metadata.zero):
            with self.subTest(damage=damage.__name__):
                sector = self.places["journal"][5]
                good = metadata.read_block(self.spare, sector)
                damage(self.spare, sector)
                finding, = self.check(FAULT)["findings"]
                self.assertEqual((finding["kind"], finding["sector"]), ("journal_damaged", sector))
                metadata.write_block(self.spare, sector, good)

    def test_a_damaged_checkpoint_is_found(self):
        for damage in (metadata.flip, metadata.zero):
            for sector in self.places["checkpoint"]:
                with self.subTest(damage=damage.__name__, sector=sector):
                    good = metadata.read_block(self.spare, sector)
                    damage(self.spare, sector)
                    self.assertIn("checkpoint_damaged", self.kinds())
                    metadata.write_block(self.spare, sector, good)

    def test_all_superblock_copies_of_the_only_spare_damaged(self):
        for sector in self.places["superblock"]:
            metadata.flip(self.spare, sector)
        self.assert_refused(FAULT, ["check", self.spare], "no copy of its superblock is good")

    def test_all_superblock_copies_zeroed(self):
        for sector in self.places["superblock"]:
            metadata.zero(self.spare, sector)
        self.assert_refused(FAULT, ["check", self.spare], "no superblock of dm-remap")

    def test_every_checkpoint_of_every_spare_damaged(self):
        for spare in self.spares:
            for block in self.succeed("dump", "--json", spare).json["checkpoints"]:
                metadata.flip(spare, block["sector"])
        report = self.check(FAULT)
        self.assertFalse(report["startable"])
        self.assertIn("no_checkpoint", [finding["kind"] for finding in report["findings"]])

    def test_a_truncated_spare(self):
        os.truncate(self.spare, 3 * MIB)
        report = self.check(FAULT)
        wrong = [finding for finding in report["findings"] if finding["kind"] == "member_wrong"]
        self.assertIn("8192 sectors expected, 6144 found", wrong[0]["what"])

    def test_a_main_of_another_size(self):
        other = self.disk("other.img", 17 * MIB)
        wrong = [finding for finding in self.check(FAULT, other, *self.spares)["findings"]
                 if finding["kind"] == "member_wrong"]
        self.assertIn("32768 sectors expected, 34816 found", wrong[0]["what"])

    def test_a_superblock_of_a_newer_version_is_not_called_damaged(self):
        for sector in self.places["superblock"]:
            metadata.forge(self.spare, sector, "<H", metadata.VERSION_MAJOR_AT, 9)
        self.assert_refused(FAILED, ["check", self.spare], self.spare, "version")

    def test_an_unknown_incompatible_feature_is_not_called_damaged(self):
        for sector in self.places["superblock"]:
            metadata.forge(self.spare, sector, "<Q", metadata.INCOMPAT_AT, 1 << 40)
        self.assert_refused(FAILED, ["check", self.spare], self.spare, "version")

    def test_metadata_of_another_volume_in_this_ones_place(self):
        main, spare = self.disk("m2.img", 16 * MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "other", "--main", main, "--spare", spare)
        for kind, expected in (("superblock", "superblock_damaged"),
                               ("journal", "journal_damaged"),
                               ("checkpoint", "checkpoint_damaged")):
            with self.subTest(kind=kind):
                sector = self.places[kind][0]
                good = metadata.read_block(self.spare, sector)
                metadata.write_block(self.spare, sector, metadata.read_block(spare, sector))
                self.assertIn(expected, self.kinds())
                metadata.write_block(self.spare, sector, good)

    def test_spares_of_two_volumes(self):
        main, spare = self.disk("m2.img", 16 * MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "other", "--main", main, "--spare", spare)
        self.assert_refused(FAILED, ["check", self.spare, spare], "different volumes", "`tank`",
                            "`other`")

    def test_two_copies_of_one_spare(self):
        copy = self.disk("copy.img", 4 * MIB)
        for sector in self.places["superblock"]:
            metadata.write_block(copy, sector, metadata.read_block(self.spare, sector))
        self.assert_refused(FAILED, ["check", self.spare, copy], "the same spare")

    def test_a_device_that_is_no_member(self):
        self.assert_refused(FAULT, ["check", self.main], "no superblock of dm-remap")

    def test_a_missing_device(self):
        self.assert_refused(FAILED, ["check", "nowhere"], "nowhere", "No such file")


class Dump(CliTest):
    def test_it_shows_a_damaged_copy_as_such(self):
        _, (spare,) = self.make_volume()
        first = self.succeed("dump", "--json", spare).json["superblocks"][0]["sector"]
        metadata.flip(spare, first)
        copies = self.succeed("dump", "--json", spare).json["superblocks"]
        self.assertIn("CRC", copies[0]["state"])
        self.assertEqual(copies[1]["state"], "ok")
        self.assertIn("CRC", self.succeed("dump", spare).out)

    def test_both_forms_name_the_volume_and_its_members(self):
        _, spares = self.make_volume(spares=(4 * MIB, 4 * MIB))
        text = self.succeed("dump", spares[1]).out
        for word in ("tank", "member 0 (main)", "member 2 (this one)", "Journal", "Checkpoints"):
            self.assertIn(word, text)
        copy = self.succeed("dump", "--json", spares[1]).json["superblocks"][0]
        self.assertEqual((copy["own_member"], len(copy["members"])), (2, 3))

    def test_main_has_nothing_to_dump(self):
        main, _ = self.make_volume()
        self.assert_refused(FAILED, ["dump", main], "no metadata of dm-remap")

    def test_a_spare_without_any_good_copy_is_shown_all_the_same(self):
        _, (spare,) = self.make_volume()
        for copy in self.succeed("dump", "--json", spare).json["superblocks"]:
            metadata.flip(spare, copy["sector"])
        self.assertIn("no good copy", self.succeed("dump", spare).out)


if __name__ == "__main__":
    unittest.main()
