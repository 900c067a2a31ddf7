# SPDX-License-Identifier: MIT
"""`decant serve` for tests: started in a directory of its own, asked over raw
sockets, ended with `with`."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
LIMIT = 20 * SLOW
# Ignored by whoever runs the tests, it would hide how children end.
signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def usual_signals():
    """Whoever runs the tests may ignore them."""
    for sig in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_DFL)


class Server:
    """One that serves `path`; log: its lines are in .log when it has ended."""

    def __init__(self, path, *options, workers=1, environment=None, log=None):
        self.log = log
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [tap.DECANT, "serve", "--listen", "127.0.0.1:0", "--workers", str(workers),
             "--log", log or "none", *options, path],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
            preexec_fn=usual_signals, env={**os.environ, **(environment or {})})
        self.port = self.wait_port()
        wait_for(lambda: len(self.workers()) == workers)

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def wait_port(self):
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)/", self.said()):
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"Bail out! decant serve does not begin: {self.said()}")

    def workers(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as f:
            return [int(pid) for pid in f.read().split()]

    def stop(self, sig=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            for pid in [*self.workers(), self.process.pid]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            return -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        self.errors.close()

    def connect(self, receive_buffer=0):
        s = socket.socket()
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.settimeout(LIMIT)
        s.connect(("127.0.0.1", self.port))
        return s

    def raw(self, text, half_close=False):
        """All that comes until the server closes."""
        s = self.connect()
        s.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
        if half_close:
            s.shutdown(socket.SHUT_WR)
        data = rest_of(s)
        s.close()
        return data

    def get(self, target, *fields, method="GET"):
        """One answer, on a connection of its own."""
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        data = self.raw(head + "".join(f + "\r\n" for f in fields) + "\r\n")
        return Answer(data, method == "HEAD")


def rest_of(s):
    data = bytearray()
    try:
        while piece := s.recv(1 << 20):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


class Answer:
    """The first one in data; .rest is what follows."""

    def __init__(self, data, bare=False):
        head, gap, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if gap else 0
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.fields[name.lower()] = value
        self.length = int(self.fields.get("content-length", 0))
        n = 0 if bare or self.status in (204, 304) else self.length
        self.body, self.rest = rest[:n], rest[n:]
        self.whole = bool(gap) and len(self.body) == n

    def __getitem__(self, name):
        return self.fields.get(name)


def read_answer(s, bare=False):
    """One answer from a connection that stays."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return Answer(data, bare)
        data += piece
    answer = Answer(data, bare)
    while not answer.whole:
        piece = s.recv(1 << 20)
        if not piece:
            break
        data += piece
        answer = Answer(data, bare)
    return answer


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def wait_for(what):
    """Until it holds, or for as long as anything may take."""
    until = time.monotonic() + LIMIT
    while not what() and time.monotonic() < until:
        time.sleep(0.02)


def settle():
    """Until tags of files that were just made are strong."""
    time.sleep(2.1)


def request(name):
    return b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name


def fill(path, byte, length):
    """In place, from the beginning to the end."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for at in range(0, length, 1 << 20):
        os.pwrite(fd, bytes([byte]) * min(1 << 20, length - at), at)
    os.close(fd)


def not_mixed(data, states):
    """Bytes that the file never had there: each state is one letter."""
    return bytes(data).translate(None, states)
