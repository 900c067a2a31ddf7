#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve and what could go wrong: files that are overwritten, cut and
replaced while they are sent; clients that are slow, many or mean; descriptors
and memory that run out; calls that fail."""

import os
import random
import resource
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

from serving import (LIMIT, SLOW, Answer, Server, read_answer, rest_of, settle,  # noqa: E402
                     wait_for, write)
import tap  # noqa: E402

FULL = os.environ.get("DECANT_TEST_FULL") == "1"
SECONDS = (60 if FULL else 2) * SLOW
PAGE = 4096
REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


# ------------------------------------------------------- files that change


def fill(path, byte, length):
    """In place, from the beginning to the end."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for at in range(0, length, 1 << 20):
        os.pwrite(fd, bytes([byte]) * min(1 << 20, length - at), at)
    os.close(fd)


def not_mixed(data, states):
    """Bytes that the file never had there: each state is one letter."""
    return bytes(data).translate(None, states)


def check_overwritten(server, root):
    """All is with the kernel, then the file is overwritten; then it is read."""
    size = 200_000
    fill(f"{root}/over", ord("o"), size)
    s = server.connect(1 << 20)
    s.sendall(REQUEST % b"over")
    time.sleep(0.3 * SLOW)
    fill(f"{root}/over", ord("n"), size)
    answer = read_answer(s)
    tap.ok(answer.whole and answer.body == b"o" * size, "what was sent stays as it was",
           f"{answer.body.count(b'n')} new bytes of {len(answer.body)}")
    s.close()
    # The control: a server that sends pages of the page cache.
    fill(f"{root}/over", ord("o"), size)
    ours, theirs = socket.create_connection(("127.0.0.1", server.port)), None
    ours.close()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        theirs = socket.create_connection(listening.getsockname())
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ours, _ = listening.accept()
    with open(f"{root}/over", "rb") as f:
        sent = os.sendfile(ours.fileno(), f.fileno(), 0, size)
    ours.close()
    fill(f"{root}/over", ord("n"), size)
    data = rest_of(theirs)
    theirs.close()
    tap.ok(len(data) == sent and data.count(b"n") > sent // 2,
           "control: sendfile sends the new bytes", f"{data.count(b'n')} of {sent}")


STILL = 6 << 20


def maps_of(pid, name):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        return [line for line in f if name in line]


