#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve and files that are overwritten, cut, replaced and renamed while
they are sent, kept open or mapped: no byte that the file did not have, and no
file that the name does not mean any more."""

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import (SLOW, Answer, Server, fill, not_mixed, read_answer,  # noqa: E402
                     request, rest_of, settle, wait_for, write)
import tap  # noqa: E402

FULL = os.environ.get("DECANT_TEST_FULL") == "1"
SECONDS = (60 if FULL else 2) * SLOW
PAGE = 4096


# ------------------------------------------------------- files that change


def check_overwritten(server, root):
    """All is with the kernel, then the file is overwritten; then it is read."""
    size = 200_000
    fill(f"{root}/over", ord("o"), size)
    s = server.connect(1 << 20)
    s.sendall(request(b"over"))
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
        s.sendall(request(b"still"))
        time.sleep(0.3 * SLOW)
        fill(f"{root}/still", ord("p"), STILL)
        body = read_answer(s).body
        s.close()
        tap.ok(len(body) == STILL and not not_mixed(body, b"op") and
               body[:65536] == b"o" * 65536, "  what was sent stays as it was",
               f"{body.count(b'o')} old bytes")
        server.get("/still2")
        server.get("/still2")
        s = server.connect(16384)
        s.sendall(request(b"still2") * 2)
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
    s.sendall(request(b"gen"))
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
    steps, newest, wrong = [body[i] for i in range(0, len(body), PAGE)], 0, 0
    for step in steps:
        # While one state is written, the one before it may still be found further on.
        wrong += step < newest - 1
        newest = max(newest, step)
    tap.ok(len(body) == size and wrong == 0 and len(set(steps)) > 2 and
           b"200" in head, "to a slow reader, states of the file in their order",
           f"{len(body)} bytes, {len(set(steps))} states")


def check_cut(server, root):
    """Cut while it is on its way: the connection ends, and nothing stands for what is gone."""
    size, wrong = 24 << 20, []
    for cut in (0, 1, 4097, size // 2 + 1, size - 1):
        fill(f"{root}/cut", ord("a"), size)
        s = server.connect(16384)
        s.sendall(request(b"cut") * 3)
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
    s.sendall(request(b"cut"))
    time.sleep(0.2 * SLOW)
    with open(f"{root}/cut", "ab") as f:
        f.write(b"b" * 100_000)
    answer = read_answer(s)
    tap.ok(answer.whole and answer.body == b"a" * size, "one that grows ends where it was said")
    s.sendall(request(b"small"))
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
                s.sendall(request(b"storm%d" % rng.randrange(len(sizes))))
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
        s.sendall(request(target))
        answer = read_answer(s)
    return answer


def check_names(server, root):
    """What is kept open is what the name means, at each request anew."""
    def now(target):
        s.sendall(request(target))
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
            # The answer has come; that the worker has let go of the file is not said.
            subprocess.run(["umount", "-l", f"{root}/n/a"], check=True)
        tap.ok(not mounted or got == b"five", "a mount, too", got)
        tap.equal(now(name), b"six", "  and its end")
    s.close()


def check_deaf(root):
    """The control: without its watches it would give what the name does not mean any more."""
    deaf = os.path.join(tap.BUILD, "tests", "programs", "deaf.so")
    for name, data in ("o/a/f", b"old"), ("o/b/f", b"new"):
        os.makedirs(os.path.dirname(f"{root}/{name}"))
        write(f"{root}/{name}", data)
    got = []
    # It comes before the sanitizers, which would not have that.
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    for environment in {}, {"LD_PRELOAD": deaf, "ASAN_OPTIONS": asan}:
        with Server(root, environment=environment) as server:
            s = server.connect()
            wait_for(lambda: ask_thrice(s, b"o/a/f").status != 200 or  # pylint: disable=W0640
                     held(server, f"{root}/o/a/f"))  # pylint: disable=W0640
            os.rename(f"{root}/o/a", f"{root}/o/c")
            os.rename(f"{root}/o/b", f"{root}/o/a")
            s.sendall(request(b"o/a/f"))
            got.append(read_answer(s).body)
            os.rename(f"{root}/o/a", f"{root}/o/b")
            os.rename(f"{root}/o/c", f"{root}/o/a")
            s.close()
    tap.equal(got, [b"new", b"old"], "control: with watches that hear nothing it is stale")


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
                s.sendall(request(b"turn/count"))
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


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        os.mkdir(root)
        began = time.monotonic()
        write(f"{root}/small", b"small")
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
            tap.equal(server.workers(), worker, "one worker, all the time")
        check_deaf(root)
        # Quiet is what nobody has changed for ten seconds.
        time.sleep(max(0, began + 11 - time.monotonic()))
        check_still(root)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
