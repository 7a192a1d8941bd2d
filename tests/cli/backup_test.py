# SPDX-License-Identifier: GPL-2.0-or-later
"""`backup` and `restore`: what is put back is what was saved, on the right devices only, and never
an older map under newer data without saying so for ever."""

import os
import stat
import subprocess
import unittest

import metadata
import nbd
from harness import FAILED, FAULT, MIB, OK, REFUSED, SECTOR, USAGE, content
from repair_test import RepairTest
from running import connected, read_sectors, write_sectors


class BackupTest(RepairTest):
    def setUp(self):
        super().setUp()
        self.file = str(self.folder / "tank.dmr")

    def backup(self, *devices):
        return self.succeed("backup", *(devices or self.spares), "--backup-file", self.file)

    def restore(self, *options, devices=None, code=OK):
        result = self.run_program("restore", *(devices or self.spares), "--backup-file", self.file,
                                  *options)
        self.assertEqual(result.code, code, result.out + result.err)
        return result

    def refuse(self, code, *words, devices=None, options=()):
        self.assert_refused(code, ["restore", *(devices or self.spares), "--backup-file", self.file,
                                   *options], *words)

    def lose(self, kinds, *spares):
        for spare in spares or self.spares:
            places = {kind: self.places(spare, kind) for kind in kinds}
            for sectors in places.values():
                for sector in sectors:
                    metadata.zero(spare, sector)

    def lose_everything(self, *spares):
        self.lose(("journal", "checkpoints", "superblocks"), *spares)


class Backup(BackupTest):
    def test_the_file_is_for_its_owner_only_and_is_not_overwritten(self):
        self.backup()
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assert_refused(REFUSED, ["backup", *self.spares, "--backup-file", self.file],
                            "is there already", "--force")
        self.succeed("backup", *self.spares, "--backup-file", self.file, "--force")
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["main.img", "spare1.img", "spare2.img", "state", "tank.dmr"])

    def test_by_name(self):
        self.succeed("backup", "tank", "--backup-file", self.file)
        self.assert_refused(FAILED, ["backup", "tonk", "--backup-file", "x"], "no volume `tonk`")

    def test_a_running_volume_is_refused(self):
        self.start()
        for volume in ("tank", self.spares[0]):
            result = self.run_program("backup", volume, "--backup-file", self.file)
            self.assertEqual(result.code, REFUSED)
            self.assert_one_line(result, "dm-remap stop tank")
        self.assertFalse(os.path.exists(self.file))

    def test_all_spares_are_needed(self):
        self.assert_refused(FAILED, ["backup", self.spares[1], "--backup-file", self.file],
                            "spare 1", "is not given")

    def test_metadata_that_does_not_load_is_not_saved(self):
        self.lose(("checkpoints",))
        self.assert_refused(FAILED, ["backup", *self.spares, "--backup-file", self.file],
                            "cannot be saved")

    def test_a_place_that_cannot_be_written(self):
        self.assert_refused(FAILED, ["backup", *self.spares, "--backup-file", "no/where"],
                            "No such file")
        self.assert_refused(FAILED, ["backup", *self.spares, "--backup-file", "state", "--force"],
                            "is no file")
        self.assert_refused(USAGE, ["backup", *self.spares], "--backup-file")

    def test_a_full_disk_leaves_nothing_behind(self):
        result = subprocess.run(
            ["bash", "-c", "ulimit -f 4; trap '' XFSZ; exec \"$0\" \"$@\"", self.program,
             "backup", *self.spares, "--backup-file", self.file],
            capture_output=True, text=True, env=self.environment, check=False)
        self.assertEqual(result.returncode, FAILED, result.stderr)
        self.assertIn("cannot be written", result.stderr)
        self.assertFalse([name for name in os.listdir(self.folder) if "dmr" in name])


