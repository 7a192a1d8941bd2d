# SPDX-License-Identifier: GPL-2.0-or-later
"""The two ways to reach the failing disk: as it is (`bare-disk`), and through dm-remap. Both take
the same fault plan, use the same exports, and get new faults through the same control socket."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess

from workshop import DemoError, process_ended, wait_until


def ask(workshop, name, request):
    """One request to the control socket of a running server."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(60)
        control.connect(os.path.join(workshop.environment["DM_REMAP_RUNTIME_DIR"], f"{name}.sock"))
        control.sendall(json.dumps(request).encode() + b"\n")
        with control.makefile("rb") as stream:
            answer = json.loads(stream.readline())
    if not answer["ok"]:
        raise DemoError(f"{name}: {request['op']}: {answer['error']}")
    return answer["result"]


class Server:
    """What both have in common: a path that clients open, and faults that can be added."""

    def __init__(self, workshop, name):
        self.workshop, self.name = workshop, name
        self.path = None     # socket, file or block device
        self.process = 0     # of the server
        self.started = None  # undoes the start

    def faults(self, request, member=0):
        """What docs/control-protocol.md says of `faults`: add, clear, reload."""
        return ask(self.workshop, self.name,
                   {"op": "faults", "member": member, "request": request})

    def add_faults(self, ranges, member=0):
        return self.faults({"add": ranges}, member)


class BareDisk(Server):
    """The disk without any layer: what fails on it, fails for the program above."""

    def __init__(self, workshop, program, spec):
        super().__init__(workshop, "bare")
        self.program, self.spec = program, spec

    def start(self, export):
        runtime = self.workshop.environment["DM_REMAP_RUNTIME_DIR"]
        served = os.path.join(runtime, "bare.nbd" if export == "nbd" else "bare.disk")
        process = subprocess.Popen(
            [self.program, self.name, self.spec, export, served], text=True,
            env=self.workshop.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            start_new_session=True)
        self.started = self.workshop.later("end bare-disk", lambda: self.end(process))
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise DemoError(f"bare-disk did not start: {line.strip() or 'see above'}")
        self.path = line.split(" ", 1)[1].strip()
        return self.path

    def stop(self):
        self.workshop.now(self.started)

    @staticmethod
    def end(process):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()


class Volume(Server):
    """A dm-remap volume, handled as its user does: by the command."""

    def __init__(self, workshop, terminal, program, name):
        super().__init__(workshop, name)
        self.terminal, self.program = terminal, program

    def call(self, *words, check=True, colour=False):
        environment = dict(self.workshop.environment)
        if colour:
            environment["CLICOLOR_FORCE"] = "1"
        done = subprocess.run([self.program, *words], env=environment, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120)
        if check and done.returncode != 0:
            raise DemoError(f"`dm-remap {shlex.join(words)}` ended with {done.returncode}: "
                            f"{done.stderr.strip()}")
        return done

    def show(self, *words, check=True, quiet=False):
        """Runs a command as the user would type it, and shows it and what it prints."""
        folder = re.escape(self.workshop.disks) + "/"
        self.terminal.command(re.sub(folder, "", f"dm-remap {shlex.join(words)}"))
        done = self.call(*words, check=check, colour=self.terminal.coloured)
        text = re.sub(folder, "", (done.stdout + done.stderr).rstrip())
        if text and not quiet:
            self.terminal.output(text)
        return done

    def json(self, *words):
        return json.loads(self.call(*words, "--json").stdout)

    def start(self, export):
        done = self.show("start", self.name, "--export", export, *self.workshop.buffered)
        self.path = done.stdout.strip()
        self.process = self.status()["pid"]
        self.started = self.workshop.later("stop the volume", self.end)
        return self.path

    def status(self):
        return ask(self.workshop, self.name, {"op": "status"})

    def map(self):
        runs, cursor = [], 0
        while True:
            page = ask(self.workshop, self.name, {"op": "map", "cursor": cursor, "limit": 5000})
            runs.extend(page["runs"])
            cursor = page["cursor"]
            if page["done"]:
                return runs

    def end(self):
        """Stops the volume whatever state it is in."""
        if process_ended(self.process):
            return
        if self.call("stop", self.name, check=False).returncode != 0:
            os.kill(self.process, signal.SIGTERM)
        wait_until(lambda: process_ended(self.process), 20, "the end of the server")

    def stop(self):
        """As its user does; an error is the demonstration's."""
        self.show("stop", self.name)
        wait_until(lambda: process_ended(self.process), 20, "the end of the server")
        self.workshop.forget(self.started)

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        wait_until(lambda: process_ended(self.process), 20, "the death of the server")
        self.workshop.forget(self.started)
