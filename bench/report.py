# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures, the targets they are held against, and their three forms: table, JSON and plot."""

import html
import json
import os
import platform
import time
from dataclasses import dataclass


@dataclass
class Figure:
    """One measured number. With a target it is met or missed; a better one is above or below it."""
    group: str
    name: str
    value: float
    unit: str
    target: float | None = None
    better: str = "above"
    note: str = ""
    beside: bool = False   # a ratio to a peer that sets no target

    @property
    def verdict(self):
        if self.target is None:
            return ""
        good = self.value >= self.target if self.better == "above" else self.value <= self.target
        return "met" if good else "MISSED"

    def bar(self):
        """Its length in units of the target or the peer, its colour, the words behind it."""
        text = f"{number(self.value)} {self.unit}"
        if self.target is None:
            return self.value, "#8a8f98", text
        ratio = self.value / self.target if self.better == "above" else self.target / self.value
        return (ratio, "#2a8f4f" if self.verdict == "met" else "#c0392b",
                f"{text} ({self.target_text})")

    @property
    def target_text(self):
        if self.target is None:
            return ""
        sign = ">=" if self.better == "above" else "<="
        return f"{sign} {number(self.target)} {self.unit}".strip()


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"processor": model, "processors": os.cpu_count(), "kernel": platform.release(),
            "load": [round(load, 2) for load in os.getloadavg()],
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


class Report:
    def __init__(self, quick):
        self.figures = []
        self.machine = machine()
        self.quick = quick

    def add(self, group, name, value, unit, target=None, better="above", note=""):
        self.figures.append(Figure(group, name, value, unit, target, better, note))

    def add_beside(self, group, name, value, note):
        self.figures.append(Figure(group, name, value, "x", note=note, beside=True))

    def groups(self):
        return list(dict.fromkeys(figure.group for figure in self.figures))

    def print_group(self, group):
        rows = [(figure.name, f"{number(figure.value)} {figure.unit}".strip(), figure.target_text,
                 figure.verdict, figure.note)
                for figure in self.figures if figure.group == group]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        print(f"\n{group}")
        for row in rows:
            print(f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  "
                  f"{row[3]:<{widths[3]}}  {row[4]}".rstrip())

    def write_json(self, path):
        document = {"machine": self.machine, "quick": self.quick,
                    "figures": [{**vars(figure), "verdict": figure.verdict}
                                for figure in self.figures]}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")

    def write_plot(self, path):
        """Each figure that has a target, as a bar in units of it: 1 is the target itself. Grey: the
        ratio to a peer that sets none; 1 is the peer."""
        held = [figure for figure in self.figures
                if (figure.target is not None or figure.beside) and figure.value > 0]
        left, row, full, top = 400, 22, 360, 64
        height = top + row * len(held) + 30
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + full + 150}" '
                 f'height="{height}" font-family="sans-serif" font-size="12">',
                 '<rect width="100%" height="100%" fill="white"/>',
                 '<text x="12" y="22" font-size="15" font-weight="bold">dm-remap: how many times '
                 'better than the target (grey: than a peer that sets none)</text>',
                 f'<text x="12" y="42" fill="#555">{html.escape(self.machine["processor"])}, '
                 f'{self.machine["processors"]} processors, Linux '
                 f'{html.escape(self.machine["kernel"])}</text>']
        scale = full / 4
        for line, figure in enumerate(held):
            ratio, colour, text = figure.bar()
            y = top + row * line
            parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">'
                         f'{html.escape(figure.name)}</text>'
                         f'<rect x="{left}" y="{y + 3}" width="{min(full, ratio * scale):.1f}" '
                         f'height="{row - 8}" fill="{colour}"/>'
                         f'<text x="{left + min(full, ratio * scale) + 6:.1f}" y="{y + 14}" '
                         f'fill="#333">{html.escape(text)}</text>')
        parts.append(f'<line x1="{left + scale}" y1="{top - 4}" x2="{left + scale}" '
                     f'y2="{height - 26}" stroke="#333" stroke-dasharray="4 3"/>'
                     f'<text x="{left + scale}" y="{height - 10}" '
                     'text-anchor="middle">target</text>')
        parts.append("</svg>\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(parts))
