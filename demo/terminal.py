# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demonstration shows: acts, commands, progress, claims and the closing table."""

import os
import shutil
import sys
import time
import unicodedata

PAINT = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}


def size_text(size):
    """Bytes in binary units, as the rest of the program prints them."""
    value, unit = float(size), 0
    units = ("B", "KiB", "MiB", "GiB")
    while value >= 1024 and unit + 1 < len(units):
        value /= 1024
        unit += 1
    whole = unit == 0 or value >= 100
    return f"{value:.0f} {units[unit]}" if whole else f"{value:.1f} {units[unit]}"


def count_text(number, one, many):
    return f"{number:,} {one if number == 1 else many}"


def visible_length(text):
    """Columns that a text takes, without colour codes."""
    length, inside = 0, False
    for letter in text:
        if letter == "\x1b":
            inside = True
        elif inside:
            inside = letter != "m"
        elif not unicodedata.combining(letter):
            length += 1
    return length


class Progress:
    """One line that changes while a step runs; on something else than a terminal, only its end."""

    def __init__(self, terminal, text, total):
        self.terminal, self.text, self.total = terminal, text, max(1, total)
        self.begin = time.monotonic()
        self.shown = 0.0

    def at(self, done):
        now = time.monotonic()
        if not self.terminal.live or now - self.shown < 0.1:
            return
        self.shown = now
        filled = min(20, 20 * done // self.total)
        bar = "█" * filled + "░" * (20 - filled)
        percent = min(100, 100 * done // self.total)
        self.terminal.write(f"\r  {self.text} {bar} {percent:3d} %\x1b[K")

    def end(self, result):
        seconds = time.monotonic() - self.begin
        start = "\r\x1b[K" if self.terminal.live else ""
        self.terminal.write(f"{start}  {self.text}: {result} ({seconds:.1f} s)\n")


class Terminal:
    def __init__(self):
        self.live = sys.stdout.isatty()
        forced = os.environ.get("CLICOLOR_FORCE", "0") != "0"
        self.coloured = (self.live or forced) and "NO_COLOR" not in os.environ
        self.failed_claims = []
        self.claims = 0

    def write(self, text):
        sys.stdout.write(text)
        sys.stdout.flush()

    def paint(self, text, *styles):
        if not self.coloured:
            return text
        return f"\x1b[{';'.join(PAINT[style] for style in styles)}m{text}\x1b[0m"

    def act(self, title):
        width = min(100, shutil.get_terminal_size((88, 24)).columns)
        rule = "─" * max(3, width - len(title) - 5)
        self.write(f"\n{self.paint(f'── {title} ', 'bold', 'blue')}{self.paint(rule, 'blue')}\n")

    def say(self, text):
        self.write(f"  {text}\n")

    def command(self, line):
        self.write(f"  {self.paint('$', 'dim')} {self.paint(line, 'bold')}\n")

    def output(self, text):
        for line in text.rstrip("\n").split("\n"):
            self.write(f"    {line}\n")

    def progress(self, text, total):
        return Progress(self, text, total)

    def claim(self, true, text):
        """A statement that the demonstration stands for: one that is false makes it fail."""
        self.claims += 1
        if true:
            self.write(f"  {self.paint('✓', 'green', 'bold')} {text}\n")
        else:
            self.failed_claims.append(text)
            self.write(f"  {self.paint('✗ NOT TRUE:', 'red', 'bold')} {text}\n")
        return bool(true)

    def bad(self, text):
        """Something that is lost; expected where nothing protects the data."""
        self.write(f"  {self.paint('✗', 'red', 'bold')} {text}\n")

    def table(self, head, rows):
        """Rows of (text, cell, cell); a cell is text or (text, style)."""
        cells = [[cell if isinstance(cell, tuple) else (cell, None) for cell in row]
                 for row in [head] + rows]
        widths = [max(visible_length(row[column][0]) for row in cells)
                  for column in range(len(head))]
        for number, row in enumerate(cells):
            parts = []
            for column, (text, style) in enumerate(row):
                space = " " * (widths[column] - visible_length(text))
                styles = ("bold",) if number == 0 else ((style, "bold") if style else ())
                shown = self.paint(text, *styles) if styles else text
                parts.append(shown + space if column == 0 else space + shown)
            self.write("  " + "   ".join(parts) + "\n")
            if number == 0:
                rule = "─" * (sum(widths) + 3 * len(widths) - 3)
                self.write("  " + self.paint(rule, "dim") + "\n")
