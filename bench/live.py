# SPDX-License-Identifier: MIT
"""What the benchmarks of programs that go on running share: the program, which tells
of its own gaps, what this machine can do, and a benchmark's frame.  Not what is
promised: that is theirs."""

import argparse
import ctypes
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

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

    def quiet_gap_ms(self, seconds=1.0):
        """The longest gap when nobody takes anything: what the machine itself does."""
        self.reset()
        time.sleep(seconds)
        return self.gap_ms()

    def end(self):
        self.process.kill()
        self.process.wait()


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


class Bench:
    """A directory for what is taken, and what was seen."""

    def __init__(self, build, directory, name):
        self.decant = os.path.join(build, "decant")
        self.program = os.path.join(build, "bench", "decant-bench-victim")
        self.dir = tempfile.mkdtemp(prefix=f"decant-bench-{name}-", dir=directory)
        self.verdicts, self.rows = [], []

    def judge(self, verdict):
        self.verdicts.append(verdict)
        print("   ", verdict, flush=True)


def main(make, name, cases, quick, times):
    """make: a Bench; cases, and those of --quick: functions of it and how many times."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", default="")
    parser.add_argument("build")
    args = parser.parse_args()
    b = make(args.build, args.dir, name)
    try:
        for case in quick if args.quick else cases:
            if args.only in case.__name__:
                case(b, 3 if args.quick else times(case))
    finally:
        shutil.rmtree(b.dir, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(b.rows, file, indent=1)
    print(f"\n{name}s")
    print("".join(f"{v}\n" for v in b.verdicts), end="")
