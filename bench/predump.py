#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant predump: what a round costs, and the program that is copied; memory and
descriptors.  Against criu pre-dump: bench/criu.py, in a machine that can run it.

    bench/predump.py [--quick] [--dir DIR] [--json FILE] [--only TEXT] BUILD
"""

import json
import os
import shutil
import statistics
import subprocess
import threading
import time

import live
from goals import Verdict, at_least, at_most
from live import GIB, Victim, fio_write_speed, fork_ms

PAGE = 4096
PEAK_MIB = 64


class Taken:
    """One run, and what its victim saw of it."""

    def __init__(self, said, usage, descriptors, victim):
        self.said = said
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_mib = usage.ru_maxrss / 1024
        self.descriptors = descriptors
        self.gap_ms = victim.gap_ms()

    def rounds(self):
        return self.said["chain"]

    def row(self):
        return {"gap_ms": self.gap_ms, "cpu_s": self.cpu_s, "peak_mib": self.peak_mib,
                "descriptors": self.descriptors, "decant": self.said}


def count_descriptors(pid, most, over):
    while not over.wait(0.002):
        try:
            most[0] = max(most[0], len(os.listdir(f"/proc/{pid}/fd")))
        except OSError:
            pass


class Bench(live.Bench):
    def take(self, victim, *words):
        images = os.path.join(self.dir, "images")
        os.sync()
        victim.reset()
        process = subprocess.Popen(
            [self.decant, "predump", str(victim.pid), "-D", images, "--json", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        most, over = [0], threading.Event()
        watcher = threading.Thread(target=count_descriptors, args=(process.pid, most, over))
        watcher.start()
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        over.set()
        watcher.join()
        # A last iteration, so that a gap that ends now is counted.
        time.sleep(0.02)
        shutil.rmtree(images, ignore_errors=True)
        if status != 0:
            print(f"    predump {' '.join(words)}: status {status}: {text[-500:]}")
            return None
        return Taken(json.loads(text[text.index("{"):]), usage, most[0], victim)

    def series(self, name, options, words, times):
        print(f"{name}  (decant predump {' '.join(words)})", flush=True)
        victim = Victim(self.program, *options)
        try:
            quiet = victim.quiet_gap_ms()
            took = [t for t in (self.take(victim, *words) for _ in range(times)) if t]
        finally:
            victim.end()
        self.rows.append({"name": name, "options": options, "words": words,
                          "quiet_gap_ms": quiet, "decant": [t.row() for t in took]})
        if not took:
            self.judge(Verdict(False, f"{name}: decant made no image"))
            return []
        print(f"    {middle(t.said['total_ns'] for t in took) / 1e9:.2f} s; it says that the "
              f"program stood still for "
              f"{middle(t.said['pause_ns'] for t in took) / 1e6:.2f} ms at most, "
              f"the program saw {middle(t.gap_ms for t in took):.2f} ms ({quiet:.2f} when left "
              f"alone); {middle(t.peak_mib for t in took):.0f} MiB, "
              f"{max(t.descriptors for t in took)} descriptors")
        return took


def middle(values):
    return statistics.median(values)


def later(took):
    return [r for t in took for r in t.rounds()[1:]]


def copy_speed(took):
    """Bytes a second of the first rounds, which copy all: reading and the disk."""
    first = [t.rounds()[0] for t in took]
    return middle(r["present_pages"] * PAGE / (r["time_ns"] / 1e9) for r in first)


def memory(b, name, took):
    b.judge(at_most(f"{name}: MiB of memory that decant needs", max(t.peak_mib for t in took),
                    PEAK_MIB))


# ------------------------------------------------------------------- promises


def rounds(b, times):
    """Looking costs 1 ms/GiB; and no stop but the first."""
    name = "1 GiB, 10 writes/ms, 6 rounds"
    took = b.series(name, ["--mib", "1024", "--rate", "10"], ["--rounds", "6"], times)
    if not took:
        return
    b.judge(at_most(f"{name}: ms of looking in a later round",
                    middle(r["scan_ns"] for r in later(took)) / 1e6, 1))
    b.judge(at_most(f"{name}: stop in ms", middle(t.said["pause_ns"] for t in took) / 1e6, 1))
    b.judge(at_most(f"{name}: stops", max(t.said["stops"] for t in took), 1))
    cost = middle(r["time_ns"] - r["present_pages"] * PAGE / copy_speed(took) * 1e9
                  for r in later(took)) / 1e6
    print(f"    note   {name}: a later round takes {cost:.2f} ms longer than copying its pages")
    memory(b, name, took)


def busy(b, times):
    """A round costs no more than looking and copying."""
    name = "1 GiB, 100 writes/ms, 3 rounds"
    took = b.series(name, ["--mib", "1024", "--rate", "100"], ["--rounds", "3"], times)
    if not took:
        return
    speed = copy_speed(took)
    b.judge(at_most(f"{name}: a later round's time vs 1 ms and copying its pages one by one",
                    middle(r["time_ns"] / (1e6 + r["present_pages"] * PAGE / speed * 1e9)
                           for r in later(took)), 1,
                    f"; copying goes at {speed / 1e9:.2f} GB/s"))
    memory(b, name, took)


def whole(b, times):
    """The first round, at the disk's speed."""
    name = "1 GiB, one image"
    took = b.series(name, ["--mib", "1024", "--rate", "10"], ["--mode", "read"], times)
    pipes = b.series(name + " by a shadow", ["--mib", "1024", "--rate", "10"],
                     ["--mode", "vmsplice"], times)
    speeds = [s for s in (fio_write_speed(b.dir, "1G") for _ in range(2)) if s]
    for what, those in (("read", took), ("vmsplice", pipes)):
        if those and speeds:
            b.judge(at_least(f"{name}, {what}: speed vs fio's O_DIRECT writes "
                             f"({max(speeds) / 1e9:.2f} GB/s)",
                             max(GIB / (t.said["total_ns"] / 1e9) for t in those) / max(speeds),
                             0.8))
    if took and pipes:
        b.judge(at_most(f"{name}: CPU time by a shadow's pipes vs by copies",
                        middle(t.cpu_s for t in pipes) / middle(t.cpu_s for t in took), 1,
                        f"; {middle(t.cpu_s for t in pipes):.2f} s"))
        floor = fork_ms(GIB)
        b.judge(at_most(f"{name}: a shadow's stop vs fork(2) of as much ({floor:.1f} ms)",
                        middle(t.said["pause_ns"] for t in pipes) / 1e6 / floor, 1.5))
        b.judge(at_most(f"{name}: descriptors", max(t.descriptors for t in took + pipes), 48))
        memory(b, name, took + pipes)


