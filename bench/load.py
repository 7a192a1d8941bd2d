# SPDX-License-Identifier: GPL-2.0-or-later
"""fio as the client of all servers: a job, its result, and rounds that alternate between them."""

import json
from dataclasses import dataclass

from report import median
from servers import cpu_seconds
from workshop import DemoError


@dataclass
class Job:
    kind: str            # randread, randwrite, read, write
    block: str = "4k"
    depth: int = 1
    clients: int = 1
    buffered: bool = False
    engine: str = "nbd"


@dataclass
class Result:
    iops: float
    bytes_per_s: float
    cpu_per_io_us: float


def measure(workshop, server, job, seconds):
    """`server` has a socket (or file) and the id of its process."""
    if job.engine == "nbd":
        where = ["--ioengine=nbd", f"--uri=nbd+unix:///?socket={server.socket}"]
    else:
        where = [f"--ioengine={job.engine}", f"--filename={server.socket}",
                 f"--direct={0 if job.buffered else 1}"]
    before = cpu_seconds(server.pid)
    done = workshop.run(
        "fio", "--name=job", *where, f"--rw={job.kind}", f"--bs={job.block}",
        f"--iodepth={job.depth}", f"--numjobs={job.clients}", "--thread", "--group_reporting",
        "--time_based", f"--runtime={seconds}", "--norandommap", "--randrepeat=0",
        "--gtod_reduce=1", "--output-format=json", check=False)
    if done.returncode != 0:
        words = done.stdout[:done.stdout.find("{")].strip()
        raise DemoError(f"fio fails on {server.name} with {job}: {words[:500]}")
    cpu = cpu_seconds(server.pid) - before
    text = done.stdout[done.stdout.index("{"):]
    result = json.loads(text)["jobs"][0]["read" if "read" in job.kind else "write"]
    return Result(result["iops"], result["bw_bytes"],
                  cpu * 1e6 / max(1, result["total_ios"]))


def alternate(workshop, servers, jobs, rounds, seconds, progress):
    """{(server, job name): [Result of each round]}; in each round every server does every job, and
    each round begins with another server."""
    results = {}
    for turn in range(rounds):
        first = turn % len(servers)
        for name, job in jobs.items():
            for server in servers[first:] + servers[:first]:
                results.setdefault((server.name, name), []).append(
                    measure(workshop, server, job, seconds))
        progress(turn + 1, rounds)
    return results


def middle(results, server, job, what):
    return median([getattr(result, what) for result in results[server, job]])


def ratio(results, ours, theirs, job, what):
    """The median of the ratios within the rounds: what disturbs a round disturbs both."""
    pairs = zip(results[ours, job], results[theirs, job])
    return median([getattr(a, what) / max(1e-9, getattr(b, what)) for a, b in pairs])
