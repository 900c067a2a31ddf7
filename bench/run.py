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

    def once(self, what, size, *how):
        return float(self.run([self.calls, what, str(size)], *how))

    def together(self, cases, more=1):
        """Each case {what, bytes, how}: the best of some rounds that have all of them in
        turn, so that the machine's other work and its clock meet them alike."""
        best = {}
        for _ in range(self.rounds * more):
            for case in cases:
                best[case] = min(self.once(*case), best.get(case, float("inf")))
        for case, ns in best.items():
            self.rows.append({"what": case[0], "bytes": case[1], "how": case[2:], "ns": ns})
        return best


def calls(bench):
    how = [(policy, mechanism) for mechanism in MECHANISMS for policy in ("copy-v1", "copy-v2")]
    for size in SIZES:
        own = [(what, size) for what in ("vmsplice", "pwritev2", "copy")]
        best = bench.together(own + [("vmsplice", size, *each) for each in how])
        native, copy, second = (best[case] for case in own)
        print(f"vmsplice {size:>8} B: native {native:.0f} ns, pwritev2 {copy:.0f} ns, "
              f"process_vm_readv {second:.0f} ns")
        for policy, mechanism in how:
            took = best["vmsplice", size, policy, mechanism]
            # The supervisor of notify has the bytes in between.
            copies = copy + (second if mechanism == "notify" else 0)
            yield at_most(f"  {policy} by {mechanism}, {size} B, us on top of the "
                          f"{'two copies' if mechanism == 'notify' else 'copy'}",
                          (took - copies) / 1000, CALL_NS / 1000)
            if mechanism == "trace" and size == 1 << 20:
                yield at_most(f"  {policy} by {mechanism}, {size} B, against pwritev2",
                              took / copy, 1.2)
    stable = [("splice", 65536, "stable", mechanism) for mechanism in ("notify", "preload")]
    best = bench.together([("pwritev2", 65536), ("copy", 65536), *stable])
    for case in stable:
        yield at_most(f"splice 65536 B, stable by {case[3]}, us on top of the two copies",
                      (best[case] - best["pwritev2", 65536] - best["copy", 65536]) / 1000,
                      CALL_NS / 1000)


def others(bench):
    """A program that never makes these calls: the kernel keeps the filter's answer, but
    goes another way into each system call."""
    cases = [("getppid", 1, "copy-v2", mechanism) for mechanism in MECHANISMS]
    cases.append(("getppid", 1, "stable", "notify"))
    best = bench.together([("getppid", 1), *cases], more=4)
    for case in cases:
        yield at_most(f"a call that is not looked at, {case[2]} by {case[3]}, ns on top",
                      best[case] - best["getppid", 1],
                      OTHER_NS if case[3] != "preload" else 5)


def in_turn(rounds, variants, once):
    """{variant: seconds}, the best of rounds that have each of them in turn."""
    best = {}
    for _ in range(rounds):
        for variant in variants:
            best[variant] = min(once(*variant), best.get(variant, float("inf")))
    return best


def fio(bench, size):
    def once(*how):
        begun = time.monotonic()
        bench.run([*FIO, f"--size={size}"], *how)
        return time.monotonic() - begun

    variants = [(), ("copy-v2", "trace"), ("copy-v2", "notify"), ("stable", "notify")]
    best = in_turn(bench.rounds, variants, once)
    for how in variants[1:]:
        bench.rows.append({"what": "fio", "how": how, "seconds": best[how], "native": best[()]})
        yield at_most(f"fio's splice engine with verify, {how[0]} by {how[1]}, against native",
                      best[how] / best[()], 3)


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
    variants = [(), ("copy-v2", "trace"), ("copy-v2", "notify"), ("stable", "notify"),
                ("copy-v2", "preload"), ("stable", "preload")]
    best = in_turn(2, variants, all_of)
    for how in variants[1:]:
        bench.rows.append({"what": "ltp", "how": how, "seconds": best[how], "native": best[()]})
        yield at_most(f"LTP's {len(tests)} tests, {how[0]} by {how[1]}, against native",
                      best[how] / best[()], 3)


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
