#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve and what could go wrong: clients that are slow, many or mean;
descriptors that run out; disks and calls that fail."""

import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import (LIMIT, SLOW, Answer, Server, fill, not_mixed, read_answer,  # noqa: E402
                     request, rest_of, settle, wait_for, write)
import tap  # noqa: E402

FULL = os.environ.get("DECANT_TEST_FULL") == "1"
SECONDS = (60 if FULL else 2) * SLOW


# ------------------------------------------------------------ mean clients


def memory(pid):
    """Private memory, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_")) * 1024


def check_idle(root):
    wanted = 10_000 if SLOW == 1 else 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500),
                                                    max(hard, wanted + 500)))
    except (ValueError, OSError):
        wanted = min(wanted, soft - 200)
    with Server(root) as server:
        worker = server.workers()[0]
        server.get("/small")
        before = memory(worker)
        conns = []
        for i in range(wanted):
            s = socket.socket()
            s.settimeout(LIMIT)
            # More than one address has ports.
            s.bind((f"127.0.0.{2 + i % 4}", 0))
            s.connect(("127.0.0.1", server.port))
            s.sendall(request(b"small"))
            conns.append(s)
        good = sum(read_answer(s).body == b"small" for s in conns)
        each = (memory(worker) - before) / wanted
        tap.equal(good, wanted, f"{wanted} connections are answered and kept")
        tap.ok(each <= 2048 or SLOW > 1, "  in 2 KiB of memory each", f"{each:.0f}")
        tap.diag(f"{each:.0f} bytes each")
        tap.equal(server.get("/small").body, b"small", "  and one more is answered")
        for s in conns:
            s.close()
        del conns
        wait_for(lambda: len(os.listdir(f"/proc/{worker}/fd")) < 100)
        tap.ok(len(os.listdir(f"/proc/{worker}/fd")) < 100, "  and nothing of them stays")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def check_herd(root):
    """Heads that never end, in hundreds, while others are served."""
    with Server(root, "--header-timeout", "2s") as server:
        herd = [server.connect() for _ in range(300)]
        for s in herd:
            s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\nX: ")
        good, began = 0, time.monotonic()
        while time.monotonic() - began < 1:
            for s in herd[::30]:
                try:
                    s.sendall(b"y")
                except ConnectionError:
                    pass
            good += server.get("/small").body == b"small"
        tap.ok(good > 5, "a slow herd does not keep others waiting", f"{good} answers")
        left = sum(Answer(rest_of(s)).status == 408 for s in herd)
        tap.equal(left, 300, "and each of it is told that it was too slow")
        for s in herd:
            s.close()


def check_behind(server):
    """Input behind the last request that is answered resets no answer on its way."""
    wrong = []
    head = b"GET /large HTTP/1.1\r\nHost: x\r\n"
    for last, pause in [(head + b"Connection: close\r\n\r\n", 0.1),
                        (head + b"\r\nnonsense\r\n\r\n", 0.1),
                        (head + b"\r\nnonsense\r\n\r\n", 0)]:
        for _ in range(3):
            s = server.connect(4096)
            s.sendall(last)
            time.sleep(pause * SLOW)
            s.sendall(b"x" * 10_000)
            s.sendall(b"y" * 10_000)
            s.shutdown(socket.SHUT_WR)
            time.sleep(0.01)
            answer = Answer(rest_of(s))
            if not answer.whole:
                wrong.append(f"{len(answer.body)} of {answer.length}")
            s.close()
    tap.none(wrong, "answers come whole, whatever is sent behind the request")


def check_fair(server, root):
    """Some take all they can of large files; another's small requests are answered."""
    fill(f"{root}/huge", ord("h"), 64 << 20)
    stop, taken = threading.Event(), [0]

    def greedy():
        s = server.connect()
        while not stop.is_set():
            s.sendall(request(b"huge"))
            left = (64 << 20)
            while left > 0 and not stop.is_set():
                n = len(s.recv(1 << 20))
                left -= n
                taken[0] += n
        s.close()

    threads = [threading.Thread(target=greedy) for _ in range(4)]
    for t in threads:
        t.start()
    good, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        good += server.get("/small").body == b"small"
    stop.set()
    for t in threads:
        t.join()
    tap.ok(good >= 10 and taken[0] > 1 << 20, "small answers come between large ones",
           f"{good} answers beside {taken[0] >> 20} MiB")


