# SPDX-License-Identifier: GPL-2.0-or-later
"""TLS in front of the server's socket, as docs/guide.md shows it: who has a certificate of the same
authority gets the volume, others do not."""

import pathlib
import re
import subprocess
import time

import nbd
from exported import ExportTest

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "guide.md"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class NbdTlsTest(ExportTest):
    def make_authority(self):
        self.tool("openssl", "req", "-x509", *KEY, "-days", 2, "-subj", "/CN=test authority",
                  "-keyout", "authority.key", "-out", "authority.pem",
                  "-addext", "keyUsage=keyCertSign")

    def make_certificate(self, owner):
        """A folder as nbdkit and libnbd want it."""
        folder = self.folder / owner
        folder.mkdir()
        (folder / "ca-cert.pem").write_bytes((self.folder / "authority.pem").read_bytes())
        (self.folder / "use").write_text(f"extendedKeyUsage={owner}Auth\n", encoding="ascii")
        self.tool("openssl", "req", *KEY, "-subj", "/CN=localhost",
                  "-keyout", folder / f"{owner}-key.pem", "-out", "request.pem")
        self.tool("openssl", "x509", "-req", "-in", "request.pem", "-days", 2, "-extfile", "use",
                  "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
                  "-out", folder / f"{owner}-cert.pem")
        return folder

    def start_nbdkit(self, certificates):
        """The guide's command, on a socket instead of a port."""
        line = re.search(r"^nbdkit .*$", GUIDE.read_text("utf-8"), re.MULTILINE).group(0)
        line = line.replace("/etc/pki/dm-remap", str(certificates))
        line = line.replace("/run/dm-remap/tank.nbd", self.socket)
        front = self.folder / "front"
        words = line.split()
        words[1:1] = ["--foreground", "--unix", str(front)]
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, cwd=self.folder)
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)
        end = time.monotonic() + 30
        while not front.exists():
            self.assertIsNone(server.poll(), "nbdkit has ended")
            self.assertLess(time.monotonic(), end, "nbdkit does not come up")
            time.sleep(0.02)
        return front

    @staticmethod
    def connect(front, certificates=None):
        handle = nbd.NBD()
        if certificates is not None:
            handle.set_tls(nbd.TLS_REQUIRE)
            handle.set_tls_certificates(str(certificates))
        handle.connect_unix(str(front))
        handle.pread(512, 0)
        return handle

    def test_only_who_has_a_certificate_gets_the_volume(self):
        self.serve_nbd()
        self.make_authority()
        front = self.start_nbdkit(self.make_certificate("server"))
        ours = self.make_certificate("client")
        handle = self.connect(front, ours)
        handle.pwrite(b"t" * 4096, 8192, nbd.CMD_FLAG_FUA)
        self.assertEqual(handle.pread(4096, 8192), bytearray(b"t" * 4096))
        handle.shutdown()
        for file in ours.glob("client-*"):
            file.unlink()  # what is left is what everybody may have
        with self.assertRaises(nbd.Error):
            self.connect(front, ours)
        with self.assertRaises(nbd.Error):
            self.connect(front)
