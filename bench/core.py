#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant core against gcore (and criu >= 4, where there is one): the pause that
the captured program sees itself, total time, speed of the disk, CPU time.

    bench/core.py [--quick] [--dir DIR] [--json FILE] [--only TEXT] BUILD

The program writes random pages and keeps the longest gap between two of its own
iterations: that gap is the pause that counts.
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

import live
from goals import Verdict, at_least, at_most
from live import GIB, Victim, die_with_us, fio_write_speed, fork_ms, memcpy_seconds_per_gib


class Taken:
    """One core: what its victim saw, and what it took."""

    def __init__(self, seconds, victim):
        self.seconds, self.gap_ms = seconds, victim.gap_ms()
        self.churn_gap_ms, self.gaps = victim.churn_gap_ms(), victim.gaps()
        self.said = {}

    def around_stop_ms(self):
        """The gap into which the last stop fell, and what of it was waiting for a CPU."""
        begin = self.said.get("instant_ns", 0)
        end = begin + self.said.get("pause_ns", 0)
        found = [(length, waited) for at, length, waited in self.gaps
                 if at < end and at + length > begin]
        return tuple(ns / 1e6 for ns in max(found, default=(0, 0)))

    def elsewhere_ms(self):
        begin = self.said.get("instant_ns", 0)
        end = begin + self.said.get("pause_ns", 0)
        found = [(length, min(waited, length)) for at, length, waited in self.gaps
                 if at >= end or at + length <= begin]
        return tuple(ns / 1e6 for ns in max(found, default=(0, 0)))

    def row(self):
        return {"seconds": self.seconds, "gap_ms": self.gap_ms, "around_stop_ms":
                self.around_stop_ms(), "elsewhere_ms": self.elsewhere_ms(),
                "churn_gap_ms": self.churn_gap_ms, "decant": self.said}