def check_trickle(server, root):
    """A sparse file of 10 GiB, a byte at a time; memory stays where it is."""
    with open(f"{root}/sparse", "wb") as f:
        f.truncate(10 << 30)
    worker = server.workers()[0]
    s = server.connect(4096)
    s.sendall(request(b"sparse"))
    before = memory(worker)
    got = bytearray()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or len(got) < 200:
        got += s.recv(1)
        time.sleep(0.01)
        server.get("/small")
    tap.ok(b"Content-Length: 10737418240\r\n" in got, "one takes 10 GiB by bytes", got)
    tap.ok(memory(worker) - before < 16 << 20, "  which costs no memory",
           f"{memory(worker) - before} bytes")
    s.close()
    answer = server.get("/sparse", "Range: bytes=10737418000-")
    tap.equal(answer.body, bytes(240), "the end of it, by a range")


def check_fuzzed(server):
    rng = random.Random(int(os.environ.get("DECANT_SEED", "1")))
    words = [b"GET", b"HEAD", b" ", b"/", b"small", b"..", b"%00", b"%2e", b"HTTP/1.1", b"\r\n",
             b"\n", b"Host: x", b"Range: bytes=", b"0-", b"-1", b",", b"\r\n\r\n", b"\0", b"\xff",
             b"Content-Length: 5", b"Transfer-Encoding: chunked", b"If-Range: \"", b":",
             b"a" * 9000]
    worker, n = server.workers(), 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        s = server.connect()
        s.settimeout(0.2)
        try:
            for _ in range(rng.randrange(1, 4)):
                s.sendall(b"".join(rng.choice(words) for _ in range(rng.randrange(1, 30))))
                if rng.randrange(3) == 0:
                    s.shutdown(socket.SHUT_WR)
                    break
            if rng.randrange(2):
                s.recv(1 << 16)
        except OSError:
            pass
        s.close()
        n += 1
    tap.ok(server.workers() == worker and server.get("/small").body == b"small",
           f"{n} requests of nonsense: the same worker answers", server.said())


# --------------------------------------------------------- what runs out


