# SPDX-License-Identifier: MIT
"""CRIU's page-server protocol as a client speaks it, in both headers, and a page
server of decant's to speak it with.  Says whatever it is told to say."""

import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap  # noqa: E402

PAGE = 4096
ADD, HOLE, OPEN, OPEN2, PARENT, ADD_F, GET, COMPRESSED = range(1, 9)
CLOSE, FORCE_CLOSE = 0x1023, 0x1024
IN_PARENT, LAZY, PRESENT = 1, 2, 4
SLOW = int(os.environ.get("TAP_SLOW", "1"))


def pid(n):
    return n << 8 | 1


def shm(n):
    return n << 8 | 2


def header(size, command, pages=0, vaddr=0, dst=0, flags=0):
    if size == 24:
        return struct.pack("<IIQQ", command | flags << 16, pages, vaddr, dst)
    # CRIU does not set the four bytes behind the command.
    return struct.pack("<IIQQQ", command | flags << 16, 0xa5a5a5a5, pages, vaddr, dst)


def page(tag):
    return struct.pack("<Q", tag) * 512


def run(*command, limit=60, **more):
    done = subprocess.run([tap.DECANT, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=limit * SLOW, check=False, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def left(directory="srv"):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def looks_complete(directory="srv"):
    """Pagemaps under their own names, and no part of anything."""
    names = left(directory)
    return any(re.fullmatch(r"pagemap-.*\.img", n) for n in names)


class Client:
    def __init__(self, port, size=24, context=None, limit=30):
        self.size = size
        self.s = socket.create_connection(("127.0.0.1", port), timeout=limit * SLOW)
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="localhost")

    def raw(self, data):
        self.s.sendall(data)

    def say(self, command, **what):
        self.raw(header(self.size, command, **what))

    def need(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise ConnectionError("the server ended")
            data += more
        return data

    def open(self, dst):
        self.say(OPEN2, dst=dst)
        return self.need(1)[0]

    def parent(self, dst):
        self.say(PARENT, dst=dst)
        return struct.unpack("<i", self.need(4))[0]

    def pages(self, dst, vaddr, data, flags=PRESENT):
        self.say(ADD_F, pages=len(data) // PAGE, vaddr=vaddr, dst=dst, flags=flags)
        self.raw(data)

    def hole(self, dst, vaddr, pages):
        self.say(ADD_F, pages=pages, vaddr=vaddr, dst=dst, flags=IN_PARENT)

    def close(self, command=CLOSE):
        """The server's status."""
        self.say(command)
        status = struct.unpack("<i", self.need(4))[0]
        self.s.close()
        return status

    def broken(self):
        """The server ends it without an answer, within the socket's time-out."""
        try:
            while self.s.recv(65536):
                pass
        except socket.timeout:
            return False
        except OSError:
            pass
        self.s.close()
        return True

    def cut(self):
        """As if the machine were gone."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def memory_kib(of):
    """The most that a process has had."""
    with open(f"/proc/{of}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])


def die_with_us():
    """A test that ends early leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """decant page-server, and what it tells."""

    def __init__(self, *options, listen=":0", env=None):
        self.lines = []
        self.p = subprocess.Popen(
            [tap.DECANT, "page-server", "--json", "--listen", listen, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})),
            preexec_fn=die_with_us)
        first = self.p.stdout.readline()
        self.name = json.loads(first)["listening"] if first else ""
        self.port = int(re.sub(".*:", "", self.name)) if first else 0

    def told(self):
        """The next line: one connection's end, or at the end all of them."""
        line = json.loads(self.p.stdout.readline())
        self.lines.append(line)
        return line

    def memory_kib(self):
        return memory_kib(self.p.pid)

    def end(self, sig=signal.SIGTERM):
        """Status, and what it told in all."""
        if self.p.poll() is None:
            self.p.send_signal(sig)
        try:
            out, err = self.p.communicate(timeout=60 * SLOW)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, err = self.p.communicate()
            err += b"it did not end"
        self.lines += [json.loads(line) for line in out.decode().splitlines()]
        self.error = err.decode()
        return self.p.returncode


def until(condition, seconds=20):
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


VICTIM = """
import mmap, sys, time
m = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(2048):
    m[i * 4096:i * 4096 + 8] = i.to_bytes(8, "little")
print(open("/proc/self/maps").read().count("\\n"), flush=True)
n = 0
while not sys.argv[1:]:
    n += 1
    m[(n * 37 % 2048) * 4096 + 8] = n & 255
    time.sleep(0.001)
time.sleep(1000)
"""


class Victim:
    def __init__(self, *arg):
        self.p = subprocess.Popen([sys.executable, "-c", VICTIM, *arg], stdout=subprocess.PIPE)
        self.p.stdout.readline()
        self.pid = self.p.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()

    def memory(self, addresses):
        with open(f"/proc/{self.pid}/mem", "rb") as f:
            return {a: os.pread(f.fileno(), PAGE, a) for a in addresses}


def fault(n, name, how):
    return {"DECANT_FAULT": ":".join([str(n), name or "*"] + ([how] if how else []))}
