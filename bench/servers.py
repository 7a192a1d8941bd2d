# SPDX-License-Identifier: GPL-2.0-or-later
"""The servers that are measured, all over files in memory: dm-remap and its peers."""

import os
import shlex
import subprocess
import time

from workshop import DemoError, find_tool, process_ended, wait_until


def cpu_seconds(pid):
    """Processor time of all threads of a process, those that have ended too."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_data(path, size):
    """A file in which every page is really there."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
        file.truncate(size)


class Peer:
    """A server of somebody else's, in the foreground."""

    def __init__(self, workshop, name, command, waits_for, served=None):
        self.name = name
        self.socket = served or waits_for
        log = open(os.path.join(workshop.short, f"{name.replace(' ', '-')}.log"), "wb")
        self.process = subprocess.Popen(
            [find_tool(command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT)
        log.close()
        self.pid = self.process.pid
        self.workshop = workshop
        self.running = workshop.later(f"end {name}", self.end)
        wait_until(lambda: self.process.poll() is not None or waits_for_is_there(waits_for), 20,
                   f"the start of {name}")
        if self.process.poll() is not None:
            raise DemoError(f"{name} did not start: {shlex.join(command)}")

    def stop(self):
        self.workshop.now(self.running)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def waits_for_is_there(condition):
    return condition() if callable(condition) else os.path.exists(condition)


def new_path(workshop, name):
    """Servers leave their sockets behind, so that each gets a place of its own."""
    return os.path.join(workshop.folder(workshop.short), name)


def nbdkit(workshop, path):
    socket = new_path(workshop, "nbdkit")
    return Peer(workshop, "nbdkit file", ["nbdkit", "-f", "-U", socket, "file", path], socket)


def bare_server(workshop, build, size):
    """Answers without looking at any data: what a client and the sockets leave to any server."""
    socket = new_path(workshop, "bare")
    return Peer(workshop, "bare server",
                [os.path.join(build, "bench", "bare_server"), socket, str(size)], socket)


def qemu_nbd(workshop, path):
    socket = new_path(workshop, "qemu-nbd")
    return Peer(workshop, "qemu-nbd",
                ["qemu-nbd", "-f", "raw", "-t", "-e", "8", "-k", socket, path], socket)


def qemu_fuse(workshop, path):
    """qemu-storage-daemon mounts its export over an existing file."""
    served = new_path(workshop, "qemu-file")
    with open(served, "wb"):
        pass
    return Peer(workshop, "qemu-storage-daemon",
                ["qemu-storage-daemon", "--blockdev",
                 f"driver=file,node-name=disk,filename={path}", "--export",
                 f"type=fuse,id=export,node-name=disk,mountpoint={served},writable=on"],
                lambda: os.path.getsize(served) > 0, served)


class Volume:
    """A volume of ours, by its command."""
    name = "dm-remap"

    def __init__(self, workshop, program, volume_name, main, spare, create=()):
        self.workshop, self.program, self.volume_name = workshop, program, volume_name
        self.buffered = ["--allow-buffered"]
        self.call("create", volume_name, "--main", main, "--spare", spare, *self.buffered, *create)
        self.pid = 0
        self.socket = None
        self.running = None

    def call(self, *words, seconds=120):
        done = subprocess.run([self.program, *words], env=self.workshop.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=seconds, check=False)
        if done.returncode != 0:
            raise DemoError(f"`dm-remap {shlex.join(words)}`: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self, export):
        """Seconds until it is served."""
        begin = time.monotonic()
        self.socket = self.call("start", self.volume_name, "--export", export, *self.buffered)
        seconds = time.monotonic() - begin
        runtime = self.workshop.environment["DM_REMAP_RUNTIME_DIR"]
        with open(os.path.join(runtime, f"{self.volume_name}.lock"), encoding="ascii") as file:
            self.pid = int(file.read())
        self.running = self.workshop.later(f"stop {self.volume_name}", self.end)
        return seconds

    def fuse_file(self):
        folder = os.path.join(self.workshop.environment["DM_REMAP_RUNTIME_DIR"],
                              f"{self.volume_name}.fuse")
        return os.path.join(folder, os.listdir(folder)[0])

    def end(self):
        if not process_ended(self.pid):
            self.call("stop", self.volume_name)

    def stop(self):
        self.workshop.now(self.running)