def final(b, times):
    name = "1 GiB, 10 writes/ms, final"
    took = b.series(name, ["--mib", "1024", "--rate", "10"], ["--final"], times)
    if took:
        b.judge(at_most(f"{name}: stop in ms", middle(t.said["pause_ns"] for t in took) / 1e6, 2))
        memory(b, name, took)
    name = "1 GiB, 1000 writes/ms, final"
    took = b.series(name, ["--mib", "1024", "--rate", "1000"], ["--final", "--rounds", "2"], times)
    if took:
        floor = fork_ms(GIB)
        print(f"    note   by {', '.join({t.said['mode'] for t in took})}: "
              f"{took[0].said['mode_why']}; fork(2) of as much memory: {floor:.1f} ms")
        b.judge(at_most(f"{name}: stop vs that fork", middle(t.said["pause_ns"] for t in took) /
                        1e6 / floor, 1.5))
        memory(b, name, took)


def large(b, times):
    name = "4 GiB, 10 writes/ms, 3 rounds"
    took = b.series(name, ["--mib", "4096", "--rate", "10"], ["--rounds", "3"], times)
    if not took:
        return
    b.judge(at_most(f"{name}: ms of looking in a later round",
                    middle(r["scan_ns"] for r in later(took)) / 1e6, 4))
    b.judge(at_most(f"{name}: stop in ms", middle(t.said["pause_ns"] for t in took) / 1e6, 1))
    memory(b, name, took)


def main():
    live.main(Bench, "predump", [rounds, busy, whole, final, large], [rounds, whole],
              lambda case: 3 if case is large else 5)


if __name__ == "__main__":
    main()
