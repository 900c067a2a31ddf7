#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve and requests that no client sends: seeds of tests/fuzz/corpus/http,
mutated, over real connections: byte by byte, in pieces, one behind the other, half
closed, reset, never read.  After each: the same worker lives, its memory and its
descriptors stay in bounds, every answer is one, and a usual request beside it gets
the right bytes.

    DECANT_FUZZ_SECONDS   how long; a few seconds otherwise
    DECANT_SEED           another run; DECANT_FUZZ_FROM: from that case of it on
"""

import os
import random
import re
import signal
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "lib"))

from serving import LIMIT, Server, read_answer, rest_of, wait_for, write  # noqa: E402
import tap  # noqa: E402

SECONDS = float(os.environ.get("DECANT_FUZZ_SECONDS", "3"))
SEED = os.environ.get("DECANT_SEED", "1")
FROM = int(os.environ.get("DECANT_FUZZ_FROM", "0"))
CORPUS = os.path.join(TESTS, "fuzz", "corpus", "http")
SECRET = b"nobody may read this"
STATUSES = {200, 204, 206, 301, 302, 304, 400, 403, 404, 405, 408, 412, 414, 416, 431, 501, 505}
MEMORY_GROWTH = 64 << 20
# Connections that were reset or only half read, until the server has seen it.
FDS_GROWTH = 200
CASE_BYTES_MAX = 100_000
# So long a server reads what comes behind the last request that it answers.
PATIENCE = 1.5

SEEDS = [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % target for target in
         (b"small", b"large.bin", b"page.txt", b"d/", b"d", b"", b"d/../small", b"link",
          b".secret", b"%2e%2e/secret", b"d/%2e%2e/%2e%2e/secret", b"?C=M&O=D",
          b"small%00.txt", b"//small")] + [
    b"HEAD /large.bin HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-0,100-2000,-5\r\n\r\n",
    b"GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=299000-\r\nIf-Range: \"a\"\r\n\r\n",
    b"GET /page.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd;q=0.1, gzip\r\n\r\n",
    b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\nGET /large.bin HTTP/1.1\r\n\r\n",
]
WORDS = [b"GET", b"HEAD", b"OPTIONS", b" ", b"/", b"..", b"%00", b"%2e", b"%2F", b"\\", b"HTTP/1.1",
         b"HTTP/1.0", b"HTTP/9.9", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\t", b"Host: x",
         b"Range: bytes=", b"0-", b"-1", b",", b"-", b"\0", b"\xff", b"\xc0\xae", b":", b"\"",
         b"Content-Length: 5", b"Content-Length: 18446744073709551616", b"chunked",
         b"Transfer-Encoding: chunked", b"If-Range: \"", b"If-None-Match: *", b"W/\"", b";q=0.",
         b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", b"Connection: close", b"Upgrade: h2c",
         b"Accept-Encoding: *", b"Expect: 100-continue", b"9" * 25, b"-9223372036854775808",
         b"a" * 5000, b"http://x:80/", b"#", b"?C=N;O=D"]


# ------------------------------------------------------------- what is sent


def mutate(rng, data, seeds):
    """A few changes of a seed."""
    data = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8))):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 64)))
        what = rng.randrange(8)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif what == 2:
            del data[at:to]
        elif what == 3:
            data[at:at] = data[at:to] * rng.choice((1, 2, 30, 500))
        elif what == 4:
            data[at:to] = rng.choice(WORDS)
        elif what == 5:
            data[at:at] = rng.choice(WORDS)
        elif what == 6:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other) + 1):]
        else:
            lines = bytes(data).split(b"\n")
            i = rng.randrange(len(lines))
            lines[i:i] = [lines[i]] * rng.choice((1, 3, 200))
            data = bytearray(b"\n".join(lines))
        del data[CASE_BYTES_MAX:]
    return bytes(data)


def in_pieces(s, rng, data):
    while data:
        n = rng.choice((1, 2, 7, 100, 4096, 65536))
        s.sendall(data[:n])
        data = data[n:]


def by_bytes(s, _, data):
    """Each in a segment of its own: TCP_NODELAY is set."""
    for i in range(min(len(data), 400)):
        s.sendall(data[i:i + 1])
    s.sendall(data[400:])


def at_once(s, _, data):
    s.sendall(data)


def connect(server, rng, deaf):
    """From one of many addresses: an hour has more connections than one has ports."""
    s = socket.socket()
    s.settimeout(LIMIT)
    if deaf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.bind((f"127.0.{rng.randrange(1, 250)}.1", 0))
    s.connect(("127.0.0.1", server.port))
    return s


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def deliver(server, rng, data):
    """What was answered, or None where that was not waited for."""
    began = time.monotonic()
    deaf = rng.randrange(8) == 0
    end = rng.choice(("half", "half", "half", "half", "reset", "close", "some"))
    s = connect(server, rng, deaf)
    try:
        rng.choice((at_once, at_once, in_pieces, by_bytes))(s, rng, data)
        if end == "half":
            s.shutdown(socket.SHUT_WR)
            got = rest_of(s)
            return got if time.monotonic() - began < PATIENCE else None
        if end == "some":
            s.setblocking(False)
            s.recv(rng.choice((1, 100, 65536)))
    except BlockingIOError:
        pass
    except TimeoutError:
        raise
    except OSError:
        # It may have gone before all was sent, but only if it was held up.
        if end == "half" and time.monotonic() - began < PATIENCE:
            raise
    finally:
        if end == "reset" or deaf:
            reset(s)
        s.close()
    return None


# ----------------------------------------------------------- what comes back


class Judge:
    """Knows what is served, and says what is wrong with a stream of answers."""

    def __init__(self, files):
        self.by_size = {len(data): data for data in files.values()}
        assert len(self.by_size) == len(files)
        self.answers = 0

    def body(self, status, fields, body):
        """Of an answer with one; None or what is wrong."""
        if status == 200 and b"etag" in fields:
            if body != self.by_size.get(len(body)):
                return "not the file's bytes"
        elif status == 206 and b"content-range" in fields:
            found = re.fullmatch(rb"bytes (\d+)-(\d+)/(\d+)", fields[b"content-range"])
            data = self.by_size.get(int(found[3])) if found else None
            if data is None or data[int(found[1]):int(found[2]) + 1] != body:
                return "not the range's bytes"
        elif status == 206:
            kind = re.fullmatch(rb"multipart/byteranges; boundary=(\S+)", fields[b"content-type"])
            if not kind or not body.endswith(b"--" + kind[1] + b"--\r\n"):
                return "not parts"
        elif status != 206 and not body.startswith(b"<!"):
            return f"not a page: {body[:40]!r}"
        return None

    def stream(self, data):
        """Answers that ended with the connection."""
        at = 0
        if SECRET in data:
            return "the secret"
        while at < len(data):
            head, gap, _ = data[at:at + 65536].partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            first = re.fullmatch(rb"HTTP/1\.[01] (\d{3}) [A-Za-z ]+", lines[0])
            if not gap or not first or int(first[1]) not in STATUSES:
                return f"no head: {data[at:at + 80]!r}"
            fields = {}
            for line in lines[1:]:
                name, colon, value = line.partition(b": ")
                if not colon or name.lower() in fields or b"\n" in line or b"\0" in line:
                    return f"a field: {line!r}"
                fields[name.lower()] = value
            at += len(head) + len(gap)
            status, n = int(first[1]), int(fields.get(b"content-length", 0))
            self.answers += 1
            # To HEAD, and where there never is one; no body of ours begins so.
            if status in (204, 304) or at == len(data) or data[at:at + 7] == b"HTTP/1.":
                continue
            if at + n > len(data):
                return f"{len(data) - at} bytes of {n}"
            wrong = self.body(status, fields, data[at:at + n])
            if wrong:
                return f"{status}: {wrong}"
            at += n
        return None


class Watch:
    """The server from outside."""

    def __init__(self, server, files):
        self.server, self.files = server, files
        self.worker = server.workers()
        self.kept = server.connect()
        self.memory_base = self.fds_base = 0

    def begin(self):
        self.memory_base, self.fds_base = self.memory(), self.fds()

    def memory(self):
        with open(f"/proc/{self.worker[0]}/status", encoding="ascii") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read())[1]) * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.worker[0]}/fd"))

    def usual(self, rng):
        """A request that anybody would make, on a connection that stays."""
        name = rng.choice(list(self.files))
        try:
            self.kept.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
            answer = read_answer(self.kept)
        except OSError as e:
            return f"{name}: {e}"
        good = answer.status == 200 and answer.body == self.files[name] and not answer.rest
        return None if good else f"{name}: {answer.status}, {len(answer.body)} bytes"

    def look(self, rng):
        """None, or what is wrong."""
        if self.server.workers() != self.worker:
            return f"the worker is another: {self.server.said()}"
        if wrong := self.usual(rng):
            return f"beside it, {wrong}"
        if self.memory() > self.memory_base + MEMORY_GROWTH:
            return f"{self.memory()} bytes of memory, of {self.memory_base} to begin with"
        if self.fds() > self.fds_base + FDS_GROWTH:
            return f"{self.fds()} descriptors, of {self.fds_base} to begin with"
        return None


def make_root(directory):
    root = os.path.join(directory, "www")
    os.makedirs(f"{root}/d")
    rng = random.Random(5)
    files = {"small": b"small", "large.bin": rng.randbytes(300_007), "page.txt": b"p" * 3000,
             "d/text": b"text"}
    for name, data in files.items():
        write(f"{root}/{name}", data)
    for suffix, data in (".gz", rng.randbytes(777)), (".zst", rng.randbytes(555)):
        write(f"{root}/page.txt{suffix}", data)
        files[f"page.txt{suffix}"] = data
    write(f"{directory}/secret", SECRET)
    write(f"{root}/.secret", SECRET)
    os.symlink("../secret", f"{root}/link")
    return root, files


def corpus():
    seeds = list(SEEDS)
    for name in sorted(os.listdir(CORPUS)):
        with open(os.path.join(CORPUS, name), "rb") as f:
            seeds.append(f.read())
    return seeds


def a_case(rng, seeds):
    """What one connection sends: requests, one behind the other."""
    data = b""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 20))):
        one = rng.choice(seeds)
        data += mutate(rng, one, seeds) if rng.randrange(4) else one
    return data


def fuzz(watch, judge, seeds):
    """(cases, what is wrong)"""
    until, told, n = time.monotonic() + SECONDS, time.monotonic(), FROM
    while time.monotonic() < until:
        rng = random.Random(f"{SEED}-{n}")
        data = a_case(rng, seeds)
        try:
            got = deliver(watch.server, rng, data)
        except OSError as e:
            got = None
            wrong = f"no answer: {e}"
        else:
            wrong = None if got is None else judge.stream(got)
        wrong = wrong or watch.look(rng)
        if wrong:
            return n - FROM, f"DECANT_SEED={SEED} case {n}: {wrong}\nsent {data[:3000]!r}"
        n += 1
        # The first ones make what stays: tables, files kept open.
        if n == FROM + 100:
            watch.begin()
        if time.monotonic() - told > 60:
            told = time.monotonic()
            tap.diag(f"{n - FROM} cases, {judge.answers} answers, "
                     f"{watch.memory() >> 20} MiB, {watch.fds()} descriptors")
            if "runtime error" in watch.server.said():
                return n - FROM, watch.server.said()
    return n - FROM, None


def check_control(root, files):
    """That what is looked for would be found."""
    judge = Judge(files)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nsmall"
    tap.equal(judge.stream(whole * 2), None, "a right answer is taken for one")
    for what, data in [("one that is cut", whole[:-1]), ("one byte too many", whole + b"s"),
                       ("another file's bytes", whole.replace(b"small", b"smalL")),
                       ("a status that says it is our fault", whole.replace(b"200", b"500")),
                       ("a line that was put in", whole.replace(b"ETag", b"A: b\r\n\nETag")),
                       ("the secret", whole + SECRET)]:
        tap.ok(judge.stream(data), f"found: {what}")
    with Server(root) as server:
        watch = Watch(server, files)
        watch.begin()
        rng = random.Random(1)
        tap.equal(watch.look(rng), None, "a server that is well is taken for one")
        many = [server.connect() for _ in range(FDS_GROWTH + 50)]
        wait_for(lambda: watch.look(rng))
        tap.ok("descriptors" in (watch.look(rng) or ""), "found: descriptors that stay open")
        for s in many:
            s.close()
        watch.memory_base -= MEMORY_GROWTH + 1
        tap.ok("memory" in (watch.look(rng) or ""), "found: memory that grows")
        os.kill(watch.worker[0], signal.SIGKILL)
        wait_for(lambda: "another" in (watch.look(rng) or ""))
        tap.ok("another" in (watch.look(rng) or ""), "found: a worker that died")


def main():
    # What was freed is kept by the sanitizer: not too much of it.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"
    with tempfile.TemporaryDirectory() as directory:
        root, files = make_root(directory)
        check_control(root, files)
        with Server(root) as server:
            watch, judge = Watch(server, files), Judge(files)
            watch.begin()
            began = time.monotonic()
            n, wrong = fuzz(watch, judge, corpus())
            tap.ok(not wrong, f"{n} connections in {time.monotonic() - began:.0f} s and "
                              f"{judge.answers} answers to them: each as it must be", wrong)
            tap.ok(n > 50, "  and there were some")
            watch.kept.close()
            wait_for(lambda: watch.fds() <= watch.fds_base + 4)
            tap.ok(watch.fds() <= watch.fds_base + 4, "  no descriptor stays",
                   f"{watch.fds()} of {watch.fds_base}")
            tap.equal(server.stop(), 0, "  and it ends well")
            tap.ok("ERROR" not in server.said() and "runtime error" not in server.said(),
                   "  and has nothing to say", server.said())
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
