#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve: how it begins and ends, its log, its limits, and how it lives
through the death of a worker."""

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import (LIMIT, SLOW, Answer, Server, read_answer, rest_of,  # noqa: E402
                     usual_signals, wait_for, write)
import tap  # noqa: E402

SMALL = bytes(range(256)) * 4
LARGE = os.urandom(3_000_001)


def count_lines(path):
    with open(path, "rb") as f:
        return f.read().count(b"\n")


def check_log(root, directory):
    log = os.path.join(directory, "log")
    with Server(root, log=log) as server:
        server.get("/small", "User-Agent: \"odd\"", "Referer: here")
        server.raw("GET /\x01\"\\ HTTP/1.1\r\n\r\n")
        wait_for(lambda: count_lines(log) == 2)
        os.rename(log, log + ".1")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(log))
        time.sleep(0.1 * SLOW)
        server.get("/nothing")
        tap.equal(server.stop(), 0, "SIGTERM: status 0")
        tap.ok("3 requests" in server.said(), "what it did is told", server.said())
    with open(log + ".1", encoding="ascii") as f:
        lines = f.read().splitlines()
    tap.ok(len(lines) == 2 and re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /small HTTP/1\.1" 200 '
        r'1024 "here" "\\x22odd\\x22"', lines[0]), "a line of the log", "\n".join(lines))
    with open(log, encoding="ascii") as f:
        tap.ok('"GET /nothing HTTP/1.1" 404' in f.read(), "after SIGHUP, in a new file")
    with Server(root, "--log-format", "json", log=log + ".json") as server:
        server.get("/small")
        server.stop()
    with open(log + ".json", encoding="ascii") as f:
        line = json.loads(f.read())
    tap.ok(line["status"] == 200 and line["bytes"] == 1024 and
           line["request"] == "GET /small HTTP/1.1", "as JSON", line)


def check_slow_log(root):
    """A pipe that nobody reads."""
    read_end, write_end = os.pipe()
    with Piped(root, write_end) as s:
        os.close(write_end)
        for _ in range(30):
            one = s.connect()
            one.sendall((b"GET /nothing HTTP/1.1\r\nHost: x\r\nUser-Agent: " + b"a" * 1000 +
                         b"\r\n\r\n") * 60)
            answers = 0
            while answers < 60:
                piece = one.recv(1 << 20)
                if not piece:
                    break
                answers += piece.count(b"HTTP/1.1 404")
            one.close()
        tap.equal(s.get("/small").body, SMALL, "a log that nobody reads holds up nobody")
        s.stop()
        tap.ok("lines of the log are lost" in s.said(), "  and what was lost is told", s.said())
    os.close(read_end)


class Piped(Server):
    """Whose log is a descriptor."""

    def __init__(self, path, fd):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [tap.DECANT, "serve", "--listen", "127.0.0.1:0", "--workers", "1", path],
            stdin=subprocess.DEVNULL, stdout=fd, stderr=self.errors, preexec_fn=usual_signals)
        self.port = self.wait_port()


def check_death(root):
    with Server(root, workers=2) as server:
        tap.equal(len(server.workers()), 2, "two workers")
        waiting = [server.connect() for _ in range(20)]
        before = set(server.workers())
        os.kill(min(before), signal.SIGKILL)
        until = time.monotonic() + LIMIT
        while (len(server.workers()) < 2 or set(server.workers()) == before) and \
                time.monotonic() < until:
            time.sleep(0.02)
        tap.ok(len(server.workers()) == 2, "one that was killed is started again")
        good = sum(server.get("/small").body == SMALL for _ in range(40))
        tap.equal(good, 40, "and everybody is answered")
        kept = 0
        for s in waiting:
            try:
                s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
                kept += read_answer(s).body == SMALL
            except (ConnectionError, BrokenPipeError):
                pass
            s.close()
        tap.ok(kept > 0, "the other one's connections live on", f"{kept} of 20")
        tap.ok("died of SIGKILL" in server.said(), "it is told", server.said())
        tap.equal(server.stop(), 0, "and ends well")


def check_stop(root):
    with Server(root, "--grace", "15s") as server:
        slow = server.connect(4096)
        idle = server.connect()
        slow.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 1)
        time.sleep(0.3 * SLOW)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3 * SLOW)
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            refused = False
        except OSError:
            refused = True
        answer = Answer(rest_of(slow))
        tap.equal(answer.body, LARGE, "an answer under way is finished")
        tap.equal(server.stop(), 0, "  then it ends")
        tap.ok(refused, "  and nobody new has come")
        idle.close()
        slow.close()
    with Server(root, "--grace", "1h") as server:
        slow = server.connect(4096)
        slow.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        time.sleep(0.3 * SLOW)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3 * SLOW)
        tap.ok(server.process.poll() is None, "a first SIGINT waits for whoever is slow")
        tap.equal(server.stop(signal.SIGINT), 0, "a second one does not")
        slow.close()
    with Server(root, "--grace", "300ms") as server:
        slow = server.connect(4096)
        slow.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        time.sleep(0.3 * SLOW)
        tap.equal(server.stop(), 0, "nor does the end of its grace")
        slow.close()


def check_begin(root, directory):
    def says(text, *words):
        done = subprocess.run([tap.DECANT, "serve", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
        tap.ok(done.returncode and text in done.stderr, f"refused: {text}", done.stderr)

    with Server(root) as server:
        says("Address already in use", "--listen", f"127.0.0.1:{server.port}", root)
    says("No such file", f"{root}/nothing")
    says("neither a directory nor a regular file", f"{root}/fifo")
    says("no numeric address", "--listen", "nowhere.example:80", root)
    says("no port", "--listen", "127.0.0.1:65536", root)
    says("no such user", "--user", "nobody-of-that-name", "--listen", "127.0.0.1:0", root)
    says("media types", "--types", f"{directory}/nothing", "--listen", "127.0.0.1:0", root)
    says("log: ", "--log", f"{directory}/no/log", root)
    if os.geteuid() == 0:
        os.chmod(directory, 0o755)
        with Server(root, "--user", "nobody") as server:
            with open(f"/proc/{server.workers()[0]}/status", encoding="ascii") as f:
                status = f.read()
            uid = str(pwd.getpwnam("nobody").pw_uid)
            tap.equal(re.search(r"^Uid:\s+(.*)$", status, re.M)[1].split(), [uid] * 4,
                      "--user: in every sense")
            tap.ok(re.search(r"^CapPrm:\s+0+$", status, re.M) and
                   re.search(r"^Groups:\s*(\d+ ?){0,2}$", status, re.M), "  without rights")
            os.chmod(f"{root}/unreadable", 0)
            tap.equal(server.get("/unreadable").status, 403, "  what it may not read is forbidden")


def check_limits(root):
    with Server(root, "--limit-rate", "1M") as server:
        began = time.monotonic()
        tap.equal(server.get("/large.bin").body, LARGE, "with a limit of the rate")
        tap.ok(time.monotonic() - began > 2.5, "  it takes three seconds")
    with Server(root, "--client-rate", "2M") as server:
        bodies = []
        began = time.monotonic()
        threads = [threading.Thread(target=lambda: bodies.append(server.get("/large.bin").body))
                   for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        tap.ok(bodies == [LARGE] * 2 and time.monotonic() - began > 2.5,
               "two connections of one client share its rate")
    with Server(root, "--max-connections", "5") as server:
        idle = [server.connect() for _ in range(5)]
        for s in idle:
            s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            read_answer(s)
        tap.equal(server.get("/small").body, SMALL, "who waits for nothing gives way")
        for s in idle:
            s.close()
    with Server(root, "--idle-timeout", "300ms", "--header-timeout", "300ms", "--stall-timeout",
                "500ms") as server:
        s = server.connect()
        s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
        read_answer(s)
        tap.equal(rest_of(s), b"", "an idle connection is closed")
        tap.equal(Answer(server.raw("GET /sm")).status, 408, "half a head is refused")
        s = server.connect(4096)
        s.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        time.sleep(1.5 * SLOW)
        tap.ok(len(rest_of(s)) < 5 * len(LARGE), "who takes nothing is cut off")
        s.close()


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        os.mkdir(root)
        write(f"{root}/small", SMALL)
        write(f"{root}/large.bin", LARGE)
        write(f"{root}/unreadable", b"secret")
        os.mkfifo(f"{root}/fifo")
        check_log(root, directory)
        check_slow_log(root)
        check_death(root)
        check_stop(root)
        check_begin(root, directory)
        check_limits(root)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
