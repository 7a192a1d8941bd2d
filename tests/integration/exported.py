# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the exports share: a volume that is being served, on a disk that may fail."""

import json
import os
import subprocess

from harness import MIB, SECTOR, CliTest

MAIN_BYTES = 64 * MIB
SPARE_BYTES = 16 * MIB


def noise(path, size):
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    return str(path)


class ExportTest(CliTest):
    def serve(self, kind, faults=None, prefix=()):
        """Starts `tank`; main fails as `faults` says. Returns the path that `start` prints."""
        main, spares = self.make_volume(main=MAIN_BYTES, spares=(SPARE_BYTES,))
        if faults is not None:
            plan = self.folder / "plan.json"
            plan.write_text(json.dumps(faults))
            main = f"faulty:{plan}:{main}"
        members = ["--main", main, "--spare", spares[0]]
        return self.succeed("start", "tank", "--export", kind, *members, prefix=prefix).out.strip()

    def serve_nbd(self, faults=None):
        self.socket = self.serve("nbd", faults)
        self.uri = f"nbd+unix:///?socket={self.socket}"
        return self.uri

    def tool(self, *command, timeout=120, **options):
        """Runs another program in the test's folder; it must succeed."""
        # Debian's programs: nbdsh runs the python3 that it finds, and only Debian's has libnbd.
        environment = dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              errors="replace", cwd=self.folder, timeout=timeout,
                              stdin=subprocess.DEVNULL, env=environment, check=False, **options)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self):
        return self.succeed("status", "tank", "--json").json

    def assert_check_finds_nothing(self):
        """After `stop`: the metadata is as it should be."""
        self.succeed("stop", "tank")
        self.succeed("check", self.folder / "spare1.img")


def bad(sector, count=8, **more):
    return {"sector": sector, "count": count, **more}


__all__ = ["ExportTest", "MAIN_BYTES", "MIB", "SECTOR", "SPARE_BYTES", "bad", "noise"]
