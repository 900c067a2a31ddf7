# SPDX-License-Identifier: MIT
"""Cases and movers of a results file, and their medians, minima and ratios."""

import json
from statistics import median

MIB = 1 << 20


class Mover:
    def __init__(self, data, case):
        self.name = data["name"]
        self.kind = data["kind"]
        self.route = data["route"]
        self.seconds = data["seconds"]
        self.cpu = data["cpu"]
        self.snapshot = data["snapshot"]
        self.case = case

    def speed(self):
        """GB/s (10^9 bytes), the median."""
        return self.case.bytes / median(self.seconds) / 1e9

    def speed_max(self):
        return self.case.bytes / min(self.seconds) / 1e9

    def cpu_ns(self):
        """ns of CPU time of this side for each KiB, the median."""
        return median(self.cpu) * 1e9 / (self.case.bytes / 1024)

    def cpu_ns_min(self):
        return min(self.cpu) * 1e9 / (self.case.bytes / 1024)

    def each_us(self):
        return median(self.seconds) * 1e6 / self.case.transfers

    def snapshot_us(self):
        return median(self.snapshot) * 1e6


class Case:
    def __init__(self, data):
        self.name = data["name"]
        self.source = data["from"]
        self.sink = data["to"]
        self.piece = data["piece"]
        self.at_once = data["at_once"]
        self.transfers = data["transfers"]
        self.cold = bool(data["cold"])
        self.tmpfs = bool(data["tmpfs"])
        self.sleeping = bool(data["sleeping"])
        self.durable = bool(data["durable"])
        self.bytes = self.piece * self.transfers
        self.movers = [Mover(m, self) for m in data["movers"]]

    def get(self, name):
        return next((m for m in self.movers if m.name == name), None)

    def some(self, *starts, kind=None):
        return [m for m in self.movers if m.name.startswith(starts) and kind in (None, m.kind)]

    def rounds(self):
        return max((len(m.seconds) for m in self.movers), default=0)


def fastest(movers):
    return min(movers, key=lambda m: median(m.seconds), default=None)


def cheapest(movers):
    return min((m for m in movers if any(m.cpu)), key=lambda m: median(m.cpu), default=None)


def ratio(a, b):
    """The median of what a is of b, round by round: both had the same minute."""
    pairs = [(x, y) for x, y in zip(a, b) if y > 0]
    return median(x / y for x, y in pairs) if pairs else 0.0


def speed_ratio(a, b):
    return ratio(b.seconds, a.seconds)


def cpu_ratio(a, b):
    return ratio(a.cpu, b.cpu)


def load(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    return data["machine"], [Case(c) for c in data["cases"] if c["movers"]]
