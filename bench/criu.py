#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant predump against criu pre-dump, in both of its modes: how long the program
stands still, total time, and the most descriptors that the tool has open.

    bench/criu.py [--mib N] [--times N] [--json FILE] BUILD

Needs criu and a kernel with soft-dirty bits: tools/check-vm.sh --bench.  On an
emulated machine only the ratios mean something.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

# Of struct report in tests/victims/report.h.
REPORT = 0x200000000000
ROUNDS, GAP, RESET = 16, 56, 72


class Victim:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        self.pid = self.process.pid
        until = time.monotonic() + 300
        while not self.read(ROUNDS):
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit("bench: the victim does not run")
            time.sleep(0.05)

    def read(self, at):
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(REPORT + at)
                return struct.unpack("<Q", memory.read(8))[0]
        except OSError:
            return 0

    def reset(self):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(REPORT + RESET)
            memory.write(struct.pack("<Q", 1))
        while self.read(RESET):
            time.sleep(0.002)

    def end(self):
        self.process.kill()
        self.process.wait()


def descriptors(process, most):
    """The most that it and its children have had open; a look every 2 ms."""
    while process.poll() is None:
        try:
            most[0] = max(most[0], len(os.listdir(f"/proc/{process.pid}/fd")))
        except OSError:
            pass
        time.sleep(0.002)


def take(victim, command):
    victim.reset()
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    most = [0]
    watcher = threading.Thread(target=descriptors, args=(process, most))
    watcher.start()
    text = process.communicate()[0]
    seconds = time.monotonic() - began
    watcher.join()
    time.sleep(0.05)
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(command)}: status {process.returncode}: {text[-2000:]}")
    return {"seconds": seconds, "gap_ms": victim.read(GAP) / 1e6, "descriptors": most[0]}, text


def varints(body):
    """{field: number} of a message that has nothing else in it."""
    out, at = {}, 0
    while at < len(body):
        pair = []
        for _ in range(2):
            value = shift = 0
            while True:
                byte = body[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            pair.append(value)
        out[pair[0] >> 3] = pair[1]
    return out


def frozen_by_criu(where):
    """Freezing and frozen, in ms, as its statistics say."""
    with open(os.path.join(where, "stats-dump"), "rb") as file:
        data = file.read()
    head = re.match(rb"\x0a([\x80-\xff]*[\x00-\x7f])", data[12:])
    numbers = varints(data[12 + head.end():])
    return (numbers.get(1, 0) + numbers.get(2, 0)) / 1000


def by_criu(victim, where, mode):
    row, _ = take(victim, ["criu", "pre-dump", "-t", str(victim.pid), "-D", where, "-o", "log",
                           "--pre-dump-mode", mode, "--manage-cgroups=ignore"])
    row["frozen_ms"] = frozen_by_criu(where)
    return row


def by_decant(victim, where, decant):
    row, text = take(victim, [decant, "predump", str(victim.pid), "-D", where, "--json",
                              "--track", "soft-dirty"])
    row["frozen_ms"] = json.loads(text)["pauses_ns"] / 1e6
    return row


def measure(args, victim, directory):
    decant = os.path.join(args.build, "decant")
    takers = {"criu splice": lambda where: by_criu(victim, where, "splice"),
              "criu read": lambda where: by_criu(victim, where, "read"),
              "decant": lambda where: by_decant(victim, where, decant),
              "nothing": lambda where: take(victim, ["sleep", "1"])[0]}
    rows = {name: [] for name in takers}
    for _ in range(args.times):
        for name, taker in takers.items():
            where = os.path.join(directory, "images")
            os.mkdir(where)
            rows[name].append(taker(where))
            shutil.rmtree(where)
    return {name: {key: statistics.median(row.get(key, 0) for row in taken)
                   for key in ("frozen_ms", "gap_ms", "seconds", "descriptors")}
            for name, taken in rows.items()}


def show(found, mib, times):
    print(f"pre-dump of {mib} MiB, one page written each ms; medians of {times}")
    print(f"{'':12} {'frozen ms':>10} {'gap ms':>8} {'total s':>8} {'descriptors':>12}")
    for name, row in found.items():
        print(f"{name:12} {row['frozen_ms']:10.2f} {row['gap_ms']:8.1f} {row['seconds']:8.2f} "
              f"{row['descriptors']:12.0f}")
    print("gap: the longest time between two of the program's own iterations")
    for other in ("criu splice", "criu read"):
        ratios = ", ".join(f"{key.split('_')[0]} {found['decant'][key] / found[other][key]:.2f}"
                           for key in ("frozen_ms", "gap_ms", "seconds", "descriptors")
                           if found[other][key])
        print(f"decant / {other}: {ratios}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("build")
    args = parser.parse_args()
    if not shutil.which("criu"):
        sys.exit("bench: needs criu")
    victim = Victim(os.path.join(args.build, "tests", "victims", "victim-counter"),
                    "--mib", str(args.mib), "--rate", "1")
    directory = tempfile.mkdtemp(prefix="decant-bench-criu-")
    try:
        found = measure(args, victim, directory)
    finally:
        victim.end()
        shutil.rmtree(directory)
    show(found, args.mib, args.times)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
