#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""smbd with sendfile on, whose files are overwritten in place while they are on
their way to smbclient: under `decant run --policy=stable` what smbd sent before
the change arrives as it was; without it, it does not."""

import os
import shutil
import signal
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
LIMIT = 60 * SLOW
LARGE = 24 << 20
HOLD = 2 << 20          # bytes that come through before nobody reads any more
NEAR = 192 << 10        # what may lie between the two: buffers of ours, heads of replies
CONF = """
[global]
    interfaces = 127.0.0.1/8
    bind interfaces only = yes
    smb ports = {port}
    server role = standalone server
    disable netbios = yes
    disable spoolss = yes
    load printers = no
    map to guest = Bad User
    guest account = {user}
    use sendfile = yes
    aio read size = 0
    smb2 leases = no
    oplocks = no
    log file = {dir}/log
    private dir = {dir}/d
    lock directory = {dir}/d
    state directory = {dir}/d
    cache directory = {dir}/d
    pid directory = {dir}/d
    ncalrpc dir = {dir}/d/ncalrpc
    usershare path =
[files]
    path = {dir}/files
    guest ok = yes
    read only = yes
"""


class Smbd:
    """One that runs in `dir`, natively or by decant; ends with `with`."""

    def __init__(self, directory, mechanism):
        self.dir = directory
        self.files = os.path.join(directory, "files")
        self.report = os.path.join(directory, f"report-{mechanism}")
        for name in ("files", "d"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        conf = os.path.join(directory, "conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(CONF.format(dir=directory, port=self.port, user="root"))
        command = [SMBD, "--foreground", "--no-process-group", f"--configfile={conf}"]
        if mechanism:
            command = [tap.DECANT, "run", "--policy=stable", f"--mechanism={mechanism}",
                       f"--report={self.report}", "--", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        process_group=0)  # it ends all of its own

    def __enter__(self):
        until = time.monotonic() + 30 * SLOW
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except ConnectionRefusedError:
                time.sleep(0.05)
        self.__exit__()
        tap.bail(f"smbd does not start: {self.process.stderr.read()}")

    def __exit__(self, *_):
        """The first one ends the others."""
        pid = self.process.pid
        try:
            with open(os.path.join(self.dir, "d", "smbd.pid"), encoding="ascii") as f:
                pid = int(f.read())
        except (FileNotFoundError, ValueError):
            pass
        try:
            os.kill(pid, signal.SIGTERM)
            self.process.wait(20 * SLOW)
        except ProcessLookupError:
            self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, name, out, port=None):
        return subprocess.Popen(
            ["smbclient", "//127.0.0.1/files", "-N", "-p", str(port or self.port), "-s",
             "/dev/null", "-c", f"get {name} {out}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def fetch(self, name):
        out = os.path.join(self.dir, "got")
        client = self.get(name, out)
        said, _ = client.communicate(timeout=LIMIT)
        if client.returncode != 0:
            return said
        with open(out, "rb") as f:
            return f.read()


class Stall:
    """A way to the server that stops reading from it after some bytes, until it is told."""

    def __init__(self, port, after):
        self.after = after
        self.passed = 0
        self.held = threading.Event()
        self.go_on = threading.Event()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.server.connect(("127.0.0.1", port))
        self.threads = []
        self.accepting = threading.Thread(target=self.accept)
        self.accepting.start()

    def accept(self):
        client, _ = self.listener.accept()
        self.threads = [threading.Thread(target=self.up, args=(client,)),
                        threading.Thread(target=self.down, args=(client,))]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        client.close()

    def up(self, client):
        try:
            while piece := client.recv(65536):
                self.server.sendall(piece)
            self.server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def down(self, client):
        try:
            while piece := self.server.recv(16384):
                self.passed += len(piece)
                client.sendall(piece)
                if self.passed >= self.after and not self.held.is_set():
                    self.held.set()
                    self.go_on.wait(LIMIT)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.go_on.set()
        self.listener.close()
        self.accepting.join(LIMIT)
        self.server.close()


def write(path, byte, length):
    """In place."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    piece = bytes([byte]) * (1 << 20)
    for at in range(0, length, 1 << 20):
        os.pwrite(fd, piece[:min(1 << 20, length - at)], at)
    os.close(fd)


def in_flight(smbd):
    """(the bytes that came, how many of them had passed before the change)"""
    path, out = os.path.join(smbd.files, "large"), os.path.join(smbd.dir, "got")
    write(path, ord("a"), LARGE)
    stall = Stall(smbd.port, HOLD)
    client = smbd.get("large", out, stall.port)
    stall.held.wait(LIMIT)
    time.sleep(0.5 * SLOW)      # smbd sends until its socket takes no more
    write(path, ord("b"), LARGE)
    passed = stall.passed
    stall.go_on.set()
    said, _ = client.communicate(timeout=LIMIT)
    stall.close()
    if client.returncode != 0:
        return said, passed
    with open(out, "rb") as f:
        return f.read(), passed


def rewritten(smbd):
    """A file that is written over and over is whole, and of bytes that it once had."""
    path, stop = os.path.join(smbd.files, "busy"), threading.Event()
    write(path, ord("a"), 4 << 20)

    def writer():
        while not stop.is_set():
            for byte in b"bcdefgh":
                write(path, byte, 4 << 20)

    thread = threading.Thread(target=writer)
    thread.start()
    got = [smbd.fetch("busy") for _ in range(5)]
    stop.set()
    thread.join()
    return all(len(data) == 4 << 20 and not data.strip(b"abcdefgh") for data in got)


def supervised(directory, mechanism):
    with Smbd(directory, mechanism) as smbd:
        with open(os.path.join(smbd.files, "any"), "wb") as f:
            f.write(os.urandom(5_000_001))
        with open(os.path.join(smbd.files, "any"), "rb") as f:
            tap.ok(smbd.fetch("any") == f.read(), f"{mechanism}: smbclient gets the right bytes")
        data, passed = in_flight(smbd)
        first = data.find(b"b")
        tap.ok(len(data) == LARGE and first == data.count(b"a") and first > passed + NEAR,
               f"{mechanism}: what smbd sent before the change is old",
               f"{len(data)} bytes, {data.count(b'a')} old ones, the first new one at {first}, "
               f"{passed} had passed")
        tap.ok(rewritten(smbd), f"{mechanism}: whole files while they are written to")
    with open(smbd.report, encoding="utf-8") as f:
        text = f.read()
    tap.ok("sendfile" in text and "file to socket" in text,
           f"{mechanism}: the report counts smbd's sendfile", text)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        with Smbd(directory, None) as smbd:
            data, passed = in_flight(smbd)
            first = data.find(b"b")
            tap.ok(len(data) == LARGE and 0 <= first <= passed + NEAR,
                   "control: natively the later bytes arrive where the old ones were sent",
                   f"{len(data)} bytes, the first new one at {first}, {passed} had passed: "
                   f"{data[:200]}")
        for mechanism in ("preload", "notify"):
            supervised(directory, mechanism)
    return tap.done()


SMBD = shutil.which("smbd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
if __name__ == "__main__":
    tap.need_root()
    if not SMBD or not shutil.which("smbclient"):
        tap.skip_all("samba is not installed")
    sys.exit(main())