class Bench(live.Bench):
    # ------------------------------------------------------------ the takers

    def take(self, victim, command, core):
        os.sync()
        victim.reset()
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        seconds = time.monotonic() - began
        # A last iteration, so that a gap that ends now is counted.
        time.sleep(0.02)
        taken = Taken(seconds, victim)
        for name in os.listdir(self.dir):
            if name.startswith(core):
                path = os.path.join(self.dir, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        if done.returncode != 0:
            print(f"    {' '.join(command)}: status {done.returncode}: {done.stdout[-500:]}")
            return None
        try:
            taken.said = json.loads(done.stdout[done.stdout.index("{"):])
        except ValueError:
            pass
        return taken

    def by_decant(self, victim, *words):
        return self.take(victim, [self.decant, "core", str(victim.pid), "--json", "-o",
                                  os.path.join(self.dir, "core"), *words], "core")

    def by_gcore(self, victim):
        return self.take(victim, ["gcore", "-o", os.path.join(self.dir, "gcore"),
                                  str(victim.pid)], "gcore")

    def by_criu(self, victim):
        images = os.path.join(self.dir, "criu")
        os.makedirs(images, exist_ok=True)
        return self.take(victim, ["criu", "dump", "-t", str(victim.pid), "-D", images,
                                  "--leave-running", "--shell-job"], "criu")

    # ------------------------------------------------------------- the cases

    def series(self, name, options, words, times, gcore=True):
        """Many cores of one victim: the median counts."""
        print(f"{name}  (decant core {' '.join(words)})", flush=True)
        victim = Victim(self.program, *options)
        try:
            quiet = victim.quiet_gap_ms()
            others = {"gcore": self.by_gcore(victim)} if gcore else {}
            if gcore and criu_is_new():
                others["criu"] = self.by_criu(victim)
            ours = [t for t in (self.by_decant(victim, *words) for _ in range(times)) if t]
        finally:
            victim.end()
        self.rows.append({"name": name, "options": options, "words": words, "quiet_gap_ms": quiet,
                          "decant": [t.row() for t in ours],
                          **{k: t.row() for k, t in others.items() if t}})
        if not ours:
            self.judge(Verdict(False, f"{name}: decant took no core"))
            return [], others
        gaps = sorted(t.gap_ms for t in ours)
        said = ours[len(ours) // 2].said
        if quiet > 1:
            print(f"    this machine is not quiet: the program sees gaps of {quiet:.1f} ms when "
                  "nobody takes anything")
        print(f"    the program saw {statistics.median(gaps):.2f} ms (best {gaps[0]:.2f}, worst "
              f"{gaps[-1]:.2f}; {quiet:.2f} when left alone), decant says "
              f"{said.get('pause_ns', 0) / 1e6:.2f} ms, {said.get('strategy', '?')}, "
              f"{said.get('rounds', 0)} rounds; {statistics.median(t.seconds for t in ours):.2f} s")
        for what, of in ("the stop fell into a gap of", Taken.around_stop_ms), (
                "the longest other one was", Taken.elsewhere_ms):
            seen = sorted(of(t) for t in ours)
            print(f"    {what} {seen[len(seen) // 2][0]:.2f} ms (best {seen[0][0]:.2f}, worst "
                  f"{seen[-1][0]:.2f}), {seen[len(seen) // 2][1]:.2f} of it waiting for a CPU")
        for other, taken in others.items():
            if taken:
                print(f"    {other}: {taken.gap_ms:.0f} ms, {taken.seconds:.2f} s")
        return ours, others


def median_gap(taken):
    return statistics.median(t.gap_ms for t in taken)


def criu_is_new():
    if not shutil.which("criu"):
        return False
    text = subprocess.run(["criu", "--version"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    found = re.search(r"Version: (\d+)", text)
    return bool(found) and int(found[1]) >= 4


# ------------------------------------------------------------------- promises


def small_ones(b, times):
    for name, options, words in [
        ("256 MiB, 10 writes/ms", ["--mib", "256", "--rate", "10"], []),
        ("256 MiB, 10 writes/ms, 4 threads", ["--mib", "256", "--rate", "10", "--threads", "4"],
         []),
        ("256 MiB, 10 writes/ms, 400 threads",
         ["--mib", "256", "--rate", "10", "--threads", "4", "--idle", "396"], []),
        ("1 GiB of huge pages, 10 writes/ms", ["--mib", "1024", "--thp", "--rate", "10"], []),
    ]:
        ours, _ = b.series(name, options, ["--strategy", "precopy", *words], times, gcore=False)
        if ours:
            b.judge(at_most(f"{name}: pause in ms", median_gap(ours), 2))


def one_gib(b, times):
    name = "1 GiB, 10 writes/ms"
    ours, others = b.series(name, ["--mib", "1024", "--rate", "10"], ["--strategy", "precopy"],
                            times)
    if not ours:
        return
    b.judge(at_most(f"{name}: pause in ms", median_gap(ours), 2))
    for other, taken in others.items():
        if taken:
            b.judge(at_least(f"{name}: times shorter than {other}'s pause",
                             taken.gap_ms / median_gap(ours), 300 if other == "gcore" else 1))
            b.judge(at_most(f"{name}: total time vs {other}'s",
                            statistics.median(t.seconds for t in ours) / taken.seconds, 1))
    cpu_per_gib(b, name, ours)


def cpu_per_gib(b, name, ours):
    memcpy = memcpy_seconds_per_gib()
    each = [t.said["cpu_ns"] / 1e9 / (t.said["copied_bytes"] / GIB) for t in ours
            if t.said.get("copied_bytes") and "cpu_ns" in t.said]
    if each:
        cpu = statistics.median(each)
        print(f"    note   {name}: {cpu:.3f} CPU seconds per GiB copied, memcpy {memcpy:.3f}: "
              f"{cpu / memcpy:.2f} copies' worth")


def four_gib(b, times):
    name = "4 GiB, 10 writes/ms"
    ours, others = b.series(name, ["--mib", "4096", "--rate", "10"], ["--strategy", "precopy"],
                            times)
    if not ours:
        return
    b.judge(at_most(f"{name}: pause in ms", median_gap(ours), 4))
    for other, taken in others.items():
        if taken:
            b.judge(at_most(f"{name}: total time vs {other}'s",
                            statistics.median(t.seconds for t in ours) / taken.seconds, 1))
    speeds = [s for s in (fio_write_speed(b.dir, "4G") for _ in range(2)) if s]
    if speeds:
        mine = max(4 * GIB / t.seconds for t in ours)
        b.judge(at_least(f"{name}: speed vs fio's O_DIRECT writes ({max(speeds) / 1e9:.2f} GB/s)",
                         mine / max(speeds), 0.8))


def many_writes(b, times):
    name = "1 GiB, 1000 writes/ms"
    ours, _ = b.series(name, ["--mib", "1024", "--rate", "1000"], ["--max-pause", "25ms"], times,
                       gcore=False)
    if ours:
        floor = fork_ms(GIB)
        b.judge(at_most(f"{name}: pause in ms", median_gap(ours), 25,
                        f"; fork(2) of as much memory: {floor:.1f} ms"))
        chosen = {t.said.get("strategy") for t in ours}
        b.judge(Verdict(chosen == {"fork"}, f"{name}: auto picks {', '.join(map(str, chosen))}"))


def stalls(b, times):
    name = "1 GiB, mapping and unmapping all the time"
    ours, _ = b.series(name, ["--mib", "1024", "--rate", "10", "--churn"],
                       ["--strategy", "precopy"], times, gcore=False)
    if not ours:
        return
    worst = statistics.median(t.churn_gap_ms for t in ours)
    pause = statistics.median(t.said.get("pause_ns", 0) / 1e6 for t in ours)
    b.judge(at_most(f"{name}: longest mmap and munmap in ms", worst, 2,
                    f"; the pause itself, {pause:.2f}, is in it"))


class Redis:
    def __init__(self, directory):
        self.at = os.path.join(directory, "redis.sock")
        self.server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.at, "--save", "", "--appendonly",
             "no", "--dir", directory], stdout=subprocess.DEVNULL, preexec_fn=die_with_us)
        for _ in range(200):
            if os.path.exists(self.at):
                break
            time.sleep(0.05)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.at)
        subprocess.run(["redis-benchmark", "-s", self.at, "-q", "-n", "400000", "-r", "300000",
                        "-d", "1000", "-P", "16", "-t", "set"], stdout=subprocess.DEVNULL,
                       check=True)
        self.client = subprocess.Popen(
            ["redis-benchmark", "-s", self.at, "-q", "-l", "-n", "1000000", "-r", "300000", "-d",
             "1000", "-c", "20", "-t", "set,get"], stdout=subprocess.DEVNULL,
            preexec_fn=die_with_us)
        time.sleep(1)

    def commands(self):
        self.socket.sendall(b"INFO stats\r\n")
        text = b""
        while b"total_commands_processed:" not in text or not text.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(65536)
            text += piece
            if len(piece) < 65536 and b"total_commands_processed:" in text:
                break
        return int(re.search(rb"total_commands_processed:(\d+)", text)[1])

    def end(self):
        for process in (self.client, self.server):
            process.kill()
            process.wait()


def throughput(b, times):
    name = "redis-server under redis-benchmark"
    if not shutil.which("redis-benchmark"):
        print(f"{name}: no redis-benchmark here")
        return
    print(name, flush=True)
    redis = Redis(b.dir)
    losses = []
    try:
        for _ in range(times + 2):
            began, before = time.monotonic(), redis.commands()
            time.sleep(1)
            usual = (redis.commands() - before) / (time.monotonic() - began)
            core = os.path.join(b.dir, "core")
            began, before = time.monotonic(), redis.commands()
            done = subprocess.run([b.decant, "core", str(redis.server.pid), "-o", core, "-q",
                                   "--max-pause", "25ms"], check=False)
            during = (redis.commands() - before) / (time.monotonic() - began)
            if done.returncode == 0:
                os.unlink(core)
                losses.append(100 * (1 - during / usual))
    finally:
        redis.end()
    b.rows.append({"name": name, "losses_percent": losses})
    if losses:
        b.judge(at_most(f"{name}: percent of its throughput lost during a capture",
                        statistics.median(losses), 15))


def main():
    live.main(Bench, "core", [small_ones, one_gib, many_writes, stalls, throughput, four_gib],
              [one_gib, many_writes], lambda case: 3 if case is four_gib else 7)


if __name__ == "__main__":
    main()
