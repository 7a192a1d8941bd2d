# SPDX-License-Identifier: GPL-2.0-or-later
"""The server is killed with SIGKILL, again and again, while programs write to a disk that fails
more and more. After each kill `check` finds nothing, and nothing that was promised is missing.

In every second life the devices have a write cache that forgets: then the kill is a power cut, and
what was confirmed by a flush or with FUA must be there. In the others nothing is lost with the
server, and whatever was acknowledged must be there."""

import errno
import fcntl
import os
import random
import signal
import struct
import subprocess
import time

import nbd
from exported import MAIN_BYTES, MIB, SECTOR, SPARE_BYTES, ExportTest, bad

KILLS = int(os.environ.get("DMR_KILLS", "50"))
SEED = int(os.environ.get("DMR_KILL_SEED", random.randrange(1_000_000)))
IN_FLIGHT = 8
SECTORS = 8192       # from 0: those of the writer
FIO_OFFSET = 8 * MIB  # behind them
FIO_BYTES = 2 * MIB
LONGEST_LIFE = 800  # in answers
# What libnbd says for requests whose answer never came.
CONNECTION_ENDED = (errno.ENOTCONN, errno.ESHUTDOWN, errno.ECONNRESET)


class Ledger:
    """What each sector may hold. A value is 0 for zeros, or the number of the write."""

    def __init__(self, cache_forgets):
        self.cache_forgets = cache_forgets
        self.versions = [[(0, 0)] for _ in range(SECTORS)]  # (value, when acknowledged), in order
        self.pending = {}  # number of a write: (first, count, value, fua)
        self.clock = 0
        self.busy = set()
        self.unflushed = set()  # sectors with more than one version

    def begin(self, number, first, count, value, fua):
        self.pending[number] = (first, count, value, fua)
        self.busy.update(range(first, first + count))

    def acknowledged(self, number):
        first, count, value, fua = self.pending.pop(number)
        self.clock += 1
        for sector in range(first, first + count):
            self.busy.discard(sector)
            if fua or not self.cache_forgets:
                self.versions[sector] = [(value, self.clock)]
            else:
                self.versions[sector].append((value, self.clock))
                self.unflushed.add(sector)

    def flushed(self, sent_at):
        """What was acknowledged when the flush was sent is durable now."""
        for sector in list(self.unflushed):
            versions = self.versions[sector]
            last = max(i for i, (_, when) in enumerate(versions) if i == 0 or when <= sent_at)
            self.versions[sector] = versions[last:]
            if len(versions) == last + 1:
                self.unflushed.discard(sector)

    def killed(self):
        """Writes that were not answered happened, or not, sector by sector."""
        for first, count, value, _ in self.pending.values():
            for sector in range(first, first + count):
                self.versions[sector].append((value, self.clock))
        self.pending.clear()
        self.busy.clear()
        self.unflushed.clear()

    def allowed(self, sector):
        return {value for value, _ in self.versions[sector]}

    def found(self, sector, value):
        self.versions[sector] = [(value, 0)]


