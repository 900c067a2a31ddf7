#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant core against gcore (and criu >= 4, where there is one): the pause that
the captured program sees itself, total time, speed of the disk, CPU time.

    bench/core.py [--quick] [--dir DIR] [--json FILE] [--only TEXT] BUILD

The program writes random pages and keeps the longest gap between two of its own
iterations: that gap is the pause that counts.
"""

import argparse
import ctypes
import json
import mmap
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from goals import Verdict, at_least, at_most

MIB = 1 << 20
GIB = 1 << 30
# Of struct report in tests/victims/report.h.
READY, GAP, CHURN_GAP, RESET, GAPS_N, GAPS = 12, 56, 64, 72, 264, 272
GAP_SIZE, GAPS_MAX = 24, 120


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Victim:
    def __init__(self, program, *options):
        fd = os.memfd_create("report")
        os.ftruncate(fd, 4096)
        self.report = mmap.mmap(fd, 4096)
        self.process = subprocess.Popen(
            [program, *options, "--report-fd", str(fd)], pass_fds=[fd], preexec_fn=die_with_us)
        os.close(fd)
        self.pid = self.process.pid
        self.wait_word(READY, "<I", lambda value: value == 1)
        time.sleep(0.3)

    def wait_word(self, at, how, want):
        until = time.monotonic() + 120
        while not want(struct.unpack_from(how, self.report, at)[0]):
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit("bench: the victim does not run")
            time.sleep(0.002)

    def reset(self):
        struct.pack_into("<Q", self.report, RESET, 1)
        self.wait_word(RESET, "<Q", lambda value: value == 0)

    def gap_ms(self):
        return struct.unpack_from("<Q", self.report, GAP)[0] / 1e6

    def churn_gap_ms(self):
        return struct.unpack_from("<Q", self.report, CHURN_GAP)[0] / 1e6

    def gaps(self):
        """(begin, length, of it waiting for a CPU) of those above 0.3 ms, in ns."""
        listed = min(struct.unpack_from("<Q", self.report, GAPS_N)[0], GAPS_MAX)
        return [struct.unpack_from("<QQQ", self.report, GAPS + i * GAP_SIZE)
                for i in range(listed)]

    def end(self):
        self.process.kill()
        self.process.wait()


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


class Bench:
    def __init__(self, args):
        self.args = args
        self.decant = os.path.join(args.build, "decant")
        self.program = os.path.join(args.build, "bench", "decant-bench-victim")
        self.dir = tempfile.mkdtemp(prefix="decant-bench-core-", dir=args.dir)
        self.verdicts, self.rows = [], []

    def judge(self, verdict):
        self.verdicts.append(verdict)
        print("   ", verdict, flush=True)

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

    def quiet(self, victim, seconds=1.0):
        """The longest gap when nobody takes anything: what the machine itself does."""
        victim.reset()
        time.sleep(seconds)
        return victim.gap_ms()

    def series(self, name, options, words, times, gcore=True):
        """Many cores of one victim: the median counts."""
        print(f"{name}  (decant core {' '.join(words)})", flush=True)
        victim = Victim(self.program, *options)
        try:
            quiet = self.quiet(victim)
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


def fio_write_speed(directory, size):
    """Bytes a second of sequential O_DIRECT writes, many at a time."""
    path = os.path.join(directory, "fio")
    done = subprocess.run(
        ["fio", "--name=write", f"--filename={path}", "--rw=write", "--bs=1M", "--direct=1",
         "--ioengine=io_uring", "--iodepth=16", f"--size={size}",
         "--output-format=json"], stdout=subprocess.PIPE, text=True, check=False)
    if os.path.exists(path):
        os.unlink(path)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)["jobs"][0]["write"]["bw_bytes"]


def memcpy_seconds_per_gib():
    """CPU time of copying memory that is no more in the caches."""
    size = 256 * MIB
    source, sink = mmap.mmap(-1, size), mmap.mmap(-1, size)
    a = ctypes.addressof(ctypes.c_char.from_buffer(source))
    b = ctypes.addressof(ctypes.c_char.from_buffer(sink))
    ctypes.memset(a, 1, size)
    ctypes.memset(b, 2, size)
    took = []
    for _ in range(4):
        began = time.thread_time()
        ctypes.memmove(b, a, size)
        took.append(time.thread_time() - began)
    return min(took) * GIB / size


def fork_ms(size):
    """What fork(2) of so much memory takes here and now: no shadow is made faster."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.memset(address, 1, size)
    took = []
    for _ in range(3):
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        took.append((time.monotonic() - began) * 1e3)
        os.waitpid(pid, 0)
    return min(took)


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", default="")
    parser.add_argument("build")
    args = parser.parse_args()
    b = Bench(args)
    cases = [one_gib, many_writes] if args.quick else [
        small_ones, one_gib, many_writes, stalls, throughput, four_gib]
    try:
        for case in cases:
            if args.only in case.__name__:
                case(b, 3 if args.quick else 7 if case is not four_gib else 3)
    finally:
        shutil.rmtree(b.dir, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(b.rows, file, indent=1)
    print("\ncores")
    print("".join(f"{v}\n" for v in b.verdicts), end="")


if __name__ == "__main__":
    main()
