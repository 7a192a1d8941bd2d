# SPDX-License-Identifier: GPL-2.0-or-later
"""`create`: what it makes, and what it refuses without having changed anything."""

import json
import os
import pathlib
import subprocess
import unittest

from harness import CliTest, FAILED, KIB, MIB, OK, REFUSED, USAGE, content


class Create(CliTest):
    def test_main_is_not_written_to(self):
        main = self.disk("main.img", 4 * MIB)
        with open(main, "r+b") as file:
            file.write(os.urandom(4 * MIB))
        before = content(main)
        self.succeed("create", "tank", "--main", main, "--spare", self.disk("spare.img", 4 * MIB))
        self.assertEqual(content(main), before)

    def test_what_it_made_is_sound(self):
        main, spares = self.make_volume(spares=(4 * MIB, 3 * MIB))
        self.assertIn("sound", self.succeed("check", main, *spares).out)

    def test_json_tells_what_was_made(self):
        main = self.disk("main.img", 16 * MIB)
        spare = self.disk("spare.img", 4 * MIB)
        made = self.succeed("create", "tank", "--main", main, "--spare", spare, "--json",
                            "--block-size", "8K", "--policy", "rewrite").json
        self.assertEqual(made["name"], "tank")
        self.assertEqual(made["block_bytes"], 8192)
        self.assertEqual(made["policy"], "rewrite")
        self.assertEqual(made["main"], {"path": main, "bytes": 16 * MIB})
        self.assertEqual(made["spares"][0]["path"], spare)
        self.assertGreater(made["spares"][0]["data_blocks"], 300)

    def test_the_name_lies_in_the_superblock(self):
        _, spares = self.make_volume(name="my-tank_1.0+x")
        copies = self.succeed("dump", "--json", spares[0]).json["superblocks"]
        self.assertEqual([copy["name"] for copy in copies], ["my-tank_1.0+x"] * 3)
        self.assertEqual([copy["state"] for copy in copies], ["ok"] * 3)

    def test_every_block_size_makes_a_sound_volume(self):
        for shift in range(9, 17):
            with self.subTest(block=1 << shift):
                main, spares = self.make_volume(name=f"t{shift}", spares=(8 * MIB,),
                                                options=("--block-size", 1 << shift))
                self.succeed("check", main, *spares)

    def test_a_note_says_where_the_members_were(self):
        main, spares = self.make_volume()
        note = json.loads((self.folder / "state" / "tank.json").read_text())
        self.assertEqual((note["main"], note["spares"]), (main, spares))

    def test_a_folder_for_notes_that_cannot_be_made_is_no_failure(self):
        self.environment["DM_REMAP_STATE_DIR"] = "/proc/none"
        main = self.disk("main.img", 16 * MIB)
        spare = self.disk("spare.img", 4 * MIB)
        result = self.succeed("create", "tank", "--main", main, "--spare", spare)
        self.assert_one_line(result, "note:", "--main and --spare")


