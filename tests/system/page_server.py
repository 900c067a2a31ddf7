#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant page-server and what clients say: good ones of both headers, and hostile
ones, who get nothing stored and take nothing from others."""

import os
import random
import struct
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as criu  # noqa: E402
import page_client as wire  # noqa: E402
import tap  # noqa: E402
from page_client import PAGE, Client, Server, pid, shm  # noqa: E402

LIMIT_KIB = 64 << 10
SANITIZED = int(os.environ.get("TAP_SLOW", "1")) > 1


def page(tag):
    return struct.pack("<Q", tag) * 512


def some_pages(first, n):
    return b"".join(page(first + i) for i in range(n))


def left(directory="srv"):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def unfinished(directory="srv"):
    """What looks like an image, or is none yet: after a bad connection there is nothing."""
    return [n for n in left(directory) if n != "parent"]


# ------------------------------------------------------------------ good ones


def send_good(client, dst, vaddr=0x10000, tag=1000):
    """A pagemap of many kinds of entries; {address: page} of it."""
    memory, at = {}, vaddr
    for n in (1, 300, 2, 1, 7):
        data = some_pages(tag, n)
        client.pages(dst, at, data)
        memory.update({at + i * PAGE: page(tag + i) for i in range(n)})
        at += (n + 1) * PAGE
        tag += n
    return memory


def good(size):
    server = Server("-D", "srv")
    client = Client(server.port, size)
    tap.equal(client.parent(pid(7)), 0, f"{size} bytes: no parent")
    tap.equal(client.open(pid(7)), 0, "  the same by OPEN2")
    memory = send_good(client, pid(7))
    tap.equal(client.open(pid(8)), 0, "  a second process on the same connection")
    client.say(wire.ADD_F, pages=5, vaddr=0x1000, dst=pid(8), flags=wire.LAZY)
    other = send_good(client, pid(8), 1 << 46, 5000)
    client.open(shm(12345))
    client.pages(shm(12345), 0, page(9))
    tap.ok(not [n for n in left() if n.startswith("pagemap") and not n.endswith(".part")],
           "  before the end no pagemap has its name", left())
    tap.equal(client.close(), 0, "  CLOSE is answered")
    told = server.told()
    tap.ok(told["complete"] and told["header_bytes"] == size and told["pagemaps"] == 3,
           "  the server tells of it", told)
    tap.equal(criu.pages_of("srv", 7), memory, "  every page of the first")
    tap.equal(criu.pages_of("srv", 8), other, "  and of the second")
    tap.equal(criu.read_pagemap("srv", "pagemap-8.img")[1][0], (0x1000, 5, wire.LAZY),
              "  with its lazy entry")
    ids = [criu.read_pagemap("srv", n)[0] for n in left() if n.startswith("pagemap")]
    tap.equal(sorted(ids), [0x10001, 0x10002, 0x10003], "  numbers as CRIU's server gives them")
    tap.ok(all(os.stat(f"srv/{n}").st_mode & 0o777 == 0o600 for n in left()),
           "  nobody else may read them")
    # The same process again: the new one takes the place of the old.
    client = Client(server.port, size)
    client.open(pid(7))
    client.pages(pid(7), 0x5000, page(77))
    tap.equal(client.close(wire.FORCE_CLOSE), 0, "  the same process once more")
    tap.equal(criu.pages_of("srv", 7), {0x5000: page(77)}, "  replaces the first")
    tap.equal(len([n for n in left() if n.startswith("pages-")]), 3, "  and its pages")
    # Clients that are older than OPEN2.
    client = Client(server.port, size)
    client.say(wire.OPEN, dst=10 | 9 << 8)
    for n in (9, 10):
        client.say(wire.ADD, pages=1, vaddr=0x4000, dst=10 | n << 8)
        client.raw(page(n))
    tap.equal(client.close(), 0, "  a client of long ago")
    tap.equal(criu.pages_of("srv", 10), {0x4000: page(10)}, "  every page")
    tap.equal(server.end(), 0, "  it ends with SIGTERM")


def parents():
    server = Server("-D", "srv2", "--parent", "srv")
    client = Client(server.port, 32)
    tap.equal(client.parent(pid(8)), 1, "parent: it has that process")
    tap.equal(client.parent(pid(4711)), 0, "  and not that one")
    tap.equal(client.open(pid(8)), 1, "  OPEN2 says so, too")
    client.hole(pid(8), 1 << 46, 1)
    client.pages(pid(8), (1 << 46) + 2 * PAGE, page(1))
    tap.equal(client.open(pid(4711)), 0, "  another one has none")
    client.pages(pid(4711), 0, page(2))
    tap.equal(client.close(), 0, "  stored")
    tap.equal(os.readlink("srv2/parent"), "../srv", "  the link leads there")
    tap.equal(criu.pages_of("srv2", 8), {1 << 46: page(5000), (1 << 46) + 2 * PAGE: page(1)},
              "  the page of the parent is found")
    tap.equal(server.told()["parent_pages"], 1, "  and told")
    server.end()


# ----------------------------------------------------------------- hostile ones

A, B = pid(7), shm(9)


def hostile():
    """(what it is, what it says after OPEN2, what the server says of it)"""
    def say(size, command, **what):
        return wire.header(size, command, **what)

    def pages(size, vaddr, n, dst=A, flags=wire.PRESENT, of=None):
        return say(size, wire.ADD_F, pages=n, vaddr=vaddr, dst=dst, flags=flags) + \
            page(1) * (n if of is None else of)

    rows = [
        ("overlapping pages", lambda s: pages(s, 0x10000, 4) + pages(s, 0x12000, 4), "before the"),
        ("the same pages twice", lambda s: pages(s, 0x10000, 4) * 2, "before the end"),
        ("pages that go backwards", lambda s: pages(s, 0x90000, 1) + pages(s, 0x10000, 1),
         "before the end"),
        ("the same process twice", lambda s: say(s, wire.OPEN2, dst=A), "is there already"),
        ("pages of a parent that is not there", lambda s: say(
            s, wire.ADD_F, pages=1, vaddr=0, dst=A, flags=wire.IN_PARENT), "there is none"),
        ("half a page", lambda s: pages(s, 0x10000, 1)[:-2048], "cut"),
        ("half a header", lambda s: say(s, wire.ADD_F)[:s // 2], "cut"),
        ("no CLOSE", lambda s: pages(s, 0x10000, 1), "before its end"),
        ("2^30 pages", lambda s: pages(s, 0x10000, 1 << 30, of=1), "announced"),
        ("an address beyond all", lambda s: pages(s, (1 << 64) - PAGE, 1, of=0), "no range"),
        ("an odd address", lambda s: pages(s, 0x10001, 1, of=0), "no range"),
        ("no pages", lambda s: pages(s, 0x10000, 0), "no range"),
        ("no flags", lambda s: pages(s, 0x10000, 1, flags=0), "flags"),
        ("all flags", lambda s: pages(s, 0x10000, 1, flags=0xffff), "flags"),
        ("a command that is none", lambda s: say(s, 77, dst=A), "no command"),
        ("a question for pages", lambda s: say(s, wire.GET, dst=7, pages=1), "only taken here"),
        ("compressed pages", lambda s: say(s, wire.COMPRESSED, dst=A, pages=1, flags=4),
         "compressed"),
        ("process 0", lambda s: say(s, wire.OPEN2, dst=pid(0)), "no process"),
        ("process 2^40", lambda s: say(s, wire.OPEN2, dst=pid(1 << 40)), "no process"),
        ("an unknown kind", lambda s: say(s, wire.OPEN2, dst=7 << 8 | 99), "kind"),
        ("noise", lambda s: random.randbytes(100000), "."),
    ]
    return rows + [(f"{n} pages", lambda s, n=n: pages(s, 0x10000, n, of=1)
                    if s == 32 else say(s, 77), ".") for n in (1 << 40, 1 << 52, (1 << 64) - 1)]


def refusals():
    server = Server("-D", "srv")
    # Somebody who is at it all the time, and must not notice.
    other = Client(server.port, 32)
    other.open(pid(4000))
    memory, at = {}, 0x100000
    base = left()
    for size in (24, 32):
        for what, say, why in hostile():
            client = Client(server.port, size)
            client.open(A)
            try:
                client.raw(say(size))
                client.s.shutdown(1)
            except OSError:
                pass
            tap.ok(client.broken(), f"{size} bytes, {what}: broken off")
            told = server.told()
            tap.ok(not told["complete"] and why.strip(".") in told["message"], "  and says why",
                   told)
            tap.equal(left(), base, "  nothing of it is left")
            other.pages(pid(4000), at, page(at))
            memory[at] = page(at)
            at += 3 * PAGE
    client = Client(server.port, 24)
    client.say(wire.OPEN2, dst=pid(4000))
    tap.ok(client.broken(), "a process that somebody is just bringing: broken off")
    tap.ok("is being written" in server.told()["message"], "  and says why", server.lines[-1])
    tap.equal(other.close(), 0, "who was there all the time ends well")
    tap.ok(server.told()["complete"], "  and is told so", server.lines[-1])
    tap.equal(criu.pages_of("srv", 4000), memory, "  every page of it")
    tap.equal(unfinished(), ["pagemap-4000.img", "pages-65537.img"], "  and nothing else")
    open("srv/pagemap-1.img.part", "w", encoding="ascii").close()
    tap.ok(unfinished() != ["pagemap-4000.img", "pages-65537.img"],
           "control: what is left behind is seen")
    os.unlink("srv/pagemap-1.img.part")
    # After CLOSE it is stored, whatever comes then.
    client = Client(server.port, 24)
    client.open(pid(5))
    client.pages(pid(5), 0, page(5))
    client.raw(wire.header(24, wire.CLOSE) + b"more")
    tap.equal(client.need(4), bytes(4), "something behind CLOSE: the answer comes")
    client.cut()
    tap.ok(server.told()["complete"], "  and it is stored", server.lines[-1])
    server.end()


def silent():
    """Ten that say nothing, ten that stop within a header, ten within a page."""
    server = Server("-D", "srv", "--timeout", "1s", "--max-connections", "40")
    clients = []
    for n in range(30):
        client = Client(server.port, 24)
        if n % 3 == 1:
            client.raw(wire.header(24, wire.OPEN2, dst=pid(100 + n))[:10])
        elif n % 3 == 2:
            client.open(pid(100 + n))
            client.raw(wire.header(24, wire.ADD_F, pages=9, dst=pid(100 + n), flags=4) + b"x" * 99)
        clients.append(client)
    client = Client(server.port, 32)
    client.open(pid(7))
    memory = send_good(client, pid(7))
    tap.equal(client.close(), 0, "beside 30 silent ones a good one ends well")
    tap.equal(criu.pages_of("srv", 7), memory, "  every page")
    tap.ok(all(c.broken() for c in clients), "  the silent ones are broken off")
    tap.equal(server.end(), 0, "  it ends")
    why = [line["message"] for line in server.lines if line.get("message")]
    tap.ok(len(why) == 30 and all("silent" in w for w in why), "  each says why", why)
    tap.equal(len(unfinished()), 2, "  nothing of them is left")
    server = Server("-D", "srv")
    client = Client(server.port, 24, limit=2)
    tap.ok(not client.broken(), "control: without a time-out a silent one is not broken off")
    client.cut()
    server.end()


def flood():
    server = Server("-D", "srv", "--max-connections", "8", "--timeout", "2s")
    clients, early = [], 0
    while len(clients) + early < 300:
        try:
            clients.append(Client(server.port))
        except ConnectionResetError:
            early += 1
    tap.ok(early + sum(c.broken() for c in clients[8:]) == 292,
           "300 connections, 8 may: 292 are refused")
    for c in clients[:8]:
        c.cut()
    server_threads = f"/proc/{server.p.pid}/task"
    tap.ok(wire.until(lambda: len(os.listdir(server_threads)) <= 3), "  the others end",
           os.listdir(server_threads))
    client = Client(server.port, 24)
    client.open(pid(7))
    memory = send_good(client, pid(7))
    tap.equal(client.close(), 0, "  then a good one ends well")
    tap.equal(criu.pages_of("srv", 7), memory, "  every page")
    tap.equal(server.end(), 0, "  it ends")
    last = server.lines[-1]
    tap.ok(last["refused"] + last["failed"] == 300 and last["refused"] > 200,
           "  and tells how many it refused", last)


def crowd():
    """64 at once, 8 MiB each: all are stored, in bounded memory."""
    server = Server("-D", "srv")
    wrong = []
    data = {n: random.randbytes(PAGE) for n in range(64)}

    def one(n):
        client = Client(server.port, 24 if n % 2 else 32, limit=120)
        client.open(pid(n + 1))
        for i in range(8):
            client.pages(pid(n + 1), i << 24, data[n] * 256)
        if client.close() != 0:
            wrong.append(n)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.none(wrong, "64 processes at once over 64 connections")
    peak = server.memory_kib()
    tap.ok(SANITIZED or peak <= LIMIT_KIB, f"  in {peak >> 10} MiB of memory")
    ballast = bytearray(b"x") * (LIMIT_KIB << 10)
    tap.ok(wire.memory_kib(os.getpid()) > LIMIT_KIB, "  control: more than that is seen",
           len(ballast))
    del ballast
    bad = [n for n in range(64) if set(criu.pages_of("srv", n + 1).values()) != {data[n]}]
    tap.none(bad, "  every page of all")
    tap.equal(server.end(), 0, "  it ends")


def main():
    random.seed(int(os.environ.get("DECANT_SEED", "1")))
    for what in (lambda: good(24), lambda: good(32), parents, refusals, silent, flood, crowd):
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            if what is parents:
                server = Server("-D", "srv")
                client = Client(server.port)
                client.open(pid(8))
                client.pages(pid(8), 1 << 46, page(5000))
                client.close()
                server.end()
            what()
            os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
