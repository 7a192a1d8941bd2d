# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, group by group, with the targets beside it."""

import json
import os
import random
import time

from load import Job, alternate, measure, middle, ratio
from report import median
from servers import Volume, bare_server, make_data, nbdkit, qemu_fuse, qemu_nbd

DISK_BYTES = 512 << 20
OURS, NBDKIT, QEMU, BARE = "dm-remap", "nbdkit file", "qemu-nbd", "bare server"
REMAPS = 1_000_000
TEBIBYTE = 1 << 40


class Bench:
    def __init__(self, workshop, report, build, quick, memory):
        self.workshop, self.report, self.quick = workshop, report, quick
        self.build, self.memory = build, memory
        self.program = os.path.join(build, "dm-remap")
        self.rounds, self.seconds = (2, 1) if quick else (7, 2)
        self.volume = None

    def path(self, name):
        return os.path.join(self.memory, name)

    def spare(self, name, size=64 << 20):
        path = self.path(name)
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    @staticmethod
    def progress(turn, rounds):
        print(f"\r  round {turn} of {rounds} ", end="\n" if turn == rounds else "", flush=True)

    # ---- the index ----

    def index(self):
        group = "Index of a 1 TiB volume"
        runs = self.index_runs()

        def time_of(name):
            return runs[name]["real_time"]

        def add(text, name, target=None):
            self.report.add(group, text, time_of(name), "ns", target, "below")

        add("lookup, clean volume", "index_clean/real_time/threads:1", 5)
        add("lookup anywhere, 1,000,000 remaps", "index_scattered/anywhere/real_time/threads:1", 60)
        add("lookup of remapped blocks", "index_scattered/remapped/real_time/threads:1", 150)
        add("latency, anywhere", "index_latency/anywhere")
        add("latency, remapped blocks", "index_latency/remapped")
        for where in ("anywhere", "remapped"):
            self.index_beside_peers(group, runs, where)
        self.report.add(group, "load of 1,000,000 remaps", time_of("index_load/iterations:5") / 1e3,
                        "s", 0.5, "below")
        self.report.add(group, "memory for a scattered remap",
                        runs["index_load/iterations:5"]["bytes_per_remap"], "bytes", 24, "below")
        return group

    def index_runs(self):
        """{name: medians of its repetitions}. These are interleaved, so that what disturbs the
        machine for a while disturbs all alike."""
        out = self.path("index.json")
        how = (["--benchmark_min_time=0.1"] if self.quick else
               ["--benchmark_repetitions=3", "--benchmark_enable_random_interleaving=true"])
        self.workshop.run(os.path.join(self.build, "core", "core_bench"),
                          f"--benchmark_out={out}", "--benchmark_out_format=json", *how,
                          seconds=600)
        done = {}
        with open(out, encoding="utf-8") as file:
            for run in json.load(file)["benchmarks"]:
                if run["run_type"] == "iteration":
                    done.setdefault(run["name"], []).append(run)
        return {name: {what: median([run[what] for run in same])
                       for what in ("real_time", "items_per_second", "bytes_per_remap")
                       if what in same[0]}
                for name, same in done.items()}

    def index_beside_peers(self, group, runs, where):
        one = runs[f"index_scattered/{where}/real_time/threads:1"]
        two = runs[f"index_scattered/{where}/real_time/threads:2"]
        batch = runs[f"index_batch/{where}"]["real_time"] / 16
        for peer, name in (("std::unordered_map per sector", "unordered_map_per_sector"),
                           ("absl::btree_map per block", "btree_map_per_block")):
            theirs = runs[f"{name}/{where}"]["real_time"]
            for text, ours in (("", one["real_time"]), (", batches of 16", batch)):
                self.report.add_beside(group, f"{where}{text}: of {peer}", theirs / ours,
                                       f"{ours:.1f} ns against {theirs:.1f} ns")
        self.report.add(group, f"{where}: batches of 16 against single", one["real_time"] / batch,
                        "x")
        self.report.add(group, f"{where}: two threads against one",
                        two["items_per_second"] / one["items_per_second"], "x")

    # ---- NBD ----

    def nbd(self):
        group = "NBD, 4 KiB random I/O of a file in memory"
        servers = [self.served("nbd"), nbdkit(self.workshop, self.path("peer")),
                   qemu_nbd(self.workshop, self.path("peer")),
                   bare_server(self.workshop, self.build, DISK_BYTES)]
        jobs = {f"{kind}, {clients} client{'s' * (clients > 1)}, depth {depth}":
                Job(kind, depth=depth, clients=clients)
                for kind in ("randread", "randwrite")
                for clients, depth in ((1, 1), (1, 32), (2, 32))}
        results = alternate(self.workshop, servers, jobs, self.rounds, self.seconds, self.progress)
        targets = {(1, 1): (1.3, None), (1, 32): (1.15, None), (2, 32): (2.5, 5)}
        for name, job in jobs.items():
            self.report.add(group, name, middle(results, OURS, name, "iops"), "IOPS")
            to_nbdkit, to_qemu = targets[job.clients, job.depth]
            for peer, target in ((NBDKIT, to_nbdkit), (QEMU, to_qemu)):
                theirs = middle(results, peer, name, "iops")
                self.report.add(group, f"{name}: of {peer}",
                                ratio(results, OURS, peer, name, "iops"), "x", target,
                                note=f"{theirs:,.0f} IOPS")
            if job.clients == 2:
                cpu = ratio(results, OURS, NBDKIT, name, "cpu_per_io_us")
                ours = middle(results, OURS, name, "cpu_per_io_us")
                self.report.add(group, f"{name}: CPU per I/O of {NBDKIT}", cpu, "x", 0.35, "below",
                                f"{ours:.1f} us")
                # It reads and writes nothing: no server can be faster.
                bare = ratio(results, BARE, NBDKIT, name, "cpu_per_io_us")
                self.report.add(group, f"... at least, with a {BARE}", bare, "x")
            self.report.add(group, f"... at most, with a {BARE}: of {NBDKIT}",
                            ratio(results, BARE, NBDKIT, name, "iops"), "x",
                            note=f"{middle(results, BARE, name, 'iops'):,.0f} IOPS")
        for server in servers:
            server.stop()
        return group

    def served(self, export):
        """The volume that most parts use, and the file beside it for the other servers."""
        if self.volume is None:
            for name in ("main", "peer"):
                make_data(self.path(name), DISK_BYTES)
            self.volume = Volume(self.workshop, self.program, "bench", self.path("main"),
                                 self.spare("spare"))
        self.volume.start(export)
        return self.volume

    def sequential(self):
        group = "NBD, 1 MiB sequential reads"
        servers = [self.served("nbd"), nbdkit(self.workshop, self.path("peer"))]
        jobs = {f"depth {depth}": Job("read", "1M", depth) for depth in (1, 4)}
        results = alternate(self.workshop, servers, jobs, self.rounds, self.seconds, self.progress)
        for name in jobs:
            speed = middle(results, OURS, name, "bytes_per_s") / (1 << 20)
            self.report.add(group, f"{name}: of {NBDKIT}",
                            ratio(results, OURS, NBDKIT, name, "bytes_per_s"), "x", 1.0,
                            note=f"{speed:,.0f} MiB/s")
        for server in servers:
            server.stop()
        return group

    # ---- FUSE ----

    def fuse(self):
        group = "FUSE, direct I/O of a file in memory"
        ours = self.served("fuse")
        ours.socket = ours.fuse_file()
        peer = qemu_fuse(self.workshop, self.path("peer"))
        jobs = {"4 KiB random reads, depth 1": Job("randread", engine="io_uring"),
                "4 KiB random reads, depth 32": Job("randread", depth=32, engine="io_uring"),
                "4 KiB random writes, depth 32": Job("randwrite", depth=32, engine="io_uring"),
                "1 MiB sequential reads, depth 4": Job("read", "1M", 4, engine="io_uring")}
        results = alternate(self.workshop, [ours, peer], jobs, self.rounds, self.seconds,
                            self.progress)
        for name in jobs:
            what, unit = ("bytes_per_s", "MiB/s") if "MiB" in name else ("iops", "IOPS")
            scale = 1 << 20 if what == "bytes_per_s" else 1
            speeds = [middle(results, server, name, what) / scale for server in (OURS, peer.name)]
            self.report.add(group, f"{name}: of qemu-storage-daemon",
                            ratio(results, OURS, peer.name, name, what), "x",
                            note=f"{speeds[0]:,.0f} against {speeds[1]:,.0f} {unit}")
        ours.stop()
        peer.stop()
        return group

    # ---- opening ----

    def opening(self):
        remaps = REMAPS // 10 if self.quick else REMAPS
        group = f"Opening a volume with {remaps:,} scattered remaps"
        listing = self.path("listing")
        blocks = random.Random(1).sample(range(TEBIBYTE // 4096), remaps)
        with open(listing, "w", encoding="ascii") as file:
            file.writelines(f"{block}\n" for block in sorted(blocks))
        # Every spare carries the whole map, and all copies of it are checked.
        for spares in (1, 2):
            self.opening_with(group, spares, remaps, listing)
        os.unlink(listing)
        return group

    def opening_with(self, group, spares, remaps, listing):
        main = self.spare("tebibyte", TEBIBYTE)
        size = remaps * 4096 * 5 // 4 // spares + (512 << 20)
        files = [self.spare(f"large-spare-{i}", size) for i in range(spares)]
        name = f"large{spares}"
        more = [word for file in files[1:] for word in ("--spare", file)]
        volume = Volume(self.workshop, self.program, name, main, files[0], more)
        volume.start("nbd")
        begin = time.monotonic()
        volume.call("import", name, "--badblocks", listing, "--block-size", "4096", seconds=1200)
        spare_text = f"{spares} spare{'s' if spares > 1 else ''}"
        self.report.add(group, f"import of the list, {spare_text}", time.monotonic() - begin, "s",
                        note="moves every block")
        volume.stop()
        times = []
        for _ in range(self.rounds):
            times.append(volume.start("nbd"))
            volume.stop()
        self.report.add(group, f"`dm-remap start`, whole command, {spare_text}", median(times), "s",
                        0.5, "below")
        for path in (main, *files):
            os.unlink(path)

    # ---- the seed's case ----

    def seed(self):
        group = "10 MB main, 5 MB spare (the figures that dm-remap once had)"
        make_data(self.path("small"), 10 << 20)
        volume = Volume(self.workshop, self.program, "small", self.path("small"),
                        self.spare("small-spare", 5 << 20))
        volume.start("fuse")
        volume.socket = volume.fuse_file()
        for text, job, target in (
                ("4 KiB sequential reads, direct", Job("read", engine="psync"), 130.0),
                ("1 KiB sequential writes, direct", Job("write", "1k", engine="psync"), 18.5)):
            speeds = [measure(self.workshop, volume, job, self.seconds).bytes_per_s / 1e6
                      for _ in range(self.rounds)]
            self.report.add(group, text, median(speeds), "MB/s", target)
        volume.stop()
        return group