class Restore(BackupTest):
    def test_what_repair_cannot_save(self):
        self.backup()
        self.lose(("checkpoints",))
        self.assertEqual(self.run_program("repair", *self.spares).code, FAILED)
        self.assertIn("2 records", self.restore().out)
        self.succeed("check", self.main, *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)
        self.start()
        self.assertTrue(self.status()["writable"])
        self.assertEqual(sum(run["length"] for run in self.map()), 4)

    def test_superblocks_alone(self):
        self.backup()
        self.lose(("superblocks",))
        self.restore()
        self.succeed("check", *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)

    def test_data_on_the_spare_is_what_it_was(self):
        path = self.start()
        write_sectors(path, 80, b"\xa5" * 8 * SECTOR)
        self.stop()
        self.backup()
        self.lose(("checkpoints", "superblocks"))
        self.restore()
        self.assertEqual(read_sectors(self.start(), 80, 8), b"\xa5" * 8 * SECTOR)

    def test_a_dry_run_writes_nothing(self):
        self.backup()
        self.lose(("checkpoints",))
        before = [content(path) for path in self.spares]
        self.assertIn("Would restore", self.restore("--dry-run").out)
        self.assertEqual([content(path) for path in self.spares], before)

    def test_an_older_map_is_refused_and_overridden_makes_the_volume_read_only_for_good(self):
        path = self.start()
        write_sectors(path, 80, b"\x11" * 8 * SECTOR)
        self.stop()
        self.backup()
        self.start()
        self.succeed("mark", "tank", "1600+8")
        self.stop()
        self.refuse(REFUSED, "since this backup was made", "--older")
        self.refuse(REFUSED, "--older", options=("--trust",))
        self.assertIn("read-only", self.restore("--older").out)
        self.assertEqual(self.map_of(*self.spares), self.state)
        for _ in range(2):  # a restart does not make it forget
            result = self.succeed("start", "tank", "--export", "nbd")
            self.assertIn("restored from a backup", result.err)
            self.assertIn("create", result.err)
            status = self.status()
            self.assertFalse(status["writable"])
            self.assertTrue(status["restored_older"])
            self.assertFalse(status["read_only_by_failure"])
            self.assertEqual(status["health"], "failing")
            self.assertIn("restored", " ".join(status["reasons"]))
            self.assertIn("Copy the data away", status["advice"])
            served = result.out.strip()
            self.assertEqual(read_sectors(served, 80, 8), b"\x11" * 8 * SECTOR)
            with connected(served) as client, self.assertRaises(nbd.Error):
                client.pwrite(bytes(4096), 0)
            self.stop()
        self.assertEqual(self.run_program("check", *self.spares).code, OK)
        self.assertIn("restored_older", self.succeed("check", "--json", *self.spares).out)

    def test_damaged_copies_of_a_read_only_volume_are_repaired_and_it_stays_so(self):
        self.backup()
        self.start()
        self.succeed("mark", "tank", "1600+8")
        self.stop()
        self.restore("--older")
        metadata.flip(self.spares[0], self.places(self.spares[0], "superblocks")[0])
        self.repair()
        self.start()
        self.assertFalse(self.status()["writable"])

    def test_openings_without_any_change_of_the_map_do_no_harm(self):
        self.backup()
        for _ in range(3):
            self.start()
            self.stop()
        self.lose(("checkpoints",))
        self.restore()
        self.succeed("check", *self.spares)
        self.start()
        self.assertTrue(self.status()["writable"])

    def test_an_opening_whose_journal_is_damaged_may_have_changed_the_map(self):
        self.backup()
        self.start()
        self.stop()
        self.damage_journal()
        self.lose(("checkpoints",))
        self.refuse(REFUSED, "opened 1 time since", "--older")
        self.refuse(REFUSED, "--older", options=("--trust",))

    def test_a_commit_since_is_seen_without_any_superblock(self):
        self.backup()
        self.start()
        self.succeed("mark", "tank", "1600+8")
        self.stop()
        self.lose(("superblocks",))
        self.refuse(REFUSED, "since this backup was made", "--older")

    def test_where_nothing_shows_the_age_the_user_must_say(self):
        self.backup()
        self.lose_everything(self.spares[1])
        self.refuse(REFUSED, "shows nothing of volume `tank`", "--replaced", "--trust")
        self.restore("--trust")
        self.succeed("check", *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)
        self.start()
        self.assertTrue(self.status()["writable"])

    def test_half_a_journal_and_no_superblock_prove_nothing(self):
        self.backup()
        self.lose(("superblocks",))
        # The places are known no more, so they are taken from a twin.
        self.damage_journal()
        self.refuse(REFUSED, "nothing on it shows", "--trust", "--older")
        self.restore("--older")
        self.start()
        self.assertFalse(self.status()["writable"])

    def damage_journal(self):
        first = 8 + 8  # behind superblock copy 0
        for spare in self.spares:
            metadata.zero(spare, first)

    def test_a_replaced_spare_loses_what_lived_on_the_old_one(self):
        self.backup()
        new = self.disk("new.img", 4 * MIB)
        devices = [new, self.spares[1]]
        lost = sum(run["length"] for run in self.runs if run["member"] == 1)
        self.assertGreater(lost, 0)
        self.refuse(REFUSED, "shows nothing of", devices=devices)
        self.refuse(REFUSED, "--trust", devices=devices, options=("--replaced",))
        self.restore("--replaced", "--older", devices=devices)
        report = self.succeed("check", "--json", *devices).json
        self.assertEqual(report["lost_sectors"], lost * 8)
        self.assertEqual(report["remapped_blocks"], 4 - lost)
        # The old one is no member any more.
        self.assertEqual(self.run_program("check", self.spares[0], self.spares[1]).code, FAULT)

    def test_a_new_device_with_something_on_it_is_refused(self):
        self.backup()
        new = self.disk("new.img", 4 * MIB)
        subprocess.run(["mkfs.ext4", "-q", new], check=True)
        self.refuse(REFUSED, "holds", "ext4", devices=[new, self.spares[1]],
                    options=("--replaced", "--older"))

    def test_another_volume_is_refused_with_both_named(self):
        self.backup()
        main, spare = self.disk("m2.img", 16 * MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "other", "--main", main, "--spare", spare)
        self.refuse(REFUSED, "`other`", "`tank`", devices=[spare, self.spares[1]])

    def test_another_size_is_refused_with_both_named(self):
        self.backup()
        small = self.disk("small.img", 3 * MIB)
        self.refuse(REFUSED, "6144 sectors", "8192", devices=[small, self.spares[1]],
                    options=("--replaced",))
        os.truncate(self.spares[0], 3 * MIB)
        self.refuse(REFUSED, "6144 sectors", "8192")

    def test_a_spare_that_is_missing_or_given_twice(self):
        self.backup()
        self.refuse(FAILED, "spare 2", "is not given", devices=self.spares[:1])
        twin = self.disk("twin.img", 4 * MIB)
        with open(self.spares[0], "rb") as source, open(twin, "wb") as target:
            target.write(source.read())
        self.refuse(REFUSED, "both spare 1", devices=[self.spares[0], twin])

    def test_main_is_refused(self):
        self.backup()
        self.refuse(REFUSED, "all its spares are given already",
                    devices=[self.main, *self.spares])

    def test_a_running_volume_is_refused(self):
        self.backup()
        self.start()
        result = self.restore(code=REFUSED)
        self.assert_one_line(result, "running volume `tank`")

    def test_a_damaged_file_is_refused(self):
        self.backup()
        with open(self.file, "rb") as file:
            good = file.read()
        for at in (0, 70, 4096 + 500, 2 * 4096 + 120, len(good) - 1):
            with self.subTest(at=at):
                with open(self.file, "wb") as file:
                    file.write(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
                self.refuse(FAILED, self.file, "cannot be restored")
        for size in (0, 4096, 2 * 4096, len(good) - 512, len(good) + 4096):
            with self.subTest(size=size):
                with open(self.file, "wb") as file:
                    file.write((good + bytes(4096))[:size])
                self.refuse(FAILED, self.file, "cannot be restored")
        os.remove(self.file)
        self.refuse(FAILED, "No such file")

    def test_an_interrupted_restore_is_seen_and_done_again(self):
        self.backup()
        # Its second spare takes no more than the first block of the journal.
        plan = self.folder / "plan.json"
        plan.write_text('{"ranges": [{"sector": 24, "count": 64, "on": "write"}]}')
        self.restore(devices=[self.spares[0], f"faulty:{plan}:{self.spares[1]}"], code=FAILED)
        report = self.run_program("check", "--json", *self.spares)
        self.assertEqual(report.code, FAULT)
        self.assertEqual(report.json["findings"][0]["kind"], "restore_interrupted")
        self.assertIn("restore", self.run_program("start", "tank", "--export", "nbd").err)
        self.assertEqual(self.run_program("repair", *self.spares).code, FAILED)
        self.restore()
        self.succeed("check", *self.spares)
        self.assertEqual(self.map_of(*self.spares), self.state)


if __name__ == "__main__":
    unittest.main()