def check_descriptors(root):
    """Fewer descriptors than connections: idle ones give way, the rest waits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with Server(root, environment={}) as server:
            pid = server.workers()[0]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (60, 60))
            conns = [server.connect() for _ in range(100)]
            for s in conns:
                s.sendall(request(b"small"))
            good = 0
            for s in conns:
                try:
                    good += read_answer(s).body == b"small"
                except (ConnectionError, IndexError):
                    pass
            tap.ok(good >= 50, "without descriptors idle connections give way", f"{good} of 100")
            for s in conns:
                s.close()
            tap.equal(server.get("/small").body, b"small", "  and then all is well")
            tap.equal(server.workers(), [pid], "  with the same worker")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


FAULTS = ["recv", "openat2", "fstat", "preadv2", "pread", "sendmsg", "close", "malloc", "calloc",
          "realloc", "accept4", "epoll_ctl", "getdents64", "statx", "mmap", "fstatfs", "write",
          "epoll_wait", "shutdown"]


def ask_all(server):
    """Every kind of answer; what came is whole and right, or was broken off."""
    wrong = []
    for target, fields in [("/small", []), ("/large", []), ("/large", []), ("/", []), ("/none", []),
                           ("/large", ["Range: bytes=0-9,100-199"])]:
        try:
            answer = server.get(target, *fields)
        except (ConnectionError, IndexError, ValueError, socket.timeout):
            continue
        if answer.status == 200 and answer.whole and target == "/small" and \
                answer.body != b"small":
            wrong.append(f"{target}: {answer.body[:20]!r}")
        if answer.status == 200 and target == "/large" and not_mixed(answer.body, b"l"):
            wrong.append(f"{target}: bytes that are not its own")
        if answer.whole and answer.rest:
            wrong.append(f"{target}: more than was said")
    return wrong


def check_faults(root):
    """The Nth call of a kind fails: that answer may be lost, and nothing else."""
    wrong, ran = [], 0
    for name in FAULTS:
        for nth in ((1, 2, 3, 4, 5, 6, 8, 12, 20) if FULL else (1, 3, 8)):
            with Server(root, environment={"DECANT_FAULT": f"{nth + skipped(name)}:{name}"}) \
                    as server:
                worker = server.workers()
                wrong += [f"{name}:{nth}: {w}" for w in ask_all(server)]
                ran += 1
                if server.workers() != worker:
                    wrong.append(f"{name}:{nth}: the worker is another: {server.said()}")
                # The call that fails may be one of this.
                if not any(server.get("/small").body == b"small" for _ in range(3)):
                    wrong.append(f"{name}:{nth}: nothing is answered any more")
                if server.stop() != 0:
                    wrong.append(f"{name}:{nth}: does not end well")
    tap.none(wrong[:20], f"{ran} runs in which one call fails")


def check_disk(root):
    """A disk that does not read."""
    with Server(root, environment={"DECANT_FAULT": "1:preadv2:EIO"}) as server:
        answer = server.get("/small")
        tap.ok(answer.status == 500 and answer.whole, "a file that cannot be read: 500",
               answer.fields)
        tap.equal(server.get("/small").body, b"small", "  then it can")
    with Server(root, environment={"DECANT_FAULT": "2:preadv2:EIO"}) as server:
        answer = server.get("/large")
        tap.ok(not answer.whole and not not_mixed(answer.body, b"l"),
               "one that cannot be read to its end is broken off", f"{len(answer.body)} bytes")
        tap.ok(server.get("/large").body == b"l" * 700_000, "  then it can")


# Calls that are made to begin with: they may keep it from beginning.
BEGIN = {"malloc": 60, "calloc": 60, "close": 40, "fstat": 10, "mmap": 20, "epoll_ctl": 12,
         "shutdown": 0, "accept4": 0}


def skipped(name):
    return BEGIN.get(name, 0)


def check_cold(root):
    """What is not in memory is read by the engine, and others do not wait for it."""
    for name, size in ("cold-small", 20_000), ("cold", 24_000_001):
        write(f"{root}/{name}", os.urandom(size))
    settle()
    with Server(root) as server:
        for name in "cold-small", "cold":
            fd = os.open(f"{root}/{name}", os.O_RDONLY)
            want = os.pread(fd, 1 << 25, 0)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
                tap.diag(f"{name} is still in memory")
            except BlockingIOError:
                pass
            got = server.get(f"/{name}")
            tap.ok(got.body == want, f"{name}: right, from the disk")
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            got = server.get(f"/{name}", "Range: bytes=3-9,10000-19998")
            tap.ok(want[3:10] in got.body and want[10000:19999] in got.body, "  ranges, too")
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            s = server.connect(4096)
            s.sendall(request(name.encode()))
            s.recv(100)
            s.close()
            os.close(fd)
        tap.equal(server.get("/small").body, b"small", "who goes away meanwhile harms nobody")
        fd = os.open(f"{root}/cold", os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        s = server.connect(4096)
        s.sendall(request(b"cold"))
        s.recv(1000)
        tap.equal(server.stop(signal.SIGQUIT), 0, "nor does it keep the server from ending")
        s.close()


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        os.mkdir(root)
        write(f"{root}/small", b"small")
        write(f"{root}/large", b"l" * 700_000)
        settle()
        with Server(root) as server:
            worker = server.workers()
            check_fair(server, root)
            check_trickle(server, root)
            check_fuzzed(server)
            check_behind(server)
            tap.equal(server.workers(), worker, "one worker, all the time")
        check_idle(root)
        check_cold(root)
        check_herd(root)
        check_descriptors(root)
        check_disk(root)
        check_faults(root)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