def check_still(root):
    """Files that nobody has changed for ten seconds are sent out of mappings."""
    with Server(root) as server:
        worker = server.workers()[0]
        for _ in range(3):
            whole = server.get("/still").body == b"o" * STILL
        tap.ok(whole and maps_of(worker, "/still"), "a quiet file in demand is mapped")
        s = server.connect(65536)
        s.sendall(REQUEST % b"still")
        time.sleep(0.3 * SLOW)
        fill(f"{root}/still", ord("p"), STILL)
        body = read_answer(s).body
        s.close()
        tap.ok(len(body) == STILL and not body.strip(b"op") and b"po" not in body and
               b"o" in body, "  what was sent stays as it was", f"{body.count(b'o')} old bytes")
        server.get("/still2")
        server.get("/still2")
        s = server.connect(16384)
        s.sendall(REQUEST % b"still2" * 2)
        time.sleep(0.2 * SLOW)
        os.truncate(f"{root}/still2", STILL // 2 + 1)
        answer = Answer(rest_of(s))
        s.close()
        tap.ok(not answer.whole and answer.length == STILL and
               not not_mixed(answer.body, b"o"), "  cut, it ends the connection",
               f"{len(answer.body)} bytes")
        wait_for(lambda: not maps_of(worker, "still"))
        tap.ok(not maps_of(worker, "still"), "  and is let go of")


def check_generations(server, root):
    """A slow reader while the file is filled with one letter after the other: the
    letters come in order, for what was sent cannot change any more."""
    size = 12 << 20
    fill(f"{root}/gen", ord("a"), size)
    s = server.connect(65536)
    s.sendall(REQUEST % b"gen")
    time.sleep(0.2)
    data, letter = bytearray(), ord("a")
    while b"\r\n\r\n" not in data:
        data += s.recv(4096)
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    body = bytearray(body)
    while len(body) < size:
        if letter < ord("z"):
            letter += 1
            fill(f"{root}/gen", letter, size)
        goal = min(size, len(body) + (size >> 5))
        while len(body) < goal:
            piece = s.recv(65536)
            if not piece:
                break
            body += piece
        if len(body) < goal:
            break
    s.close()
    steps = [body[i] for i in range(0, len(body), PAGE)]
    tap.ok(len(body) == size and steps == sorted(steps) and len(set(steps)) > 2 and
           b"200" in head, "to a slow reader, states of the file in their order",
           f"{len(body)} bytes, {len(set(steps))} states")


def check_cut(server, root):
    """Cut while it is on its way: the connection ends, and nothing stands for what is gone."""
    size, wrong = 24 << 20, []
    for cut in (0, 1, 4097, size // 2 + 1, size - 1):
        fill(f"{root}/cut", ord("a"), size)
        s = server.connect(16384)
        s.sendall(REQUEST % b"cut" * 3)
        time.sleep(0.2 * SLOW)
        os.truncate(f"{root}/cut", cut)
        answer = Answer(rest_of(s))
        s.close()
        if answer.whole or answer.length != size or not_mixed(answer.body, b"a"):
            wrong.append(f"cut to {cut}: {len(answer.body)} of {answer.length}, "
                         f"{not_mixed(answer.body, b'a')[:20]!r}")
    tap.none(wrong, "a file that shrinks ends the connection, and is not filled up")
    fill(f"{root}/cut", ord("a"), size)
    s = server.connect(16384)
    s.sendall(REQUEST % b"cut")
    time.sleep(0.2 * SLOW)
    with open(f"{root}/cut", "ab") as f:
        f.write(b"b" * 100_000)
    answer = read_answer(s)
    tap.ok(answer.whole and answer.body == b"a" * size, "one that grows ends where it was said")
    s.sendall(REQUEST % b"small")
    tap.equal(read_answer(s).body, b"small", "  and the connection goes on")
    s.close()


def check_storm(server, root):
    """One writer cuts, fills, replaces; readers of whole answers on kept connections."""
    over = time.monotonic() + SECONDS
    states, done, wrong = b"abcdefgh", [0, 0], []
    sizes = [1000, 5000, 70_001, 400_003, 1_500_000]
    for i, size in enumerate(sizes):
        fill(f"{root}/storm{i}", ord("a"), size)

    def writer():
        rng = random.Random(1)
        while time.monotonic() < over:
            i = rng.randrange(len(sizes))
            path, byte, size = f"{root}/storm{i}", rng.choice(states), rng.choice(sizes)
            what = rng.randrange(3)
            if what == 0:
                fill(path, byte, os.path.getsize(path))
            elif what == 1:
                os.truncate(path, rng.randrange(os.path.getsize(path) + 1))
                with open(path, "ab") as f:
                    f.write(bytes([byte]) * (size - f.tell()))
            else:
                write(path + ".new", bytes([byte]) * size)
                os.rename(path + ".new", path)
            time.sleep(0.001)

    def reader(seed):
        rng, s = random.Random(seed), None
        while time.monotonic() < over:
            s = s or server.connect()
            try:
                s.sendall(REQUEST % b"storm%d" % rng.randrange(len(sizes)))
                answer = read_answer(s)
            except (ConnectionError, IndexError, ValueError) as e:
                answer = None
                if not isinstance(e, ConnectionError):
                    wrong.append(f"not an answer: {e}")
            if answer is None or not answer.whole:
                done[1] += 1
                s.close()
                s = None
            if answer is None:
                continue
            done[0] += answer.whole
            if odd := not_mixed(answer.body, states):
                wrong.append(f"{len(answer.body)} of {answer.length}: {odd[:10]!r}")
            if answer.status not in (200, 0):
                wrong.append(f"status {answer.status}")
            if answer.rest:
                wrong.append(f"{answer.rest[:20]!r} behind the answer")

    threads = [threading.Thread(target=writer)] + \
              [threading.Thread(target=reader, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.none(wrong[:10], f"in a storm of changes, {done[0]} whole answers and {done[1]} that "
                         "were broken off have no byte that the file never had")
    tap.ok(done[0] > 20, "  and there were some")


# ------------------------------------------------------ names that change


def held(server, path):
    """The worker keeps the file open between requests."""
    directory = f"/proc/{server.workers()[0]}/fd"
    for fd in os.listdir(directory):
        try:
            if os.readlink(f"{directory}/{fd}").removesuffix(" (deleted)") == path:
                return True
        except FileNotFoundError:
            pass
    return False


def ask_thrice(s, target):
    for _ in range(3):
        s.sendall(REQUEST % target)
        answer = read_answer(s)
    return answer


def check_names(server, root):
    """What is kept open is what the name means, at each request anew."""
    def now(target):
        s.sendall(REQUEST % target)
        answer = read_answer(s)
        return answer.body if answer.status == 200 else answer.status

    os.makedirs(f"{root}/n/a/b")
    os.makedirs(f"{root}/n/c/b")
    write(f"{root}/n/a/b/f", b"one")
    write(f"{root}/n/c/b/f", b"two")
    s = server.connect()
    name = b"n/a/b/f"

    def rest():
        """It is kept open again; after each change that is put off for a while."""
        wait_for(lambda: ask_thrice(s, name).status != 200 or held(server, f"{root}/n/a/b/f"))

    rest()
    tap.ok(held(server, f"{root}/n/a/b/f"), "a file in demand is kept open")
    changes = [
        ("written to", lambda: write(f"{root}/n/a/b/f", b"three"), b"three"),
        ("replaced", lambda: replace(f"{root}/n/a/b/f", b"four"), b"four"),
        ("removed", lambda: os.unlink(f"{root}/n/a/b/f"), 404),
        ("made", lambda: write(f"{root}/n/a/b/f", b"five"), b"five"),
        ("in a directory that is moved away", lambda: os.rename(f"{root}/n/a", f"{root}/n/x"), 404),
        ("in another in its place", lambda: os.rename(f"{root}/n/c", f"{root}/n/a"), b"two"),
        ("moved away, far above", lambda: os.rename(f"{root}/n", f"{root}/m"), 404),
        ("and moved back", lambda: os.rename(f"{root}/m", f"{root}/n"), b"two"),
        ("a link that leads out", lambda: link_out(f"{root}/n/a/b/f"), 403),
        ("a file again", lambda: replace(f"{root}/n/a/b/f", b"six"), b"six"),
    ]
    wrong = []
    for what, change, want in changes:
        rest()
        change()
        if (got := now(name)) != want:
            wrong.append(f"{what}: {got!r}, not {want!r}")
    tap.none(wrong, "each change of a name is seen by the next request")
    if os.geteuid() == 0:
        rest()
        mounted = subprocess.run(["mount", "--bind", f"{root}/n/x", f"{root}/n/a"],
                                 check=False).returncode == 0
        got = now(name)
        if mounted:
            subprocess.run(["umount", f"{root}/n/a"], check=True)
        tap.ok(not mounted or got == b"five", "a mount, too", got)
        tap.equal(now(name), b"six", "  and its end")
    s.close()


def replace(path, data):
    write(path + ".new", data)
    os.rename(path + ".new", path)


def link_out(path):
    os.symlink("/etc/passwd", path + ".new")
    os.rename(path + ".new", path)


def turn_over(path, n):
    """Another directory in its place, whose file holds n; the old one stays as it is."""
    os.mkdir(f"{path}.new")
    write(f"{path}.new/count", b"%d" % n)
    if os.path.exists(path):
        os.rename(path, f"{path}.{n}")
    os.rename(f"{path}.new", path)


def check_next_request(server, root):
    """Whoever has seen that a file was replaced gets the new one, or a newer one."""
    published, over, wrong, done = [0], time.monotonic() + SECONDS, [], [0, 0]
    turn_over(f"{root}/turn", 0)

    def writer():
        while time.monotonic() < over:
            for _ in range(3):
                turn_over(f"{root}/turn", published[0] + 1)
                published[0] += 1
            # Long enough for the file to be kept open.
            time.sleep(0.15)

    def reader():
        s = server.connect()
        while time.monotonic() < over:
            for _ in range(20):
                before = published[0]
                s.sendall(REQUEST % b"turn/count")
                answer = read_answer(s)
                # Between two renames there is none.
                got = int(answer.body) if answer.status == 200 else before
                done[0] += 1
                if got < before:
                    wrong.append(f"{got}, when {before} was there before it was asked for")
            done[1] += held(server, f"{root}/turn/count")
        s.close()

    threads = [threading.Thread(target=f) for f in (writer, reader, reader)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.none(wrong[:10], f"{done[0]} answers while a file is replaced {published[0]} times: "
                         "none is older than its request")
    tap.ok(done[1] > 0, "  and it was kept open in between")


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
            s.sendall(REQUEST % b"small")
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
                s.sendall(b"y")
            good += server.get("/small").body == b"small"
        tap.ok(good > 5, "a slow herd does not keep others waiting", f"{good} answers")
        left = sum(Answer(rest_of(s)).status == 408 for s in herd)
        tap.equal(left, 300, "and each of it is told that it was too slow")
        for s in herd:
            s.close()


def check_fair(server, root):
    """Some take all they can of large files; another's small requests are answered."""
    fill(f"{root}/huge", ord("h"), 64 << 20)
    stop, taken = threading.Event(), [0]

    def greedy():
        s = server.connect()
        while not stop.is_set():
            s.sendall(REQUEST % b"huge")
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
    s.sendall(REQUEST % b"sparse")
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
             b"Content-Length: 5", b"Transfer-Encoding: chunked", b"If-Range: \"", b":", b"a" * 9000]
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
                s.sendall(REQUEST % b"small")
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
            s.sendall(REQUEST % name.encode())
            s.recv(100)
            s.close()
            os.close(fd)
        tap.equal(server.get("/small").body, b"small", "who goes away meanwhile harms nobody")
        fd = os.open(f"{root}/cold", os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        s = server.connect(4096)
        s.sendall(REQUEST % b"cold")
        s.recv(1000)
        tap.equal(server.stop(signal.SIGQUIT), 0, "nor does it keep the server from ending")
        s.close()


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        os.mkdir(root)
        write(f"{root}/small", b"small")
        write(f"{root}/large", b"l" * 700_000)
        fill(f"{root}/still", ord("o"), STILL)
        fill(f"{root}/still2", ord("o"), STILL)
        settle()
        with Server(root) as server:
            worker = server.workers()
            check_overwritten(server, root)
            check_generations(server, root)
            check_cut(server, root)
            check_storm(server, root)
            check_names(server, root)
            check_next_request(server, root)
            check_fair(server, root)
            check_trickle(server, root)
            check_fuzzed(server)
            tap.equal(server.workers(), worker, "one worker, all the time")
        check_idle(root)
        check_still(root)
        check_cold(root)
        check_herd(root)
        check_descriptors(root)
        check_disk(root)
        check_faults(root)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
