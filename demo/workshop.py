# SPDX-License-Identifier: GPL-2.0-or-later
"""A place to work in that is left as it was found: folders, processes, mounts and loop devices are
taken down in reverse order, also after a failure or Ctrl-C."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time


class DemoError(Exception):
    """The demonstration cannot go on; the text says why."""


class Interrupted(BaseException):
    """A signal asked for the end."""


def _interrupt(number, _frame):
    raise Interrupted(signal.Signals(number).name)


def find_tool(name):
    """Programs for administrators lie where an ordinary user's PATH does not lead."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise DemoError(f"`{name}` is not installed; `scripts/install-packages` knows its package")
    return path


def direct_io_works(folder):
    path = os.path.join(folder, "direct")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600))
        return True
    except OSError:
        return False
    finally:
        if os.path.exists(path):
            os.unlink(path)


class Workshop:
    def __init__(self, big_folder, keep):
        self.undo = []
        self.keep = keep
        self.environment = dict(os.environ)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        os.makedirs(big_folder, exist_ok=True)
        # Disks lie where direct I/O works; sockets and mounts in a short path.
        self.disks = self.folder(big_folder)
        self.buffered = [] if direct_io_works(self.disks) else ["--allow-buffered"]
        self.short = self.folder(tempfile.gettempdir())
        runtime = os.path.join(self.short, "run")
        os.mkdir(runtime, 0o700)
        self.environment["DM_REMAP_RUNTIME_DIR"] = runtime
        self.environment["DM_REMAP_STATE_DIR"] = os.path.join(self.short, "state")

    def folder(self, where):
        path = tempfile.mkdtemp(prefix="dm-remap-", dir=where)
        self.later(f"remove {path}", lambda: self.remove(path))
        return path

    def remove(self, path):
        """With what a killed server has left mounted below."""
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            mounts = [line.split()[1] for line in file]
        for mount in reversed(mounts):
            if mount.startswith(path + "/"):
                if os.geteuid() == 0:
                    self.run("umount", "--lazy", mount)
                else:
                    self.run("fusermount3", "-u", "-z", mount)
        if not self.keep:
            shutil.rmtree(path)

    def later(self, what, action):
        """Registers what undoes a step; returns a handle that now() and forget() take."""
        entry = (what, action)
        self.undo.append(entry)
        return entry

    def forget(self, entry):
        if entry in self.undo:
            self.undo.remove(entry)

    def now(self, entry):
        """Undoes the step at once instead of at the end."""
        if entry in self.undo:
            self.undo.remove(entry)
            entry[1]()

    def run(self, *command, check=True, capture=True, seconds=600, **options):
        """The completed process; its output is text."""
        command = [find_tool(command[0])] + [str(word) for word in command[1:]]
        if capture:
            options.setdefault("stdout", subprocess.PIPE)
            options.setdefault("stderr", subprocess.STDOUT)
        try:
            done = subprocess.run(command, env=self.environment, text=True, errors="replace",
                                  stdin=subprocess.DEVNULL, timeout=seconds, check=False, **options)
        except subprocess.TimeoutExpired as expired:
            raise DemoError(f"`{shlex.join(command)}` did not end within {seconds} s") from expired
        if check and done.returncode != 0:
            raise DemoError(f"`{shlex.join(command)}` ended with {done.returncode}:\n"
                            f"{(done.stdout or '').strip()}")
        return done

    def close(self):
        """Undoes everything, in reverse order; a step that fails does not stop the others."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        clean = True
        while self.undo:
            what, action = self.undo.pop()
            try:
                action()
            except Exception as error:  # pylint: disable=broad-except
                clean = False
                print(f"cleaning up: {what}: {error}", file=sys.stderr)
        return clean


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise DemoError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def process_ended(pid):
    """Also true for a zombie whose parent has not looked yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True
