# SPDX-License-Identifier: GPL-2.0-or-later
"""The story in acts: the disk alone, the disk behind dm-remap, and what became of the data."""

import os
import time

import files
import mounted
import wired
from acts import Acts
from disk import (MAIN_BYTES, SECTOR, SPARE_BYTES, FailingDisk, blocks_of, fault, make_sparse,
                  sectors_in)
from servers import BareDisk, Volume
from terminal import count_text, size_text
from workshop import DemoError

LEDGER_BYTES = 4 << 20
FEWEST_FILES = 500
WEAK_FAILURES = 3
FILES_GROWING_WEAK = 3


class Story:
    def __init__(self, workshop, terminal, options):
        self.workshop, self.terminal, self.options = workshop, terminal, options
        self.program = os.path.abspath(options.program)
        self.bare_program = os.path.join(os.path.dirname(self.program), "demo", "bare-disk")
        self.disk = FailingDisk(options.seed)
        self.plan = self.disk_file("failing.json")
        self.chosen = []
        self.ledger = None
        self.way = None
        self.alone = None   # what became of the files without dm-remap
        self.alone_clean = False

    def disk_file(self, name):
        return os.path.join(self.workshop.disks, name)

    def tell(self):
        self.prepare()
        self.without()
        results = self.behind()
        self.close(results)

    # ---- the material ----

    def prepare(self):
        terminal, disk = self.terminal, self.disk
        if not os.access(self.bare_program, os.X_OK):
            raise DemoError(f"{self.bare_program} is not there; `make demo` builds it")
        terminal.act("A disk that is going bad, and files that are to survive on it")
        reason = mounted.usable(self.workshop) if self.options.access != "wired" else "asked for"
        if reason and self.options.access == "mounted":
            raise DemoError(f"nothing can be mounted: {reason}")
        self.way = wired.Wired if reason else mounted.Mounted
        make_sparse(self.disk_file("spare.img"), SPARE_BYTES)
        disk.write_plan(self.plan)
        terminal.say(f"disk      {size_text(MAIN_BYTES)} in a sparse file, faults drawn with seed "
                     f"{self.options.seed} in clusters:")
        for text, bursts in (("cannot be read (though it takes writes)", disk.unreadable),
                             ("refuses writes", disk.unwritable),
                             ("will become weak: reads fail three times", disk.weak)):
            terminal.say(f"          {sectors_in(bursts):6,} sectors in {len(bursts):3} bursts: "
                         f"{text}")
        terminal.say(f"spare     {size_text(SPARE_BYTES)}; it will turn out to have bad sectors "
                     "too")
        self.choose_files()
        way = self.way.words + (f" ({reason}: no mount)" if reason else "")
        terminal.say(f"way       {way}")

    def choose_files(self):
        want = self.options.mebibytes << 20
        self.chosen, places = files.choose(want, self.options.files)
        text = f"of this machine, from {', '.join(places)}"
        total = sum(file.size for file in self.chosen)
        if len(self.chosen) < min(FEWEST_FILES, self.options.files) or total < want // 3:
            folder = self.workshop.folder(self.workshop.disks)
            made = files.generate(folder, want - total, self.options.seed)
            self.chosen += made
            text += f", and {len(made)} generated ones: there are too few real ones"
        total = sum(file.size for file in self.chosen)
        self.terminal.say(f"files     {len(self.chosen):,} files, {size_text(total)}, {text}")
        source = self.disk_file("ledger")
        with open(source, "wb") as file:
            file.write(os.urandom(LEDGER_BYTES))
        self.ledger = files.File(source, "ledger.bin", LEDGER_BYTES)
        self.chosen.append(self.ledger)

    def fresh_disk(self, name):
        """A new disk with the same bad sectors, as the `faulty` decorator shows it."""
        path = self.disk_file(name)
        make_sparse(path, MAIN_BYTES)
        return f"faulty:{self.plan}:{path}"

    def weak_faults(self, access):
        """Some of these clusters lie below the largest files, so that they are met for sure."""
        largest = sorted(self.chosen, key=lambda file: -file.size)[:FILES_GROWING_WEAK]
        bursts = self.disk.weak + [burst for file in largest
                                   for burst in self.disk.cluster(access.extents(file)[0][0])]
        return [fault(sector, count, "read", times=WEAK_FAILURES)
                for burst in bursts for sector, count in blocks_of(burst)]

    # ---- without ----

    def without(self):
        terminal = self.terminal
        terminal.act("1. The disk as it is")
        server = BareDisk(self.workshop, self.bare_program, self.fresh_disk("alone.img"))
        access = self.way(self.workshop, server)
        access.attach()
        self.alone = files.Verdict(missing=len(self.chosen))
        failure = access.format()
        if failure:
            terminal.bad(f"not even a filesystem: {failure.splitlines()[-1]}")
            terminal.say("so, for the comparison, it is formatted as if healthy and goes bad just "
                         "after")
            server.faults({"clear": True})
            failure = access.format()
            server.faults({"reload": True})
            if failure:
                raise DemoError(f"mkfs.ext4 fails on a healthy disk: {failure}")
        self.use_alone(server, access)
        access.detach()
        os.unlink(self.disk_file("alone.img"))

    def use_alone(self, server, access):
        terminal = self.terminal
        access.mount()
        progress = terminal.progress("writing all files", self.total())
        errors = access.store(self.chosen, progress)
        progress.end(f"the system reported {count_text(len(errors), 'error', 'errors')}"
                     if errors else "no error was reported")
        for text in errors[:3]:
            terminal.say(f"  {text}")
        weak = self.weak_faults(access)
        access.unmount()
        server.add_faults(weak)
        try:
            access.mount()
        except DemoError as error:
            terminal.bad(str(error))
            return
        progress = terminal.progress("reading all back", self.total())
        self.alone = access.read_back(self.chosen, progress)
        progress.end(f"{self.alone.intact:,} of {len(self.chosen):,} files are intact")
        terminal.bad(f"{self.alone.unreadable:,} cannot be read, {self.alone.wrong:,} are "
                     f"{terminal.paint('silently wrong', 'red')}, {self.alone.missing:,} are "
                     f"missing; {size_text(self.alone.damaged_bytes)} of data are gone")
        self.alone_clean, words = access.check_filesystem()
        if not self.alone_clean:
            terminal.bad(f"e2fsck -fn: the filesystem is damaged ({len(words.splitlines())} lines)")
        terminal.claim(self.alone.lost > 0, "these bad sectors do cost data when nothing helps")

    def total(self):
        return sum(file.size for file in self.chosen)

    # ---- behind dm-remap ----

    def behind(self):
        terminal = self.terminal
        terminal.act("2. The same disk behind dm-remap")
        spec, listing = self.fresh_disk("failing.img"), self.disk_file("bad.txt")
        self.scan(spec, listing)
        volume = Volume(self.workshop, terminal, self.program, "demo")
        healthy = self.disk_file("spare.json")
        with open(healthy, "w", encoding="ascii") as file:
            file.write("{}")
        volume.show("create", volume.name, "--main", spec, "--spare",
                    f"faulty:{healthy}:{self.disk_file('spare.img')}", *self.workshop.buffered)
        access = self.way(self.workshop, volume)
        access.attach()
        volume.show("import", volume.name, "--badblocks", listing, "--block-size", "4096")
        acts = Acts(self, volume, access)
        acts.store_and_compare()
        acts.grow_weak()
        acts.lose_on_purpose()
        acts.die_and_return()
        acts.look_at_it()
        return acts.results

    def scan(self, spec, listing):
        """Finds what cannot be read, as the owner of such a disk does first."""
        server = BareDisk(self.workshop, self.bare_program, spec)
        access = self.way(self.workshop, server)
        access.attach()
        self.terminal.command(access.scan_command)
        begin = time.monotonic()
        access.scan(listing)
        access.detach()
        with open(listing, encoding="ascii") as file:
            found = {int(line) for line in file}
        expected = {block for sector, count in self.disk.unreadable
                    for block in range(sector // 8, (sector + count - 1) // 8 + 1)}
        seconds = time.monotonic() - begin
        self.terminal.output(f"{len(found):,} blocks cannot be read ({seconds:.1f} s)")
        self.terminal.claim(found == expected,
                            "the scan lists the blocks of the unreadable sectors, and no others")

    # ---- the end ----

    def close(self, results):
        terminal, total = self.terminal, f"{len(self.chosen):,}"
        terminal.act("What was saved")
        alone = self.alone

        def mark(number, text=None, good=0):
            return text or f"{number:,}", "green" if number == good else "red"

        behind = results.verdict
        state = {True: ("clean", "green"), False: ("damaged", "red")}
        terminal.table(("", "disk alone", "with dm-remap"), [
            ("files written", total, total),
            ("files intact", mark(alone.intact, good=len(self.chosen)),
             mark(behind.intact, good=len(self.chosen))),
            ("files that cannot be read", mark(alone.unreadable), mark(behind.unreadable)),
            ("files silently wrong", mark(alone.wrong), mark(behind.wrong)),
            ("files missing", mark(alone.missing), mark(behind.missing)),
            ("data lost", mark(alone.damaged_bytes, size_text(alone.damaged_bytes)),
             mark(behind.damaged_bytes, size_text(behind.damaged_bytes))),
            ("filesystem (e2fsck -fn)", state[self.alone_clean], state[results.clean]),
        ])
        terminal.say("")
        for text in results.lines:
            terminal.say(text)
        blocks = size_text(results.remapped * 8 * SECTOR)
        terminal.say(f"{results.remapped:,} blocks ({blocks}) of the disk now live on the spare; "
                     f"{results.lost:,} unreadable sectors were never written to and hold nothing.")
