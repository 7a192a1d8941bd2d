# SPDX-License-Identifier: GPL-2.0-or-later
"""`start` and `stop`: who is found, what is refused, what is repaired, and how it ends."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import stat
import unittest

import metadata
from harness import FAILED, MIB, OK, REFUSED, USAGE, content
from running import RunningTest, free_port, read_sectors, write_sectors


class Start(RunningTest):
    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume(spares=(4 * MIB, 4 * MIB))

    def test_it_prints_the_socket_that_it_serves(self):
        path = self.start()
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_what_was_written_is_there_after_a_restart(self):
        data = os.urandom(8192)
        write_sectors(self.start(), 100, data)
        self.stop()
        self.assertEqual(pathlib.Path(self.main).read_bytes()[51200:51200 + 8192], data)
        self.assertEqual(read_sectors(self.start(), 100, 16), data)

    def test_by_devices_in_any_order_and_without_a_note(self):
        self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "elsewhere")
        self.succeed("start", "--main", self.main, "--spare", self.spares[1], "--spare",
                     self.spares[0], "--export", "nbd")
        self.assertEqual(self.status()["name"], "tank")

    def test_a_start_by_devices_leaves_a_note_for_the_next(self):
        self.environment["DM_REMAP_STATE_DIR"] = str(self.folder / "elsewhere")
        self.succeed("start", "--main", "main.img", "--spare", "spare1.img", "--spare",
                     "spare2.img", "--export", "nbd")
        self.stop()
        self.start()

    def test_stopping_frees_the_devices_and_leaves_them_sound(self):
        self.start()
        self.assert_refused(REFUSED, ["check", self.main, *self.spares], "in use")
        self.stop()
        self.succeed("check", self.main, *self.spares)
        self.assertEqual(sorted(path.name for path in self.run_dir.iterdir()
                                if path.suffix != ".log"), [])

    def test_a_running_volume_is_named_when_its_spare_is_checked(self):
        self.start()
        self.assert_refused(REFUSED, ["check", self.spares[0]], "running volume `tank`",
                            "dm-remap stop tank")

    def test_read_only_writes_nothing(self):
        before = [content(path) for path in (self.main, *self.spares)]
        path = self.start("tank", "--read-only")
        self.assertEqual(read_sectors(path, 0, 8), bytes(4096))
        self.assertTrue(self.status()["read_only"])
        self.stop()
        self.assertEqual([content(path) for path in (self.main, *self.spares)], before)

    def test_json_names_the_path(self):
        answer = self.succeed("start", "tank", "--export", "nbd", "--json").json
        self.assertEqual(answer["name"], "tank")
        self.assertTrue(os.path.exists(answer["path"]))

    def test_loopback_tcp_only_when_asked_for(self):
        self.start()
        self.assertNotIn("tcp_uri", self.status()["exports"][0])
        self.stop()
        port = free_port()
        self.start("tank", "--tcp", port)
        self.assertIn(f"127.0.0.1:{port}", self.status()["exports"][0]["tcp_uri"])

    def test_signals_end_it_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                server = self.start_in_foreground("tank")
                server.send_signal(number)
                _, said = server.communicate(timeout=60)
                self.assertEqual((server.returncode, said), (OK, ""))
                self.succeed("check", self.main, *self.spares)

    def test_a_log_that_takes_no_lines_ends_no_server(self):
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") as full, os.fdopen(writer, "w") as broken:
            for log in (full, broken):
                with self.subTest(log=log.name):
                    server = self.start_in_foreground("tank", stderr=log)
                    path = self.status()["exports"][0]["path"]
                    with socket.socket(socket.AF_UNIX) as stranger:
                        stranger.connect(path)
                        stranger.sendall(bytes(4096))
                        with contextlib.suppress(ConnectionResetError):
                            while stranger.recv(4096):
                                pass  # until it is dropped, which the log is told
                    self.assertEqual(read_sectors(path, 0, 8), bytes(4096))
                    server.send_signal(signal.SIGTERM)
                    server.communicate(timeout=60)
                    self.assertEqual(server.returncode, OK)

    def test_a_killed_server_is_no_obstacle_to_the_next(self):
        server = self.start_in_foreground("tank")
        server.kill()
        server.communicate()
        self.start()
        self.assertNotEqual(self.status()["pid"], server.pid)


class StartRefuses(RunningTest):
    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume(spares=(4 * MIB, 4 * MIB))

    def refuse(self, code, *words, arguments=("tank",), **options):
        return self.assert_refused(code, ["start", *arguments, "--export", "nbd"], *words,
                                   **options)

    def refuse_devices(self, code, *words, main=None, spares=None, options=()):
        arguments = ["--main", main or self.main, *options]
        for spare in spares or self.spares:
            arguments += ["--spare", spare]
        return self.refuse(code, *words, arguments=arguments)

    def test_a_name_that_nobody_knows(self):
        self.refuse(FAILED, "no volume `other`", "--main and --spare", arguments=["other"])

    def test_no_name_and_no_device(self):
        self.refuse(USAGE, "which volume?", arguments=[])

    def test_a_spare_without_a_main(self):
        self.refuse(USAGE, "--main and --spare go together",
                    arguments=["--spare", self.spares[0]])

    def test_a_second_start(self):
        path = self.start()
        process = self.status()["pid"]
        self.refuse(REFUSED, "running already", str(process))
        self.refuse_devices(REFUSED, "running already", str(process))
        self.assertEqual(self.status()["pid"], process)
        self.assertEqual(read_sectors(path, 0, 8), bytes(4096))

    def test_a_second_start_under_other_run_time_files(self):
        self.start()
        self.environment["DM_REMAP_RUNTIME_DIR"] = str(self.folder / "run2")
        self.refuse(REFUSED, "main", "in use")
        self.environment["DM_REMAP_RUNTIME_DIR"] = str(self.run_dir)

    def test_a_main_of_another_size(self):
        other = self.disk("other.img", 17 * MIB)
        self.refuse_devices(REFUSED, "32768", "34816", main=other)

    def test_main_and_spare_swapped(self):
        self.refuse_devices(FAILED, "holds no superblock", "swapped",
                            main=self.spares[0], spares=[self.main, self.spares[1]])

    def test_a_name_that_is_not_that_of_the_spare(self):
        self.refuse(REFUSED, "belongs to volume `tank`, not `pond`",
                    arguments=["pond", "--main", self.main, "--spare", self.spares[0]])

    def test_spares_of_two_volumes(self):
        other = self.disk("s2.img", 4 * MIB)
        self.succeed("create", "pond", "--main", self.disk("m2.img", MIB), "--spare", other)
        self.refuse_devices(REFUSED, "different volumes", "`tank`", "`pond`",
                            spares=[self.spares[0], other])

    def test_a_spare_given_twice(self):
        self.refuse_devices(REFUSED, "copy of", spares=[self.spares[0]] * 2)

    def test_a_missing_main(self):
        os.rename(self.main, self.folder / "away")
        self.refuse(REFUSED, "main of volume `tank`", "--main and --spare")

    def test_a_missing_spare(self):
        os.rename(self.spares[1], self.folder / "away")
        self.refuse(REFUSED, "spare 2 of 2", "is missing", "--degraded")

    def test_a_spare_that_was_not_named(self):
        self.refuse_devices(REFUSED, "spare 2 of 2", "--degraded", spares=self.spares[:1])

    def test_degraded_starts_without_the_missing_spare(self):
        os.rename(self.spares[1], self.folder / "away")
        self.start("tank", "--degraded")
        report = self.status()
        self.assertEqual([member["present"] for member in report["members"]], [True, True, False])
        self.assertEqual(report["health"], "failing")

    def test_a_socket_path_that_is_too_long(self):
        deep = self.folder / ("d" * 100)
        deep.mkdir()
        self.environment["DM_REMAP_RUNTIME_DIR"] = str(deep)
        self.refuse(FAILED, "too long for a socket", "DM_REMAP_RUNTIME_DIR")

    def test_a_run_time_folder_that_cannot_be_made(self):
        self.environment["DM_REMAP_RUNTIME_DIR"] = "/proc/dm-remap"
        self.refuse(FAILED, "/proc/dm-remap", "DM_REMAP_RUNTIME_DIR")

    def test_a_run_time_folder_that_is_a_file(self):
        self.environment["DM_REMAP_RUNTIME_DIR"] = self.disk("file", 1)
        self.refuse(FAILED, "not a folder")

    def test_tcp_without_nbd(self):
        self.assert_refused(USAGE, ["start", "tank", "--tcp", "20809"], "--export nbd")


class StartOnDamage(RunningTest):
    def setUp(self):
        super().setUp()
        self.main, self.spares = self.make_volume(spares=(4 * MIB, 4 * MIB))
        dumps = [self.succeed("dump", "--json", spare).json for spare in self.spares]
        self.places = [{
            "superblock": [copy["sector"] for copy in dump["superblocks"]],
            "journal": [slot["sector"] for slot in dump["journal"]],
            "checkpoint": [block["sector"] for block in dump["checkpoints"]],
        } for dump in dumps]

    def refuse(self, code, *words):
        return self.assert_refused(code, ["start", "tank", "--export", "nbd"], *words)

    def test_one_damaged_copy_is_repaired_and_reported(self):
        for damage in (metadata.flip, metadata.zero):
            for kind, sectors in self.places[0].items():
                with self.subTest(kind=kind, damage=damage.__name__):
                    damage(self.spares[0], sectors[0])
                    result = self.succeed("start", "tank", "--export", "nbd")
                    self.assertIn(f"repaired: {self.spares[0]}", result.err)
                    self.assertIn(kind, result.err)
                    self.assertIn(f"sector {sectors[0]}", result.err)
                    self.assert_one_line(result)
                    self.stop()
                    self.succeed("check", self.main, *self.spares)

    def test_read_only_reports_and_repairs_nothing(self):
        metadata.flip(self.spares[0], self.places[0]["superblock"][0])
        before = content(self.spares[0])
        result = self.succeed("start", "tank", "--export", "nbd", "--read-only")
        self.assertIn("fault: ", result.err)
        self.assertNotIn("repaired", result.err)
        self.stop()
        self.assertEqual(content(self.spares[0]), before)

    def test_no_good_superblock_on_the_only_spare(self):
        main, spare = self.disk("m2.img", MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "pond", "--main", main, "--spare", spare)
        sectors = [copy["sector"] for copy in
                   self.succeed("dump", "--json", spare).json["superblocks"]]
        for damage, words in ((metadata.flip, "no copy of its superblock is good"),
                              (metadata.zero, "holds no superblock")):
            for sector in sectors:
                damage(spare, sector)
            self.assert_refused(FAILED, ["start", "pond", "--export", "nbd"], spare, words)

    def test_no_good_checkpoint_anywhere(self):
        for spare, places in zip(self.spares, self.places):
            for sector in places["checkpoint"]:
                metadata.flip(spare, sector)
        self.refuse(FAILED, "checkpoint")

    def test_a_journal_block_without_a_good_copy(self):
        path = self.start()
        self.succeed("mark", "tank", "800")
        self.succeed("mark", "tank", "1600")
        server = self.status()["pid"]
        os.kill(server, signal.SIGKILL)
        self.wait_for_end(server)
        used = []
        for spare in self.spares:
            for slot in self.succeed("dump", "--json", spare).json["journal"]:
                if slot["sequence"] > 0:
                    used.append((slot["sequence"], spare, slot["sector"]))
        self.assertTrue(used, path)
        first = min(used)[0]
        for sequence, spare, sector in used:
            if sequence == first:
                metadata.flip(spare, sector)
        self.refuse(FAILED, "journal")

    def wait_for_end(self, process):
        """Until the kernel has closed its files: then they can be locked again."""
        for path in (self.main, *self.spares):
            self.assertEqual(os.spawnlp(os.P_WAIT, "flock", "flock", "--timeout", "60", path,
                                        "true"), 0, process)

    def test_a_truncated_spare(self):
        os.truncate(self.spares[0], 3 * MIB)
        self.refuse(REFUSED, "8192", "6144")

    def test_a_superblock_from_a_newer_version(self):
        for spare, places in zip(self.spares, self.places):
            for sector in places["superblock"]:
                metadata.forge(spare, sector, "<H", metadata.VERSION_MAJOR_AT, 2)
        self.refuse(FAILED, "version")

    def test_metadata_of_another_volume_in_this_ones_place_is_damage(self):
        main, other = self.disk("m2.img", 16 * MIB), self.disk("s2.img", 4 * MIB)
        self.succeed("create", "pond", "--main", main, "--spare", other)
        for kind in ("superblock", "journal", "checkpoint"):
            with self.subTest(kind=kind):
                sector = self.places[0][kind][0]
                metadata.write_block(self.spares[0], sector, metadata.read_block(other, sector))
                result = self.succeed("start", "tank", "--export", "nbd")
                self.assertIn("repaired", result.err)
                self.assertEqual(self.status()["name"], "tank")
                self.stop()

    def test_a_note_that_cannot_be_understood_is_no_obstacle(self):
        (self.folder / "state" / "tank.json").write_text(json.dumps({"name": 3}))
        self.succeed("start", "--main", self.main, "--spare", self.spares[0], "--spare",
                     self.spares[1], "--export", "nbd")


if __name__ == "__main__":
    unittest.main()
