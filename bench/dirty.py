#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What decant dirty predicts of a capture against the capture, and what looking
costs the process that is looked at.

    bench/dirty.py [--quick] [--dir DIR] [--json FILE] [--only TEXT] BUILD

A prediction is good when it is right to a factor of three, and three of four are to
be good; of times too short for that to mean anything (less than a millisecond)
nothing is said.
"""

import argparse
import json
import os
import subprocess
import sys

import live
from goals import Verdict, at_least, at_most
from live import Victim

SMALL_NS = 1_000_000
FACTOR = 3
SHARE = 0.75


class Bench(live.Bench):
    def __init__(self, *where):
        super().__init__(*where)
        self.predictions = []

    def run(self, *words):
        done = subprocess.run([self.decant, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=self.dir)
        if done.returncode != 0:
            print(f"    decant {' '.join(words)}: {done.stderr.strip()}")
            return None
        return json.loads(done.stdout.splitlines()[-1])

    def capture(self, victim, strategy):
        core = os.path.join(self.dir, "core")
        os.sync()
        taken = self.run("core", str(victim.pid), "--json", "-f", "-o", core, "--strategy",
                         strategy)
        if os.path.exists(core):
            os.unlink(core)
        return taken

    def compare(self, name, what, predicted, seen):
        if max(predicted, seen) < SMALL_NS:
            print(f"    note   {name}: {what}: {predicted / 1e6:.2f} ms predicted, "
                  f"{seen / 1e6:.2f} seen")
            return
        off = max(predicted, seen) / max(1, min(predicted, seen))
        print("   ", at_most(f"{name}: {what}: {predicted / 1e6:.2f} ms predicted, "
                             f"{seen / 1e6:.2f} seen: off by a factor", off, FACTOR).as_note(),
              flush=True)
        self.predictions.append(off <= FACTOR)

    def case(self, name, options, seconds):
        print(name, flush=True)
        victim = Victim(self.program, *options)
        try:
            alone = victim.quiet_gap_ms()
            victim.reset()
            result = self.run("dirty", str(victim.pid), "--json", "--for", f"{seconds}s", "-i",
                              "200ms")
            gap = victim.gap_ms()
            taken = {s: self.capture(victim, s) for s in ("precopy", "fork", "stop")}
        finally:
            victim.end()
        if not result:
            self.judge(Verdict(False, f"{name}: cannot be looked at"))
            return
        plan = result["plan"]
        print(f"    note   {result['pages'] / (result['time_ns'] / 1e9):.0f} pages/s; the longest "
              f"gap that it saw while it was looked at {gap:.2f} ms, {alone:.2f} when left alone; "
              f"{plan['bandwidth_bytes_per_s'] / 1e6:.0f} MB/s ({plan['bandwidth_from']})")
        self.rows.append({"name": name, "dirty": result, "captures": taken})
        for forecast in plan["forecasts"]:
            real = taken[forecast["strategy"]]
            if not real or not forecast["possible"]:
                continue
            at = f"{name}, {forecast['strategy']}"
            self.compare(at, "pause", forecast["pause_ns"], real["pause_ns"])
            self.compare(at, "time", forecast["total_ns"], real["total_ns"])


CASES = [
    ("256 MiB, 10 writes/ms", ["--mib", "256", "--rate", "10"]),
    ("256 MiB, 1000 writes/ms", ["--mib", "256", "--rate", "1000"]),
    ("1 GiB, 100 writes/ms", ["--mib", "1024", "--rate", "100"]),
    ("1 GiB of huge pages, 10 writes/ms", ["--mib", "1024", "--thp", "--rate", "10"]),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="the first two cases, for 2 s each")
    parser.add_argument("--dir", default="/var/tmp", help="where the cores go")
    parser.add_argument("--json", help="write all numbers there")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("build", help="the build directory")
    args = parser.parse_args()
    b = Bench(os.path.abspath(args.build), args.dir, "dirty")
    for name, options in CASES[:2] if args.quick else CASES:
        if args.only in name:
            b.case(name, options, 2 if args.quick else 5)
    os.rmdir(b.dir)
    if b.predictions:
        b.judge(at_least(f"predictions right to a factor of {FACTOR}",
                         sum(b.predictions) / len(b.predictions), SHARE))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"cases": b.rows, "missed": [v.text for v in b.verdicts if not v.good]},
                      file, indent=1)
    return any(not v.good for v in b.verdicts)


if __name__ == "__main__":
    sys.exit(main())
