#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What `decant run` costs: per call that is made otherwise, and per call that is not;
and fio's splice engine with verification, and LTP's tests where they are at hand
($LTPROOT, /opt/ltp), against their native time.

    bench/run.py [--quick] [--dir DIR] [--json FILE] BUILD
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

from goals import at_most

CALL_NS = 25000
OTHER_NS = 60
SIZES = [4096, 65536, 1 << 20]
MECHANISMS = ["trace", "notify", "preload"]
FIO = ["fio", "--name=j", "--ioengine=splice", "--rw=randrw", "--verify=crc32c", "--output=fio.out"]


class Bench:
    def __init__(self, build, rounds):
        self.decant = os.path.join(build, "decant")
        self.calls = os.path.join(build, "bench", "decant-bench-calls")
        self.rounds = rounds
        self.rows = []

    def run(self, command, policy=None, mechanism=None):
        if policy:
            command = [self.decant, "run", f"--policy={policy}", f"--mechanism={mechanism}", "--",
                       *command]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=True).stdout

    def ns(self, what, size, *how):
        """Best of some runs: what is left out is the machine's other work."""
        best = min(float(self.run([self.calls, what, str(size)], *how))
                   for _ in range(self.rounds))
        self.rows.append({"what": what, "bytes": size, "how": how, "ns": best})
        return best


def calls(bench):
    for size in SIZES:
        native, copy = bench.ns("vmsplice", size), bench.ns("pwritev2", size)
        second = bench.ns("copy", size)
        print(f"vmsplice {size:>8} B: native {native:.0f} ns, pwritev2 {copy:.0f} ns, "
              f"process_vm_readv {second:.0f} ns")
        for mechanism in MECHANISMS:
            for policy in ("copy-v1", "copy-v2"):
                took = bench.ns("vmsplice", size, policy, mechanism)
                # The supervisor of notify has the bytes in between.
                copies = copy + (second if mechanism == "notify" else 0)
                yield at_most(f"  {policy} by {mechanism}, {size} B, us on top of the "
                              f"{'two copies' if mechanism == 'notify' else 'copy'}",
                              (took - copies) / 1000, CALL_NS / 1000)
                if mechanism == "trace" and size == 1 << 20:
                    yield at_most(f"  {policy} by {mechanism}, {size} B, against pwritev2",
                                  took / copy, 1.2)
    native = bench.ns("splice", 65536)
    for mechanism in ("notify", "preload"):
        took = bench.ns("splice", 65536, "stable", mechanism)
        yield at_most(f"splice 65536 B, stable by {mechanism}, us on top", (took - native) / 1000,
                      CALL_NS / 1000, "; with both copies")


def others(bench):
    native = bench.ns("getppid", 1)
    for mechanism in MECHANISMS:
        took = bench.ns("getppid", 1, "copy-v2", mechanism)
        yield at_most(f"a call that is not looked at, {mechanism}, ns on top", took - native,
                      OTHER_NS if mechanism != "preload" else 5)


def fio(bench, size):
    def once(*how):
        begun = time.monotonic()
        bench.run([*FIO, f"--size={size}"], *how)
        return time.monotonic() - begun

    native = min(once() for _ in range(bench.rounds))
    for policy, mechanism in (("copy-v2", "trace"), ("copy-v2", "notify"), ("stable", "notify")):
        took = min(once(policy, mechanism) for _ in range(bench.rounds))
        bench.rows.append({"what": "fio", "how": [policy, mechanism], "seconds": took,
                           "native": native})
        yield at_most(f"fio's splice engine with verify, {policy} by {mechanism}, against native",
                      took / native, 3)


def ltp_tests(quick):
    for root in (os.environ.get("LTPROOT"), "/opt/ltp"):
        if root and os.path.exists(os.path.join(root, "testcases/bin/vmsplice01")):
            words = ["vmsplice0", "splice0", "tee0", "sendfile0"]
            words += [] if quick else ["copy_file_range0"]
            return sorted(path for word in words for path in
                          glob.glob(os.path.join(root, "testcases/bin", word + "*")))
    return []


def ltp(bench, tests):
    def all_of(*how):
        begun = time.monotonic()
        for test in tests:
            bench.run([test], *how)
        return time.monotonic() - begun

    if not tests:
        print("LTP is not at hand")
        return
    native = min(all_of(), all_of())
    for policy, mechanism in (("copy-v2", "trace"), ("copy-v2", "notify"), ("stable", "notify"),
                              ("copy-v2", "preload"), ("stable", "preload")):
        took = all_of(policy, mechanism)
        bench.rows.append({"what": "ltp", "how": [policy, mechanism], "seconds": took,
                           "native": native})
        yield at_most(f"LTP's {len(tests)} tests, {policy} by {mechanism}, against native",
                      took / native, 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--json")
    parser.add_argument("build")
    args = parser.parse_args()
    bench = Bench(os.path.abspath(args.build), 2 if args.quick else 5)
    out = args.json and os.path.abspath(args.json)
    missed = 0
    with tempfile.TemporaryDirectory(dir=args.dir) as directory:
        os.chdir(directory)
        for verdicts in (calls(bench), others(bench), fio(bench, "4M" if args.quick else "32M"),
                         ltp(bench, ltp_tests(args.quick))):
            for verdict in verdicts:
                print(verdict, flush=True)
                missed += not verdict.good
        os.chdir("/")
    if out:
        with open(out, "w", encoding="utf-8") as file:
            json.dump(bench.rows, file, indent=1)
    print(f"run: {missed} goals missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
