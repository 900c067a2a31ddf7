#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""nginx with sendfile on, whose files are overwritten in place while they are
on their way: under `decant run --policy=stable` clients get what the file held
before it was sent; without it they do not."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
SMALL = 200 * 1000      # fits into the socket's buffers at once
LARGE = 24 << 20        # does not
CONF = """
daemon off;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    sendfile_max_chunk 0;
    keepalive_timeout 30;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port}; root {dir}/www; }}
}}
"""


class Nginx:
    """One that runs in `dir`, natively or by decant; ends with `with`."""

    def __init__(self, directory, mechanism):
        self.dir = directory
        self.report = os.path.join(directory, "report")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        conf = os.path.join(directory, "conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(CONF.format(dir=directory, port=self.port,
                                user="user root;" if os.geteuid() == 0 else ""))
        command = [NGINX, "-p", directory, "-c", conf]
        if mechanism:
            command = [tap.DECANT, "run", "--policy=stable", f"--mechanism={mechanism}",
                       f"--report={self.report}", "--"] + command
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def __enter__(self):
        until = time.monotonic() + 20 * SLOW
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise SystemExit("Bail out! nginx does not start")

    def __exit__(self, *_):
        try:
            with open(os.path.join(self.dir, "pid"), encoding="ascii") as f:
                os.kill(int(f.read()), signal.SIGQUIT)
        except (FileNotFoundError, ValueError):
            self.process.terminate()
        try:
            self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, name, receive_buffer=0):
        """A connection on which the request has been made and nothing was read."""
        s = socket.socket()
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        s.settimeout(20 * SLOW)
        s.connect(("127.0.0.1", self.port))
        s.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return s


def body(s):
    """(promised length, bytes)"""
    data = bytearray()
    while piece := s.recv(1 << 20):
        data += piece
    s.close()
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1]), rest
    return -1, rest


def write(path, byte, length):
    """In place."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    piece = bytes([byte]) * (1 << 20)
    for at in range(0, length, 1 << 20):
        os.pwrite(fd, piece[:min(1 << 20, length - at)], at)
    os.close(fd)


def overwritten(nginx, www):
    """All of it was sent before it was overwritten: how many new bytes come?"""
    path = os.path.join(www, "small")
    write(path, ord("o"), SMALL)
    s = nginx.ask("small")
    time.sleep(0.5 * SLOW)
    write(path, ord("n"), SMALL)
    promised, data = body(s)
    return promised == len(data) == SMALL, data.count(b"n")


def in_flight(nginx, www):
    """A slow reader, and one generation after the other: never a newer one
    in front of an older one by more than the file held when it was sent."""
    path = os.path.join(www, "large")
    write(path, ord("a"), LARGE)
    s = nginx.ask("large", 16384)
    time.sleep(0.5 * SLOW)
    write(path, ord("b"), LARGE)
    promised, data = body(s)
    sent_before = len(data) - data.count(b"b")
    first_b = data.find(b"b")
    return promised == len(data) == LARGE, sent_before, first_b, data


def shrinks(nginx, www):
    """A file that is cut while it is sent ends the connection, and pads nothing."""
    path = os.path.join(www, "cut")
    write(path, ord("a"), LARGE)
    s = nginx.ask("cut", 16384)
    time.sleep(0.3 * SLOW)
    os.truncate(path, LARGE // 2)
    promised, data = body(s)
    return promised == LARGE and len(data) <= LARGE // 2 and not data.strip(b"a")


def by_curl(nginx, www):
    with open(os.path.join(www, "any"), "wb") as f:
        f.write(os.urandom(3_000_001))
    out = os.path.join(nginx.dir, "got")
    url = f"http://127.0.0.1:{nginx.port}/any"
    with open(os.path.join(www, "any"), "rb") as f:
        want = f.read()
    for options, part in (([], want), (["-r", "1000-2000999"], want[1000:2001000])):
        subprocess.run(["curl", "-sS", "-m", str(30 * SLOW), "-o", out, *options, url],
                       check=True)
        with open(out, "rb") as f:
            if f.read() != part:
                return False
    return True


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        www = os.path.join(directory, "www")
        os.mkdir(www)
        with Nginx(directory, None) as nginx:
            whole, new = overwritten(nginx, www)
            tap.ok(whole and new > SMALL // 2, "control: natively the later bytes are sent",
                   f"{new} of {SMALL} are new")
            _, _, first, _ = in_flight(nginx, www)
            tap.ok(0 <= first < 100_000, "control: at once, to a slow reader", f"from {first} on")
        for mechanism in ("preload", "notify"):
            with Nginx(directory, mechanism) as nginx:
                whole, new = overwritten(nginx, www)
                tap.ok(whole and new == 0, f"{mechanism}: what was sent stays as it was",
                       f"{new} of {SMALL} are new")
                whole, old, first, data = in_flight(nginx, www)
                tap.ok(whole and first == old > 100_000,
                       f"{mechanism}: to a slow reader, what was sent before the change is old",
                       f"{old} old bytes, the first new one at {first} of {len(data)}")
                tap.ok(shrinks(nginx, www), f"{mechanism}: a file that shrinks is not padded")
                tap.ok(by_curl(nginx, www), f"{mechanism}: curl gets the right bytes, and ranges")
            with open(nginx.report, encoding="utf-8") as f:
                text = f.read()
            tap.ok("sendfile" in text and "file to socket" in text,
                   f"{mechanism}: the report counts nginx's sendfile", text)
    return tap.done()


NGINX = shutil.which("nginx", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
if __name__ == "__main__":
    if not NGINX:
        tap.skip_all("nginx is not installed")
    sys.exit(main())
