#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""HAProxy, which splices between its sockets, under every policy: what comes
through is what was sent, both ways, and the report shows that it was spliced."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
LIMIT = 30 * SLOW
SIZE = 16 << 20
CONF = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
{splice}
listen l
    bind 127.0.0.1:{port}
    server s 127.0.0.1:{origin}
"""
WAYS = [("legacy", "trace"), ("audit", "trace"), ("audit", "notify"), ("audit", "preload"),
        ("copy-v1", "trace"), ("copy-v2", "trace"), ("copy-v2", "notify"),
        ("copy-v2,nowait=kernel", "trace"), ("deny", "trace"), ("stable", "notify"),
        ("stable", "preload"), ("copy-v2,stable", "notify")]


class Origin:
    """Sends data to each who connects and reads all that it is sent."""

    def __init__(self, data):
        self.data = data
        self.sums = []
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.settimeout(LIMIT)
        sender = threading.Thread(target=self.send, args=(s,))
        sender.start()
        got = receive(s)
        sender.join()
        s.close()
        if got:
            self.sums.append(got)

    def send(self, s):
        try:
            s.sendall(self.data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def receive(s):
    """The sum of all that comes; "" for nothing."""
    total, n = hashlib.sha256(), 0
    try:
        while piece := s.recv(1 << 20):
            total.update(piece)
            n += len(piece)
    except OSError:
        return "broken"
    return total.hexdigest() if n else ""


def through(port, data):
    s = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    sums = []
    reader = threading.Thread(target=lambda: sums.append(receive(s)))
    reader.start()
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    reader.join(LIMIT)
    s.close()
    return sums[0] if sums else "nothing"


def run(origin, policy, mechanism, back, splice=True):
    """(what came down, what came up, the report)"""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open("conf", "w", encoding="ascii") as f:
        f.write(CONF.format(port=port, origin=origin.port, splice="    option splice-request\n"
                            "    option splice-response" if splice else ""))
    with open("log", "wb") as log:
        process = subprocess.Popen(
            [tap.DECANT, "run", f"--policy={policy}", f"--mechanism={mechanism}",
             "--report=report", "--", HAPROXY, "-db", "-f", "conf"], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log)
    until = time.monotonic() + 20 * SLOW
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    origin.sums.clear()
    down = through(port, origin.data[::-1])
    while back not in origin.sums and time.monotonic() < until:
        time.sleep(0.01)    # the last bytes are on their way
    process.terminate()
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with open("report", encoding="utf-8") as f:
        return down, list(origin.sums), f.read()


def main():
    data = os.urandom(SIZE) + b"end"
    want = hashlib.sha256(data).hexdigest()
    back = hashlib.sha256(data[::-1]).hexdigest()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        origin = Origin(data)
        _, _, report = run(origin, "audit", "trace", back, splice=False)
        tap.ok("splice at" not in report, "control: without its option it does not splice", report)
        for policy, mechanism in WAYS:
            down, up, report = run(origin, policy, mechanism, back)
            tap.ok(down == want and back in up, f"{policy} by {mechanism}: both ways whole",
                   f"{down} of {want}, {up} of {back}")
            tap.ok("socket to pipe" in report and "pipe to socket" in report,
                   "  spliced, as the report says", report)
        origin.socket.close()
        os.chdir("/")
    return tap.done()


HAPROXY = shutil.which("haproxy", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
if __name__ == "__main__":
    if not HAPROXY:
        tap.skip_all("haproxy is not installed")
    sys.exit(main())