def content(sector, value):
    return struct.pack("<QQ", sector, value) * (SECTOR // 16) if value else bytes(SECTOR)


def value_in(sector, data):
    """The value that this sector holds; None when it holds no content of its own."""
    value = struct.unpack_from("<QQ", data)[1]
    return value if data == content(sector, value) else None


class Writer:
    """Keeps writes, flushes and zeroes in flight over one connection, until the server dies."""

    def __init__(self, socket, ledger, dice, number):
        self.ledger = ledger
        self.dice = dice
        self.number = number
        self.flushes = 0
        self.acknowledged = 0
        self.refused = []  # errors that an answer of the server brought
        self.in_flight = 0
        self.buffers = {}
        self.handle = nbd.NBD()
        self.handle.connect_unix(socket)

    def work_until(self, answers):
        """A life is so many answers long: on any machine something happens in it."""
        deadline = time.monotonic() + 60
        while self.acknowledged < answers:
            assert time.monotonic() < deadline, "the server does not answer"
            while self.in_flight < IN_FLIGHT:
                self.start_one()
            self.handle.poll(100)

    def drain(self):
        """After the kill: answers that were on their way count as well."""
        try:
            while self.in_flight:
                if self.handle.poll(1000) == 0:
                    return
        except nbd.Error:
            pass  # the connection has ended

    def start_one(self):
        kind = self.dice.random()
        if kind < 0.06:
            self.send_flush()
            return
        count = self.dice.choice((1, 1, 3, 8, 8, 16, 40))
        first = self.dice.randrange(SECTORS - count)
        if not self.ledger.busy.isdisjoint(range(first, first + count)):
            return
        self.number += 1
        number, fua = self.number, self.dice.random() < 0.15
        flags = nbd.CMD_FLAG_FUA if fua else 0
        done = self.completion(lambda: self.ledger.acknowledged(number))
        self.in_flight += 1
        if kind < 0.12:
            self.ledger.begin(number, first, count, 0, fua)
            self.handle.aio_zero(count * SECTOR, first * SECTOR, done, flags)
            return
        self.ledger.begin(number, first, count, number, fua)
        data = b"".join(content(sector, number) for sector in range(first, first + count))
        self.buffers[number] = nbd.Buffer.from_bytearray(bytearray(data))
        self.handle.aio_pwrite(self.buffers[number], first * SECTOR, done, flags)

    def send_flush(self):
        sent_at = self.ledger.clock

        def flushed():
            self.flushes += 1
            self.ledger.flushed(sent_at)

        self.in_flight += 1
        self.handle.aio_flush(self.completion(flushed))

    def completion(self, well):
        def done(error):
            self.in_flight -= 1
            if error.value == 0:
                self.acknowledged += 1
                well()
            elif error.value not in CONNECTION_ENDED:
                self.refused.append(error.value)
            return 1

        return done


class KilledServerTest(ExportTest):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        self.main, (self.spare,) = self.make_volume(main=MAIN_BYTES, spares=(SPARE_BYTES,))
        self.plan = self.folder / "plan.json"
        self.faults = []
        self.addCleanup(self.end_server)
        self.server = None

    def grow_worse(self):
        """More places that refuse writes, for good or for a while, and some that read badly."""
        last = (FIO_OFFSET + FIO_BYTES) // SECTOR
        for _ in range(6):
            self.faults.append(bad(self.dice.randrange(last), self.dice.choice((1, 8, 24)),
                                   on="write"))
        self.faults.append(bad(self.dice.randrange(last), 8, on="write", times=2))
        self.faults.append(bad(self.dice.randrange(last), 1, on="read", times=2))
        self.faults.sort(key=lambda one: one["sector"])
        self.plan.write_text(f'{{"ranges": {self.faults}}}'.replace("'", '"'))

    def start_server(self, cache_forgets):
        cache = "volatile-cache:" if cache_forgets else ""
        self.server = subprocess.Popen(
            [self.program, "start", "tank", "--export", "nbd", "--foreground",
             "--main", f"faulty:{self.plan}:{cache}{self.main}", "--spare", f"{cache}{self.spare}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment,
            cwd=self.folder)
        socket = self.server.stdout.readline().strip()
        self.assertTrue(socket, "the server did not get ready")
        return socket

    def end_server(self):
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server.stdout.close()
            self.server = None
            self.wait_for_files()

    def wait_for_files(self):
        """A ring's files are closed by the kernel a moment after its process has ended."""
        for path in (self.main, self.spare):
            with open(path, "rb") as file:
                deadline = time.monotonic() + 30
                while True:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        self.assertLess(time.monotonic(), deadline, f"{path} stays locked")

    def fio(self, socket, *options):
        return ["fio", "--name=blocks", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}",
                "--thread", "--bs=4k", "--iodepth=4", f"--offset={FIO_OFFSET}",
                f"--size={FIO_BYTES}", "--verify=crc32c", "--verify_fatal=1", *options]

    def start_fio(self, socket):
        return subprocess.Popen(
            self.fio(socket, "--rw=randwrite", "--do_verify=0", "--fsync=16", "--loops=100000",
                     "--randrepeat=0"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self.folder)

    def read_back(self, socket, ledger):
        """Every sector holds what it may hold; that stays."""
        handle = nbd.NBD()
        handle.connect_unix(socket)
        chunk = 256
        for begin in range(0, SECTORS, chunk):
            data = handle.pread(chunk * SECTOR, begin * SECTOR)
            for i in range(chunk):
                sector = begin + i
                value = value_in(sector, data[i * SECTOR:(i + 1) * SECTOR])
                self.assertIn(value, ledger.allowed(sector),
                              f"sector {sector} ({ledger.versions[sector]}), seed {SEED}")
                ledger.found(sector, value)
        handle.shutdown()

    def one_life(self, ledger, number):
        socket = self.start_server(ledger.cache_forgets)
        fio = self.start_fio(socket)
        try:
            writer = Writer(socket, ledger, self.dice, number)
            writer.work_until(self.dice.randrange(1, LONGEST_LIFE))
            os.kill(self.server.pid, signal.SIGKILL)
            self.server.wait(timeout=60)
            writer.drain()
            self.assertEqual(writer.refused, [], "the volume has room for all that is refused")
        finally:
            self.end_server()
            try:
                fio.wait(timeout=60)  # without its server it has nothing to do
            except subprocess.TimeoutExpired:
                fio.kill()
                fio.wait()
        ledger.killed()
        return writer

    def test_nothing_is_lost_by_fifty_kills(self):
        ledger = Ledger(cache_forgets=False)
        acknowledged = flushes = number = 0
        self.grow_worse()
        socket = self.start_server(False)
        self.tool(*self.fio(socket, "--rw=write", "--do_verify=1"))
        self.succeed("stop", "tank")
        self.end_server()
        for kill in range(KILLS):
            self.grow_worse()
            ledger.cache_forgets = kill % 2 == 1
            writer = self.one_life(ledger, number)
            number = writer.number
            acknowledged += writer.acknowledged
            flushes += writer.flushes
            self.succeed("check", self.main, self.spare)
            socket = self.start_server(False)
            self.read_back(socket, ledger)
            self.tool(*self.fio(socket, "--rw=read"))
            self.end_server()
        self.assertGreater(flushes, KILLS)
        self.start_server(False)
        status = self.status()
        self.assertGreater(status["remapped_blocks"], 0)
        self.assertEqual(status["lost_sectors"], 0)
        self.assert_check_finds_nothing()
        print(f"{KILLS} kills, {acknowledged} answers, {flushes} flushes, "
              f"{status['remapped_blocks']} blocks on the spare, seed {SEED}")
