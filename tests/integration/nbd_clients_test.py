# SPDX-License-Identifier: GPL-2.0-or-later
"""The NBD server with the clients that people have: libnbd's tools and QEMU's."""

import filecmp
import json
import signal
import subprocess

import nbd
from exported import MAIN_BYTES, MIB, SECTOR, ExportTest, bad, noise


class NbdClientsTest(ExportTest):
    def connect(self):
        """libnbd without the checks that would keep wrong requests from the server."""
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.connect_unix(self.socket)
        self.addCleanup(self.hang_up, handle)
        return handle

    @staticmethod
    def hang_up(handle):
        try:
            handle.shutdown()
        except nbd.Error:
            pass  # the test has ended the connection already

    def test_nbdinfo_describes_the_volume(self):
        uri = self.serve_nbd()
        info = json.loads(self.tool("nbdinfo", "--json", uri))
        self.assertEqual(info["protocol"], "newstyle-fixed")
        self.assertTrue(info["structured"])
        export = info["exports"][0]
        self.assertEqual(export["export-size"], MAIN_BYTES)
        self.assertEqual(export["block_size_minimum"], SECTOR)
        self.assertEqual(export["block_size_preferred"], 4096)
        self.assertEqual(export["block_size_maximum"], 32 * MIB)
        self.assertFalse(export["is_read_only"])
        for ability in ("flush", "fua", "trim", "zero", "fast_zero", "multi_conn"):
            self.assertTrue(export[f"can_{ability}"], ability)
        listed = json.loads(self.tool("nbdinfo", "--list", "--json", uri))
        self.assertEqual([one["export-name"] for one in listed["exports"]], ["tank"])

    def test_nbdinfo_knows_read_only(self):
        main, spares = self.make_volume()
        socket = self.succeed("start", "tank", "--export", "nbd", "--read-only", "--main", main,
                              "--spare", spares[0]).out.strip()
        self.tool("nbdinfo", "--is", "read-only", f"nbd+unix:///?socket={socket}")

    def test_nbdcopy_there_and_back(self):
        uri = self.serve_nbd()
        source = noise(self.folder / "source", MAIN_BYTES)
        self.tool("nbdcopy", "--flush", source, uri)
        self.tool("nbdcopy", uri, "back")
        self.assertTrue(filecmp.cmp(source, self.folder / "back", shallow=False))
        self.tool("nbdcopy", "--synchronous", uri, "again")
        self.assertTrue(filecmp.cmp(source, self.folder / "again", shallow=False))
        self.assert_check_finds_nothing()

    def test_nbdcopy_over_a_disk_that_refuses_writes(self):
        faults = [bad(sector, on="write") for sector in range(800, 100_000, 4000)]
        uri = self.serve_nbd({"ranges": faults})
        source = noise(self.folder / "source", MAIN_BYTES)
        self.tool("nbdcopy", "--flush", source, uri)
        self.tool("nbdcopy", uri, "back")
        self.assertTrue(filecmp.cmp(source, self.folder / "back", shallow=False))
        self.assert_check_finds_nothing()

    def test_nbdsh_reads_what_it_wrote(self):
        uri = self.serve_nbd()
        self.tool("nbdsh", "--uri", uri, "--command", "\n".join([
            "data = bytes(range(256)) * 32",
            "h.pwrite(data, 12288, nbd.CMD_FLAG_FUA)",
            "assert h.pread(8192, 12288) == data",
            "h.zero(4096, 12288, nbd.CMD_FLAG_NO_HOLE)",
            "assert h.pread(4096, 12288) == bytes(4096)",
            "assert h.pread(4096, 16384) == data[4096:]",
            "h.zero(4096, 16384)",
            "assert h.pread(4096, 16384) == bytes(4096)",
            "h.trim(8192, 12288, nbd.CMD_FLAG_FUA)",
            "h.flush()"]))

    def test_requests_outside_the_rules_are_invalid_and_harm_nothing(self):
        self.serve_nbd()
        handle = self.connect()
        handle.pwrite(b"x" * 512, 0)
        for wrong in (lambda: handle.pread(512, 1), lambda: handle.pread(100, 0),
                      lambda: handle.pwrite(b"y" * 100, 0),
                      lambda: handle.pread(512, MAIN_BYTES),
                      lambda: handle.pwrite(b"y" * 1024, MAIN_BYTES - 512),
                      lambda: handle.trim(512, MAIN_BYTES),
                      lambda: handle.cache(512, 0)):
            with self.assertRaises(nbd.Error) as raised:
                wrong()
            self.assertEqual(raised.exception.errno, "EINVAL")
        self.assertEqual(handle.pread(512, 0), b"x" * 512)

    def test_fast_zero_is_refused_where_it_would_be_slow(self):
        self.serve_nbd()
        handle = self.connect()
        with self.assertRaises(nbd.Error) as raised:
            handle.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)
        self.assertIn(raised.exception.errno, ("ENOTSUP", "EOPNOTSUPP"))
        handle.zero(4096, 0)

    def test_lost_sector_is_an_error_at_its_offset(self):
        lost = 20_003
        self.serve_nbd({"ranges": [bad(lost, 1, on="read")]})
        handle = self.connect()
        self.assertTrue(handle.get_structured_replies_negotiated())
        seen = []

        def chunk(data, offset, status, error):
            seen.append((offset, status, error.value))
            return 0

        with self.assertRaises(nbd.Error) as raised:
            handle.pread_structured(MIB, 20_000 * SECTOR, chunk)
        self.assertEqual(raised.exception.errno, "EIO")
        errors = [offset for offset, status, _ in seen if status == nbd.READ_ERROR]
        self.assertEqual(errors, [lost * SECTOR])
        # Its neighbours are there, and a write brings it back.
        handle.pread(SECTOR, (lost - 1) * SECTOR)
        handle.pread(SECTOR, (lost + 1) * SECTOR)
        handle.pwrite(b"z" * SECTOR, lost * SECTOR)
        self.assertEqual(handle.pread(SECTOR, lost * SECTOR), b"z" * SECTOR)
        handle.flush()

    def test_killed_client_leaves_the_server_well(self):
        uri = self.serve_nbd()
        source = noise(self.folder / "source", MAIN_BYTES)
        for _ in range(3):
            client = subprocess.Popen(["nbdcopy", source, uri], stdin=subprocess.DEVNULL)
            handle = self.connect()
            while handle.pread(512, 0) == bytes(512):
                pass  # until the copy has begun
            client.send_signal(signal.SIGKILL)
            client.wait(timeout=30)
            handle.zero(4096, 0)
        self.tool("nbdcopy", source, uri)
        self.tool("nbdcopy", uri, "back")
        self.assertTrue(filecmp.cmp(source, self.folder / "back", shallow=False))

    def test_stop_with_a_client_connected(self):
        self.serve_nbd()
        handle = self.connect()
        handle.pwrite(b"k" * 4096, 4096)
        self.assert_check_finds_nothing()
        with self.assertRaises(nbd.Error):
            handle.pread(512, 0)

    def test_qemu_img_info_convert_and_compare(self):
        uri = self.serve_nbd()
        source = noise(self.folder / "source", MAIN_BYTES)
        info = json.loads(self.tool("qemu-img", "info", "--output=json", uri))
        self.assertEqual(info["virtual-size"], MAIN_BYTES)
        self.tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, uri)
        same = self.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)
        self.assertIn("identical", same)
        self.tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, "copy.qcow2")
        same = self.tool("qemu-img", "compare", "-f", "qcow2", "-F", "raw", "copy.qcow2", uri)
        self.assertIn("identical", same)

    def test_qemu_img_bench(self):
        uri = self.serve_nbd()
        for extra in ((), ("-w",), ("-w", "--flush-interval=64")):
            self.tool("qemu-img", "bench", "-f", "raw", "-c", 4000, "-d", 32, "-s", 4096,
                      "-t", "none", *extra, uri)
