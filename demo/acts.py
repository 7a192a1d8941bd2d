# SPDX-License-Identifier: GPL-2.0-or-later
"""The acts behind dm-remap: store, weak sectors, a loss on purpose, a killed server, a look."""

import errno
import os
import random
import threading
from dataclasses import dataclass, field

from disk import SECTOR, fault
from files import Verdict, digest_of
from terminal import count_text, size_text
from workshop import DemoError, wait_until

BLOCK_SECTORS = 8
PIECE = 4096
# Sectors that are lost on purpose, from the first of a file on: parts of a block, and a whole one.
LOST_OFFSETS = (34, 35, 37, *range(56, 64))
LOST_SPAN = 96
ACKNOWLEDGED_BEFORE_DEATH = 400


@dataclass
class Results:
    verdict: Verdict = field(default_factory=Verdict)
    clean: bool = False
    remapped: int = 0
    lost: int = 0
    lines: list = field(default_factory=list)


class Acts:
    def __init__(self, story, volume, access):
        self.story, self.volume, self.access = story, volume, access
        self.terminal, self.workshop = story.terminal, story.workshop
        self.chosen = story.chosen
        self.results = Results()

    def compare(self, what):
        """Reads all files back from the disk and claims that they are what was written."""
        self.access.remount()
        progress = self.terminal.progress("reading all back", self.story.total())
        verdict = self.access.read_back(self.chosen, progress)
        progress.end(f"{verdict.intact:,} of {len(self.chosen):,} files are intact")
        self.terminal.claim(verdict.intact == len(self.chosen),
                            f"{what}: every file has the checksum it was written with")
        return verdict

    def store_and_compare(self):
        terminal = self.terminal
        failure = self.access.format()
        if failure is not None:
            terminal.claim(not failure, f"mkfs.ext4 works{': ' + failure if failure else ''}")
        self.access.mount()
        self.spoil_spare()
        progress = terminal.progress("writing all files", self.story.total())
        errors = self.access.store(self.chosen, progress)
        progress.end(count_text(len(errors), "error", "errors"))
        terminal.claim(not errors, f"no write fails{': ' + errors[0] if errors else ''}")
        status = self.volume.status()
        self.results.verdict = self.compare("before the disk gets worse")
        passed_over = status["members"][1]["bad_blocks"]
        terminal.claim(status["redirected_writes"] > 0 and passed_over > 0,
                       f"{status['redirected_writes']:,} blocks that the disk refused went to the "
                       f"spare, past {passed_over} bad blocks of its own")

    def spoil_spare(self):
        """The blocks that the spare would use next refuse writes."""
        used = max((run["home_sector"] + run["sectors"] for run in self.volume.map()
                    if "home_sector" in run), default=None)
        if used is None:
            raise DemoError("the import moved nothing to the spare")
        self.volume.add_faults([fault(used + BLOCK_SECTORS * block, 2, "write")
                                for block in (1, 2, 5, 9)], member=1)

    def grow_weak(self):
        terminal = self.terminal
        terminal.act("3. The disk gets worse: sectors become weak")
        weak = self.story.weak_faults(self.access)
        self.access.unmount()
        before = self.volume.status()
        self.volume.add_faults(weak)
        self.access.mount()
        self.results.verdict = self.compare("although reads failed")
        wait_until(lambda: self.volume.status()["weak_blocks"] == 0, 30, "the move of weak blocks")
        after = self.volume.status()
        recovered = after["recovered_reads"] - before["recovered_reads"]
        moved = after["relocated_blocks"] - before["relocated_blocks"]
        terminal.say(f"{recovered:,} reads failed and were answered after all; {moved:,} weak "
                     "blocks moved to the spare while they could be read")
        terminal.claim(recovered > 0 and moved > 0, "the weak sectors were met, and left")

    # ---- loss ----

    def victim(self):
        """A healthy file with room for the loss in one piece: (file, its first sector there)."""
        remapped = set()
        for run in self.volume.map():
            remapped.update(range(run["block"], run["block"] + run["length"]))
        for file in sorted(self.chosen, key=lambda file: -file.size):
            if file is self.story.ledger:
                continue
            begin, count = self.access.extents(file)[0]
            blocks = range(begin // BLOCK_SECTORS, (begin + LOST_SPAN) // BLOCK_SECTORS)
            if count >= LOST_SPAN and begin % BLOCK_SECTORS == 0 and not remapped & set(blocks) \
                    and not self.story.disk.is_bad(begin, LOST_SPAN):
                return file, begin
        raise DemoError("no file is large enough and on healthy sectors")

    def lose_on_purpose(self):
        terminal = self.terminal
        terminal.act("4. Sectors of one file become unreadable for good")
        file, begin = self.victim()
        lost = [begin + offset for offset in LOST_OFFSETS]
        terminal.say(f"file      /{file.name} ({size_text(file.size)})")
        terminal.say(f"sectors   {begin + 34}+2, {begin + 37}, {begin + 56}+8: the disk "
                     "will not read them again")
        content = [self.access.read_sector(sector) for sector in range(begin, begin + LOST_SPAN)]
        self.access.unmount()
        self.volume.add_faults([fault(sector, 1, "read") for sector in lost])
        self.access.mount()
        self.read_around(begin, content, lost)
        self.map_names(lost)
        self.write_again(file, begin, content, lost)

    def read_around(self, begin, content, lost):
        failed, wrong = [], 0
        for offset, want in enumerate(content):
            got = self.access.read_sector(begin + offset)
            if got == errno.EIO:
                failed.append(begin + offset)
            elif got != want:
                wrong += 1
        self.terminal.claim(failed == lost, f"EIO for exactly those {len(lost)} sectors")
        self.terminal.claim(
            wrong == 0, f"the other {len(content) - len(lost)} sectors around them, in the same "
            "blocks too, read as before")
        self.results.lines.append(
            f"{len(lost)} sectors lost on purpose: EIO for these {len(failed)}, no neighbour "
            "harmed.")

    def map_names(self, lost):
        self.show_map(lost)
        named = set()
        for run in self.volume.map():
            if run["lost_sectors"] == run["sectors"]:
                named.update(range(run["sector"], run["sector"] + run["sectors"]))
            named.update(run.get("lost", []))
        self.terminal.claim(set(lost) <= named, "`map` names them")

    def show_map(self, lost):
        """The lines of `map` that tell of these sectors."""
        blocks = {str(sector // BLOCK_SECTORS) for sector in lost}
        done = self.volume.show("map", self.volume.name, quiet=True)
        lines = done.stdout.rstrip().split("\n")
        told = [line for line in lines[1:] if blocks & set(line.split()[:1])]
        self.terminal.output("\n".join(lines[:1] + told))
        self.terminal.output(f"... and {len(lines) - len(told) - 1:,} more lines")

    def write_again(self, file, begin, content, lost):
        """What the owner does with a lost file: restore it from somewhere else."""
        pieces = self.access.open_pieces(file)
        for block in sorted({sector // BLOCK_SECTORS for sector in lost}):
            first = block * BLOCK_SECTORS - begin
            pieces.write(first * SECTOR, b"".join(content[first:first + BLOCK_SECTORS]))
        pieces.close()
        self.access.remount()
        verdict = self.access.read_back([file], self.terminal.progress("", 1))
        self.terminal.claim(verdict.intact == 1, "written again, they are good again: on the spare")

    # ---- death ----

    def die_and_return(self):
        terminal = self.terminal
        terminal.act("5. SIGKILL in the middle of writes")
        writer = Writer(self.access, self.story.ledger, self.chosen)
        bursts = self.spoil_ledger()
        terminal.say("programs write pieces of a file and whole new files, each confirmed as "
                     f"durable; {bursts} sectors below them now refuse writes")
        before = self.volume.status()["redirected_writes"]
        writer.start()
        wait_until(lambda: writer.acknowledged >= ACKNOWLEDGED_BEFORE_DEATH or writer.failure, 60,
                   "the writing of pieces")
        redirected = self.volume.status()["redirected_writes"] - before
        self.volume.kill()
        writer.join(60)
        terminal.claim(not writer.failure_before_death(), "no write failed before that"
                       + (f": {writer.failure}" if writer.failure_before_death() else ""))
        terminal.command(f"kill -9 {self.volume.process}")
        terminal.output(f"{writer.acknowledged:,} writes were confirmed, {redirected:,} of them "
                        "went to the spare")
        terminal.claim(redirected > 0, "it was remapping at that time")
        self.access.bury()
        self.access.attach()
        self.access.mount()
        kept, total, doubt = writer.verify()
        terminal.claim(kept == total, f"all {total:,} pieces hold what was last confirmed, or the "
                       f"one write that was under way ({doubt})")
        intact, new = writer.verify_files()
        if new:
            terminal.claim(intact == new,
                           f"all {new:,} new files that were confirmed are there, intact")
        fate = "all are there" if kept == total and intact == new else "SOME ARE LOST"
        self.results.lines.append(
            f"{writer.acknowledged:,} confirmed writes before the SIGKILL: {fate}.")
        writer.adopt()
        self.results.verdict = self.compare("after the crash")

    def spoil_ledger(self):
        """Every eighth block or so of the file refuses writes from now on."""
        dice, ranges = random.Random(self.story.options.seed), []
        for begin, count in self.access.extents(self.story.ledger):
            for sector in range(begin, begin + count, BLOCK_SECTORS):
                if dice.random() < 0.12:
                    ranges.append(fault(sector + dice.randrange(4), dice.randint(1, 4), "write"))
        self.volume.add_faults(ranges)
        return sum(entry["count"] for entry in ranges)

    # ---- the last look ----

    def look_at_it(self):
        terminal, volume = self.terminal, self.volume
        terminal.act("6. A last look")
        clean, words = self.access.check_filesystem()
        self.results.clean = clean
        terminal.command("e2fsck -fn")
        terminal.output(words.strip().splitlines()[-1])
        terminal.claim(clean, "the filesystem is clean")
        status = volume.status()
        self.results.remapped = status["remapped_blocks"]
        self.results.lost = status["lost_sectors"]
        volume.show("status", volume.name)
        volume.show("map", volume.name, "--visual")
        specs = [member["spec"] for member in status["members"]]
        self.access.detach()
        done = volume.show("check", *specs, check=False)
        terminal.claim(done.returncode == 0, "`dm-remap check` finds no fault in the metadata")


class Writer(threading.Thread):
    """Writes pieces of one file with known content until the server dies under it."""

    def __init__(self, access, file, chosen):
        super().__init__(daemon=True)
        self.access, self.file = access, file
        self.sources = [other for other in chosen if other is not file and other.size < 256 << 10]
        self.pieces = access.open_pieces(file)
        self.versions = {}       # piece: last confirmed version
        self.under_way = None    # (piece, version)
        self.new_files = []
        self.acknowledged = 0
        self.failure = None

    def content(self, piece, version):
        return f"piece {piece} version {version}\n".encode().ljust(32, b".") * (PIECE // 32)

    def run(self):
        dice, last = random.Random(1), self.file.size // PIECE
        try:
            while True:
                for _ in range(8):
                    piece = dice.randrange(last)
                    version = self.versions.get(piece, 0) + 1
                    self.under_way = (piece, version)
                    self.pieces.write(piece * PIECE, self.content(piece, version))
                    self.versions[piece] = version
                    self.acknowledged += 1
                source = self.sources[len(self.new_files) % len(self.sources)]
                name = f"new/{len(self.new_files):05d}"
                if self.access.write_synced(source, name):
                    self.new_files.append((source, name))
                    self.acknowledged += 1
        except (OSError, ValueError) as error:
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self.pieces.close()

    def failure_before_death(self):
        return self.failure is not None and self.acknowledged < ACKNOWLEDGED_BEFORE_DEATH

    def verify(self):
        """(pieces that hold what they must, all, what became of the write under way)"""
        pieces, kept, doubt = self.access.open_pieces(self.file), 0, "it was not there"
        for piece, version in self.versions.items():
            found = pieces.read(piece * PIECE, PIECE)
            if found == self.content(piece, version):
                kept += 1
            elif self.under_way == (piece, version + 1) and \
                    found == self.content(piece, version + 1):
                kept, doubt = kept + 1, "it had arrived"
        pieces.close()
        return kept, len(self.versions), doubt

    def verify_files(self):
        intact = sum(digest_of(os.path.join(self.access.folder, name)) == source.digest
                     for source, name in self.new_files)
        return intact, len(self.new_files)

    def adopt(self):
        """What the file holds now is what it has to hold from now on."""
        pieces = self.access.open_pieces(self.file)
        with open(self.file.source, "wb") as copy:
            for offset in range(0, self.file.size, PIECE):
                copy.write(pieces.read(offset, PIECE))
        pieces.close()
        self.file.digest = digest_of(self.file.source)
