# SPDX-License-Identifier: GPL-2.0-or-later
"""fio's NBD engine, four jobs that verify every block, over a disk that fails as they go."""

import os

from exported import MAIN_BYTES, MIB, ExportTest, bad

SECONDS = int(os.environ["DMR_FIO_SECONDS"])
JOBS = 4


class NbdVerifyTest(ExportTest):
    def test_verified_load_over_a_failing_disk(self):
        # Clusters that refuse writes, one of which heals, and sectors that need several reads.
        faults = [bad(sector, 24, on="write") for sector in range(1000, 130_000, 7919)]
        faults += [bad(sector, 8, on="write", times=2) for sector in range(3000, 130_000, 9973)]
        faults += [bad(sector, 1, on="read", times=2) for sector in range(5001, 130_000, 6007)]
        uri = self.serve_nbd({"ranges": sorted(faults, key=lambda one: one["sector"])})
        part = MAIN_BYTES // JOBS // MIB
        self.tool("fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--thread",
                  "--rw=randrw", "--bsrange=4k-64k", "--bs_unaligned=0", "--blockalign=4k",
                  "--iodepth=16", f"--numjobs={JOBS}", f"--size={part}m",
                  f"--offset_increment={part}m", "--verify=crc32c", "--verify_fatal=1",
                  "--verify_backlog=256", "--time_based", f"--runtime={SECONDS}",
                  timeout=SECONDS + 120)
        status = self.status()
        self.assertGreater(status["remapped_blocks"], 0, status)
        self.assert_check_finds_nothing()
