#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant predump --to decant page-server over loopback: to the disk against fio on
the same disk, to nowhere against iperf3 on the same loopback; memory of both sides.

    bench/wire.py [--quick] [--dir DIR] [--json FILE] BUILD

What counts is the time from the connection's beginning to its end, as the server
tells it: looking at the process beforehand is no part of the way there.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from goals import at_least, at_most

MIB = 1 << 20
VICTIM = """
import ctypes, mmap, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
n = int(sys.argv[1])
m = mmap.mmap(-1, n, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
block = os.urandom(16 << 20)
for at in range(0, n, len(block)):
    m[at:at + len(block)] = block[:n - at]
print("ready", flush=True)
signal.pause()
"""


class Server:
    """A decant page-server for one image."""

    def __init__(self, decant, *options):
        self.p = subprocess.Popen([decant, "page-server", "--json", *options],
                                  stdout=subprocess.PIPE)
        self.to = "tcp:" + json.loads(self.p.stdout.readline())["listening"]

    def end(self):
        """What it told of the connection, and its peak memory in MiB."""
        told = json.loads(self.p.stdout.readline())
        with open(f"/proc/{self.p.pid}/status", encoding="ascii") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) / 1024
        self.p.send_signal(signal.SIGTERM)
        self.p.communicate()
        return told, peak


class Bench:
    def __init__(self, args):
        self.decant = os.path.join(args.build, "decant")
        self.dir = tempfile.mkdtemp(prefix="decant-wire-", dir=args.dir)
        self.bytes = (256 if args.quick else 1024) * MIB
        self.times = 3 if args.quick else 5
        self.rows, self.verdicts = [], []
        self.victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(self.bytes)],
                                       stdout=subprocess.PIPE)
        self.victim.stdout.readline()

    def end(self):
        self.victim.kill()
        self.victim.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def row(self, name, rates, **more):
        """The median: of other programs and of ours alike."""
        rate = statistics.median(rates)
        self.rows.append({"name": name, "bytes_per_s": rate, "all": rates, **more})
        extra = "".join(f"  {k} {v:.0f} MiB" for k, v in more.items())
        print(f"  {name:<44} {rate / MIB:8.0f} MiB/s  {min(rates) / MIB:6.0f} ..."
              f"{max(rates) / MIB:6.0f}{extra}", flush=True)
        return rate

    def predump(self, name, server_options, mode):
        rates, server_peak, client_peak = [], 0, 0
        for _ in range(self.times):
            images, here = os.path.join(self.dir, "srv"), os.path.join(self.dir, "here")
            for path in (images, here):
                shutil.rmtree(path, ignore_errors=True)
            server = Server(self.decant, *(["-D", images] if not server_options else
                                           server_options))
            client = subprocess.Popen([self.decant, "predump", str(self.victim.pid), "-D", here,
                                       "--to", server.to, "--mode", mode, "-q"])
            _, status, used = os.wait4(client.pid, 0)
            client.returncode = status
            if status:
                server.end()
                sys.exit(f"bench: predump --mode {mode} failed")
            told, peak = server.end()
            rates.append(told["present_pages"] * 4096 / (told["time_ns"] / 1e9))
            server_peak = max(server_peak, peak)
            client_peak = max(client_peak, used.ru_maxrss / 1024)
        return self.row(name, rates, server=server_peak, client=client_peak), \
            server_peak, client_peak

    def fio(self):
        rates = []
        for _ in range(self.times):
            done = subprocess.run(
                ["fio", "--name=w", f"--directory={self.dir}", f"--size={self.bytes}", "--bs=1M",
                 "--rw=write", "--direct=1", "--ioengine=io_uring", "--iodepth=16",
                 "--fallocate=posix", "--output-format=json", "--unlink=1"],
                stdout=subprocess.PIPE, check=True)
            rates.append(json.loads(done.stdout)["jobs"][0]["write"]["bw_bytes"])
        return self.row("fio, O_DIRECT, 1 MiB, 16 at once", rates)

    def iperf3(self):
        rates = []
        for _ in range(self.times):
            server = subprocess.Popen(["iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", "5299"],
                                      stdout=subprocess.DEVNULL)
            for _ in range(100):
                done = subprocess.run(["iperf3", "-c", "127.0.0.1", "-p", "5299", "-J", "-n",
                                       str(self.bytes)], stdout=subprocess.PIPE, check=False)
                # Until its server listens it fails, in JSON and with status 0.
                end = json.loads(done.stdout or "{}").get("end", {}).get("sum_received")
                if end:
                    break
                time.sleep(0.05)
            server.kill()
            server.wait()
            if not end:
                sys.exit("bench: iperf3 does not run")
            rates.append(end["bits_per_second"] / 8)
        return self.row("iperf3", rates)


def run(b):
    disk, pipe = b.fio(), b.iperf3()
    for mode in ("read", "vmsplice"):
        rate, server, client = b.predump(f"to the disk, --mode {mode}", [], mode)
        b.verdicts.append(at_least(f"page server to the disk ({mode}) vs fio", rate / disk, 0.8))
        b.verdicts.append(at_most(f"  memory of the server ({mode}), MiB", server, 64))
        b.verdicts.append(at_most(f"  memory of the client ({mode}), MiB", client, 64))
        rate, server, client = b.predump(f"to nowhere, --mode {mode}", ["--discard"], mode)
        b.verdicts.append(at_least(f"page server to nowhere ({mode}) vs iperf3", rate / pipe, 0.9))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("build")
    args = parser.parse_args()
    print("\npages over loopback")
    b = Bench(args)
    try:
        run(b)
    finally:
        b.end()
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(b.rows, file, indent=1)
    print("".join(f"{v}\n" for v in b.verdicts), end="")


if __name__ == "__main__":
    main()