class CreateRefuses(CliTest):
    def setUp(self):
        super().setUp()
        self.main = self.disk("main.img", 16 * MIB)
        self.spare = self.disk("spare.img", 4 * MIB)

    def make_other(self):
        """Another volume, on the spare."""
        self.succeed("create", "other", "--main", self.disk("other.img", MIB),
                     "--spare", self.spare)

    def refuse(self, code, *words, main=None, spare=None, options=(), **more):
        arguments = ["create", "tank", "--main", main or self.main, "--spare", spare or self.spare]
        return self.assert_refused(code, [*arguments, *options], *words, **more)

    def test_a_missing_main(self):
        self.refuse(FAILED, "main", "nowhere", "No such file", main="nowhere")

    def test_a_missing_spare(self):
        self.refuse(FAILED, "spare", "nowhere", "No such file", spare="nowhere")

    def test_a_folder(self):
        self.refuse(FAILED, "neither a block device nor a regular file", spare=self.folder)

    def test_an_empty_main(self):
        self.refuse(FAILED, "main", "empty", main=self.disk("empty", 0))

    def test_an_odd_sized_main(self):
        self.refuse(FAILED, "main", "1048577", "512", main=self.disk("odd", MIB + 1))

    def test_an_odd_sized_spare(self):
        self.refuse(FAILED, "spare", "1048676", "512", spare=self.disk("odd", MIB + 100))

    def test_a_spare_smaller_than_its_metadata(self):
        for size in (512, 64 * KIB, 192 * KIB, 256 * KIB):
            with self.subTest(size=size):
                self.refuse(FAILED, "too small", "at least", spare=self.disk("tiny", size))

    def test_the_least_size_that_it_names_is_enough(self):
        result = self.refuse(FAILED, spare=self.disk("tiny", 512))
        least = int(result.err.split("at least ")[1].split(" KiB")[0]) * KIB
        self.succeed("create", "tank", "--main", self.main, "--spare", self.disk("least", least))

    def test_a_block_size_that_is_no_power_of_two(self):
        for size in ("4095", "3K", "12288", "0", "256", "128K", "-1", "4096x", ""):
            with self.subTest(size=size):
                self.refuse(USAGE, "--block-size", options=[f"--block-size={size}"])

    def test_one_file_as_main_and_spare(self):
        self.refuse(REFUSED, "the same file", spare=self.main)

    def test_one_file_under_two_names(self):
        link = self.folder / "link"
        link.symlink_to(self.main)
        self.refuse(REFUSED, "the same file", spare=link)
        hard = self.folder / "hard"
        hard.hardlink_to(self.main)
        self.refuse(REFUSED, "the same file", spare=hard)

    def test_one_spare_twice(self):
        self.refuse(REFUSED, "the same file", options=["--spare", self.spare])

    def test_more_spares_than_a_volume_has(self):
        more = [part for i in range(8)
                for part in ("--spare", self.disk(f"more{i}", 4 * MIB))]
        self.refuse(USAGE, "at most 8 spares", options=more)

    def test_a_spare_with_a_filesystem(self):
        subprocess.run(["mkfs.ext4", "-q", "-L", "photos", self.spare], check=True)
        self.refuse(REFUSED, "ext4 filesystem", "photos", "--force")

    def test_a_spare_with_a_partition_table(self):
        with open(self.spare, "r+b") as file:
            file.seek(446)
            file.write(bytes.fromhex("00000000830000000008000000100000").ljust(64, b"\0"))
            file.write(b"\x55\xAA")
        self.refuse(REFUSED, "partition table", "--force")

    def test_a_spare_of_another_volume(self):
        self.make_other()
        self.refuse(REFUSED, "spare", "is a spare of volume `other`", "--force")

    def test_a_spare_of_another_volume_with_a_single_copy_left(self):
        self.make_other()
        with open(self.spare, "r+b") as file:  # the first two copies are gone
            file.write(bytes(3 * MIB))
        self.refuse(REFUSED, "is a spare of volume `other`")

    def test_main_and_spare_swapped(self):
        self.succeed("create", "other", "--main", self.main, "--spare", self.spare)
        self.refuse(REFUSED, "swapped", "--force", main=self.spare, spare=self.main)

    def test_a_second_volume_of_that_name(self):
        self.succeed("create", "tank", "--main", self.disk("other.img", MIB),
                     "--spare", self.disk("other-spare.img", 4 * MIB))
        self.refuse(REFUSED, "there is a volume `tank` already", "--force")

    def test_a_file_that_another_program_has_locked(self):
        holder = subprocess.Popen(["flock", "--exclusive", self.spare, "cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            holder.stdin.write(b"x")
            holder.stdin.flush()
            self.assertEqual(holder.stdout.read1(1), b"x")  # now it runs, so it has the lock
            self.refuse(REFUSED, "spare", "in use")
        finally:
            holder.communicate()

    def test_force_takes_a_spare_with_a_filesystem_and_leaves_no_trace_of_it(self):
        subprocess.run(["mkfs.ext4", "-q", self.spare], check=True)
        self.succeed("create", "tank", "--main", self.main, "--spare", self.spare, "--force")
        self.succeed("check", self.main, self.spare)
        probe = subprocess.run(["blkid", "-p", self.spare], capture_output=True, text=True,
                               check=False)
        self.assertNotIn("ext4", probe.stdout)

    def test_force_does_not_excuse_one_device_twice(self):
        self.refuse(REFUSED, "the same file", spare=self.main, options=["--force"])

    def test_a_main_with_a_filesystem_is_what_volumes_are_for(self):
        subprocess.run(["mkfs.ext4", "-q", self.main], check=True)
        before = pathlib.Path(self.main).read_bytes()
        self.succeed("create", "tank", "--main", self.main, "--spare", self.spare)
        self.assertEqual(pathlib.Path(self.main).read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
