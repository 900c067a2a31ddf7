#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant predump against criu pre-dump, in both of its modes: how long the program
stands still, total time, and the most descriptors that the tool has open.

    bench/criu.py [--mib N] [--times N] [--json FILE] BUILD

Every criu of another version on the PATH is compared.  Needs a kernel with
soft-dirty bits: tools/check-vm.sh --bench.  On an emulated machine only the
ratios mean something.
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

from goals import Verdict, at_most

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
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}: {text[-1000:]}")
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


def programs():
    """{version: path}"""
    found = {}
    for where in os.environ["PATH"].split(":") + ["/usr/sbin"]:
        program = os.path.join(where, "criu")
        if os.access(program, os.X_OK):
            said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=False,
                                  stdin=subprocess.DEVNULL, text=True).stdout
            version = re.search(r"Version: (\S+)", said)
            found.setdefault(version[1] if version else "?", program)
    return found


def by_criu(victim, where, program, mode):
    row, _ = take(victim, [program, "pre-dump", "-t", str(victim.pid), "-D", where, "-o", "log",
                           "--pre-dump-mode", mode, "--manage-cgroups=ignore"])
    row["frozen_ms"] = frozen_by_criu(where)
    return row


def by_decant(victim, where, decant):
    row, text = take(victim, [decant, "predump", str(victim.pid), "-D", where, "--json",
                              "--track", "soft-dirty"])
    row["frozen_ms"] = json.loads(text)["pauses_ns"] / 1e6
    return row


def criu_takers(found):
    """Both modes of each."""
    return {f"criu {version} {mode}":
            (lambda victim, where, p=program, m=mode: by_criu(victim, where, p, m))
            for version, program in sorted(found.items()) for mode in ("splice", "read")}


def measure(args, victim, directory, criu):
    """{name: row}, and {name: why it could not be measured}."""
    decant = os.path.join(args.build, "decant")
    takers = dict(criu, decant=lambda victim, where: by_decant(victim, where, decant),
                  nothing=lambda victim, where: take(victim, ["sleep", "1"])[0])
    rows, failed = {name: [] for name in takers}, {}
    for _ in range(args.times):
        for name, taker in takers.items():
            if name in failed:
                continue
            where = os.path.join(directory, "images")
            os.mkdir(where)
            try:
                rows[name].append(taker(victim, where))
            except (RuntimeError, OSError, ValueError) as error:
                failed[name] = str(error)
            shutil.rmtree(where)
    return {name: {key: statistics.median(row.get(key, 0) for row in taken)
                   for key in ("frozen_ms", "gap_ms", "seconds", "descriptors")}
            for name, taken in rows.items() if name not in failed}, failed


def show(found, failed, mib, times):
    print(f"pre-dump of {mib} MiB, one page written each ms; medians of {times}")
    print(f"{'':18} {'frozen ms':>10} {'gap ms':>8} {'total s':>8} {'descriptors':>12}")
    for name, row in found.items():
        print(f"{name:18} {row['frozen_ms']:10.2f} {row['gap_ms']:8.1f} {row['seconds']:8.2f} "
              f"{row['descriptors']:12.0f}")
    for name, why in failed.items():
        print(f"{name:18} failed: {why}")
    print("gap: the longest time between two of the program's own iterations\n")


def verdicts(found, failed, names):
    """No figure of ours is worse than any of theirs."""
    if "decant" in failed:
        return [Verdict(False, "decant made no image")]
    out = [Verdict(False, f"{name}: could not be measured") for name in names if name in failed]
    for name in names:
        for key, what in (("frozen_ms", "frozen time"), ("gap_ms", "the program's longest gap"),
                          ("seconds", "total time"), ("descriptors", "descriptors")):
            if name in found and found[name][key]:
                out.append(at_most(f"decant vs {name}: {what}",
                                   found["decant"][key] / found[name][key], 1))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("build")
    args = parser.parse_args()
    criu = criu_takers(programs())
    if not criu:
        sys.exit("bench: needs criu")
    victim = Victim(os.path.join(args.build, "tests", "victims", "victim-counter"),
                    "--mib", str(args.mib), "--rate", "1")
    directory = tempfile.mkdtemp(prefix="decant-bench-criu-")
    try:
        found, failed = measure(args, victim, directory, criu)
    finally:
        victim.end()
        shutil.rmtree(directory)
    show(found, failed, args.mib, args.times)
    print("".join(f"{v}\n" for v in verdicts(found, failed, criu)), end="")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
