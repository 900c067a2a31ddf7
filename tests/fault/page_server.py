#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant page-server and predump --to: killed, cut off, on full disks, and with an
error at each call.  Nothing looks complete that is not."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as criu  # noqa: E402
import page_client as wire  # noqa: E402
import tap  # noqa: E402
from page_client import (  # noqa: E402
    PAGE, SLOW, Client, Server, Victim, fault, left, looks_complete, page, pid, run, until)

FULL = os.environ.get("DECANT_TEST_FULL") == "1"

WANT = {(i << 20) + k * PAGE: page(i) for i in range(4) for k in range(16)}


def one_image(server):
    """The status that a client is told; None: it was broken off."""
    try:
        client = Client(server.port, limit=10)
        client.open(pid(7))
        for i in range(4):
            client.pages(pid(7), i << 20, page(i) * 16)
        return client.close()
    except OSError:
        return None


def killed_at(n):
    """One client, and a server that dies at its Nth system call; did it die?"""
    server = Server("-D", "srv", env=fault(n, "", "kill"))
    status = one_image(server) if server.port else None
    if server.p.poll() is None and status == 0:
        server.end()
        return False
    died = until(lambda: server.p.poll() is not None, 5)
    server.end(signal.SIGKILL)
    if looks_complete() and criu.pages_of("srv", 7) != WANT:
        tap.ok(False, f"killed at call {n}: looks complete", left())
    # What is told to the client is there.
    if status == 0 and not looks_complete():
        tap.ok(False, f"killed at call {n}: was told to be stored, and is not", left())
    parts = [x for x in left() if x.endswith(".part")]
    if parts:
        code, _, err = run("page-server", "-D", "srv")
        if code != 1 or "killed" not in err:
            tap.ok(False, f"killed at call {n}: the next run does not say so", err)
        server = Server("-D", "srv", "--clean")
        server.end()
        if [x for x in left() if x.endswith(".part")]:
            tap.ok(False, f"killed at call {n}: --clean leaves some", left())
    shutil.rmtree("srv", ignore_errors=True)
    return died


def kills():
    """Everywhere, in steps; all of them where everything is tested."""
    n, step, died = 1, 1 if FULL else 7, 0
    before = tap.failed
    while n < 2000 and killed_at(n):
        died += 1
        n += step
    tap.ok(died > 10 and tap.failed == before,
           f"killed at {died} places: never looks complete when it is not", died)


def failed_at(n, how):
    """Something goes wrong in the server's Nth system call; did it?"""
    server = Server("-D", "srv", env=fault(n, "", how))
    status = one_image(server) if server.port else None
    code = server.end()
    if code not in (0, 1) or "did not end" in server.error:
        tap.ok(False, f"{how or 'error'} at call {n}: ends with {code}", server.error)
    if status == 0 and (not looks_complete() or criu.pages_of("srv", 7) != WANT):
        tap.ok(False, f"{how or 'error'} at call {n}: was told to be stored, and is not", left())
    if status != 0 and looks_complete() and criu.pages_of("srv", 7) != WANT:
        tap.ok(False, f"{how or 'error'} at call {n}: looks complete", left())
    shutil.rmtree("srv", ignore_errors=True)
    return status


def errors():
    before, bad = tap.failed, 0
    for how, step in (("", 1), ("short", 1)):
        for n in range(1, 400 if FULL else 140, 1 if FULL else 3 * step):
            bad += failed_at(n, how) != 0
    tap.ok(tap.failed == before and bad > 10,
           f"an error at each call, {bad} of them the image's end: nothing looks complete", bad)
    with Victim("quiet") as target:
        server = Server("-D", "srv", "--timeout", "5s")
        calls = ("sendmsg", "recvmsg", "poll", "getfl", "setfl", "splice", "mmap", "malloc")
        good = 0
        for name in calls:
            for n in (1, 2, 5) if not FULL else range(1, 40):
                for how in ("", "short") if name in ("sendmsg", "recvmsg", "splice") else ("",):
                    mode = "vmsplice" if name == "splice" else "read"
                    status, _, err = run(
                        "predump", str(target.pid), "-D", "img", "--mode", mode, "--to",
                        f"tcp:127.0.0.1:{server.port}",
                        env={**os.environ, **fault(n, name, how)})
                    good += status == 0
                    whole = os.path.exists("img/inventory.img")
                    if status not in (0, 1) or (status == 1) == whole:
                        tap.ok(False, f"{name} {how or 'fails'} in a client, call {n}: {status}",
                               err)
                    shutil.rmtree("img", ignore_errors=True)
        tap.ok(tap.failed == before, f"the same in a client, {good} images all the same")
        tap.equal(server.end(), 0, "  the server ends well")
        complete = sum(1 for line in server.lines if line.get("complete"))
        tap.equal(complete, good, "  and has as many")


def client_killed():
    server = Server("-D", "srv")
    client = Client(server.port)
    client.open(pid(7))
    client.pages(pid(7), 0, page(1) * 64)
    client.say(wire.ADD_F, pages=64, vaddr=1 << 20, dst=pid(7), flags=wire.PRESENT)
    client.raw(page(2) * 5)
    tap.ok(until(lambda: any(n.endswith(".part") for n in left())), "a client within its pages")
    client.cut()
    tap.ok(not server.told()["complete"], "  is cut off: the server says so", server.lines)
    tap.equal(left(), [], "  nothing is left")
    server.end()


def disk_full():
    os.mkdir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", "small"],
                      check=False).returncode:
        tap.skip("a full disk", "no file system can be mounted here")
        return
    try:
        server = Server("-D", "small/srv")
        client = Client(server.port)
        client.open(pid(7))
        other = Client(server.port)
        other.open(pid(8))
        other.pages(pid(8), 0, page(8))
        try:
            for i in range(64):
                client.pages(pid(7), i << 20, page(i) * 64)
            status = client.close()
        except OSError:
            status = -1
        tap.ok(status != 0, "a full disk: the client hears that it was not stored", status)
        told = server.told()
        tap.ok(not told["complete"] and "space" in told["message"], "  the server says why", told)
        tap.ok(not looks_complete("small/srv"), "  nothing looks complete")
        tap.equal(other.close(), 0, "  another one ends well")
        tap.equal(criu.pages_of("small/srv", 8), {0: page(8)}, "  every page of it")
        tap.equal([n for n in left("small/srv") if "7" in n.split(".")[0].split("-")], [],
                  "  nothing of the first is left")
        server.end()
    finally:
        subprocess.run(["umount", "small"], check=False)


def predump_cut():
    """The server dies within an image."""
    with Victim("quiet") as target:
        for n in (1, 2, 5, 20):
            server = Server("-D", "srv", env=fault(n, "recvmsg", "kill"))
            begin = time.monotonic()
            status, _, err = run("predump", str(target.pid), "-D", f"img{n}", "--to",
                                 f"tcp:127.0.0.1:{server.port}")
            tap.ok(status == 1 and "page server" in err, f"the server dies at its {n}. message: "
                   "a sentence", err)
            tap.ok(time.monotonic() - begin < 30 * SLOW, "  at once")
            tap.ok(not os.path.exists(f"img{n}/inventory.img"), "  nothing looks complete")
            tap.ok(not looks_complete(), "  nor there", left())
            server.end()
            shutil.rmtree("srv", ignore_errors=True)
        tap.ok(os.path.exists(f"/proc/{target.pid}"), "  the process runs on")


def main():
    tap.need_root()
    for what in (kills, errors, client_killed, disk_full, predump_cut):
        if sys.argv[1:] and what.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            what()
            os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
