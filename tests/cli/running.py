# SPDX-License-Identifier: GPL-2.0-or-later
"""A volume that runs, over NBD: that needs neither root nor a kernel module."""

import contextlib
import os
import signal
import socket
import subprocess

import nbd

from harness import PROGRAM, SECTOR, CliTest


class RunningTest(CliTest):
    def start(self, name="tank", *options):
        """Starts in the background; returns the socket's path."""
        result = self.succeed("start", name, "--export", "nbd", *options)
        path = result.out.strip()
        self.assertTrue(os.path.exists(path), result.out)
        return path

    def stop(self, name="tank"):
        self.succeed("stop", name)

    def map(self, name="tank"):
        return self.succeed("map", name, "--json").json["runs"]

    def status(self, name="tank"):
        return self.succeed("status", name, "--json").json

    def start_in_foreground(self, *arguments, stderr=subprocess.PIPE):
        """A server that is our child; its first line of output says that it is ready."""
        process = subprocess.Popen(
            [PROGRAM, "start", *arguments, "--export", "nbd", "--foreground"],
            stdout=subprocess.PIPE, stderr=stderr, text=True, env=self.environment,
            cwd=self.folder)
        self.addCleanup(self.end, process)
        self.assertTrue(process.stdout.readline(), "the server did not get ready")
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def unmount(folder):
    # A ring's files are closed by the kernel a moment after its process has ended.
    for _ in range(500):
        if subprocess.run(["umount", folder], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return
    raise AssertionError(f"{folder} stays busy")


def free_port():
    """A TCP port that nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def connected(path):
    client = nbd.NBD()
    client.connect_unix(path)
    try:
        yield client
    finally:
        client.shutdown()


def write_sectors(path, sector, data):
    with connected(path) as client:
        client.pwrite(data, sector * SECTOR, nbd.CMD_FLAG_FUA)


def read_sectors(path, sector, count):
    with connected(path) as client:
        return bytes(client.pread(count * SECTOR, sector * SECTOR))
