#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve over a disk that breaks (a FUSE of its own: tests/programs/disk.c),
and with a worker that is killed under load: whoever meets it is told so by the end
of the connection, and nobody else notices."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import LIMIT, SLOW, Answer, Server, read_answer, rest_of, wait_for, write  # noqa: E402
import tap  # noqa: E402

DISK = os.path.join(tap.BUILD, "tests", "programs", "program-disk")
BYTES = bytes((i ^ i >> 8 ^ i >> 16) & 255 for i in range(1 << 20))
SMALL = bytes(range(256)) * 4
COLD = os.urandom(3_000_001)
# More than an engine has threads by itself; fewer than FUSE lets wait at once.
STALLED = 8
SECONDS = 1.5 * SLOW


class Disk:
    """Mounted on `path`; stall() and go_on() for its files stall-N."""

    def __init__(self, path, directory, direct):
        self.path, self.flag = path, os.path.join(directory, "stall")
        environment = {**os.environ, "DISK_STALL": self.flag}
        if direct:
            environment["DISK_DIRECT"] = "1"
        self.process = subprocess.Popen([DISK, "-f", "-o", "max_threads=64", path], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.ismount(path) or self.process.poll() is not None)
        if not os.path.ismount(path):
            tap.bail("the disk does not mount")

    def stall(self):
        write(self.flag, b"")

    def go_on(self):
        if os.path.exists(self.flag):
            os.unlink(self.flag)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        subprocess.run(["umount", "-l", self.path], check=False, stderr=subprocess.DEVNULL)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def request(target):
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


# ------------------------------------------------------------- what is judged


def judge_broken(data, whole_is_good):
    """What came until the connection ended, of a file that cannot be read to its end
    and of /small, asked for behind it.  None: as it must be."""
    answer = Answer(data)
    if answer.status == 500 and answer.whole:
        then = Answer(answer.rest)
        return None if then.whole and then.body == SMALL else "no answer behind 500"
    if answer.status != 200 or answer.length != len(BYTES):
        return f"status {answer.status}, length {answer.length}"
    if not BYTES.startswith(answer.body):
        return "bytes that the disk did not give"
    if not answer.whole:
        return None
    if not whole_is_good:
        return "all of it, which nobody can have read"
    return None if Answer(answer.rest).body == SMALL else "no answer behind it"


def check_control():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"
    small = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + SMALL
    tap.equal(judge_broken(head + BYTES[:300000], False), None, "one that is broken off is good")
    for what, data in [("zeros in place of bytes", BYTES[:300000] + bytes(748576)),
                       ("the next answer in place of bytes", BYTES[:300000] + small),
                       ("one that cannot be", BYTES + small)]:
        tap.ok(judge_broken(head + data, False), f"found: {what}")


def check_errors(server, disk, direct, log):
    """Reads that fail, end early, and find less than was said."""
    wrong = []
    for name, whole_is_good in [("eio", False), ("dead", False), ("short", direct),
                                ("shrink", False)]:
        for _ in range(3):
            s = server.connect()
            s.sendall(request(f"/disk/{name}") + request("/small"))
            # It stays where it was not broken off.
            s.settimeout(LIMIT)
            time.sleep(0.01)
            s.shutdown(1)
            if why := judge_broken(rest_of(s), whole_is_good):
                wrong.append(f"{name}: {why}")
            s.close()
    tap.none(wrong, "what cannot be read ends the connection, and nothing stands for it")
    good = server.get("/disk/good")
    tap.ok(good.whole and good.body == BYTES, "  and the rest of the disk is served",
           f"{len(good.body)} bytes")
    part = server.get("/disk/good", "Range: bytes=1000-1999,900000-1048575")
    tap.ok(BYTES[1000:2000] in part.body and BYTES[900000:] in part.body, "  by parts, too")

    def lines(name):
        with open(log, encoding="utf-8") as f:
            return [json.loads(line) for line in f if f"/disk/{name} " in line]

    wait_for(lambda: len(lines("shrink")) >= 3)
    for name, why in (("eio", "Input/output error"), ("dead", "Input/output error"),
                      ("shrink", "the file ended")):
        told = lines(name)
        tap.ok(told and all(why in line.get("error", "") for line in told),
               f"  {name}: the log says why", told)
    tap.ok(all("error" not in line for line in lines("good")), "  and of others nothing")


def check_stalled(server, disk, root):
    """Reads that wait, for as long as we like; others meanwhile."""
    probe_done = threading.Event()

    def probe():
        with open(f"{root}/disk/stall-63", "rb") as f:
            f.read()
        probe_done.set()

    disk.stall()
    probing = threading.Thread(target=probe)
    probing.start()
    waiting = [server.connect() for _ in range(STALLED)]
    for i, s in enumerate(waiting):
        s.sendall(request(f"/disk/stall-{i}"))
    gone = server.connect()
    gone.sendall(request("/disk/stall-62"))
    time.sleep(0.3)
    gone.close()
    kept, good, wrong, until = server.connect(), 0, [], time.monotonic() + SECONDS
    while time.monotonic() < until:
        for target, want in [("/small", SMALL), ("/cold", COLD), ("/disk/good", BYTES)]:
            if target == "/cold":
                fd = os.open(f"{root}/cold", os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
            try:
                kept.sendall(request(target))
                if read_answer(kept).body != want:
                    wrong.append(f"{target}: other bytes")
            except OSError as e:
                wrong.append(f"{target}: {e}")
                kept.close()
                kept = server.connect()
                until = 0
            good += 1
    tap.none(wrong, f"while {STALLED} wait for the disk, others have {good} answers")
    tap.ok(not probe_done.is_set(), "  and the disk did stall")
    disk.go_on()
    bad = [i for i, s in enumerate(waiting) if read_answer(s).body != BYTES]
    tap.none(bad, "  who waited has all of it, when it goes on")
    probing.join()
    for s in (kept, *waiting):
        s.close()


def check_disk(directory, direct):
    root, log = os.path.join(directory, "www"), os.path.join(directory, f"log{direct}")
    what = "past the page cache" if direct else "through the page cache"
    with Disk(f"{root}/disk", directory, direct) as disk, \
            Server(root, "--log-format", "json", log=log) as server:
        tap.diag(f"a disk that is read {what}")
        worker = server.workers()
        check_errors(server, disk, direct, log)
        check_stalled(server, disk, root)
        fds = f"/proc/{worker[0]}/fd"
        wait_for(lambda: not any("/disk/" in link for link in links(fds)))
        tap.none([link for link in links(fds) if "/disk/" in link], "  no file stays open")
        tap.equal(server.workers(), worker, "  with the same worker")
        tap.equal(server.stop(), 0, "  and it ends well")


def links(directory):
    found = []
    for fd in os.listdir(directory):
        try:
            found.append(os.readlink(os.path.join(directory, fd)))
        except FileNotFoundError:
            pass
    return found


# ------------------------------------------------------------------- a crash


def check_crash(root):
    """Workers are killed while everybody is being answered."""
    stop, wrong, done = threading.Event(), [], [0, 0]

    def reader():
        s = None
        while not stop.is_set():
            try:
                s = s or server.connect()
                for target, want in (("/small", SMALL), ("/cold", COLD)):
                    s.sendall(request(target))
                    answer = read_answer(s)
                    if not want.startswith(answer.body) or answer.status not in (0, 200):
                        wrong.append(f"{target}: {answer.status}, other bytes")
                    if not answer.whole:
                        raise ConnectionError
                    done[0] += 1
            except (ConnectionError, IndexError):
                done[1] += 1
                if s:
                    s.close()
                s = None
        if s:
            s.close()

    with Server(root, workers=2) as server:
        readers = [threading.Thread(target=reader) for _ in range(6)]
        for t in readers:
            t.start()
        for _ in range(3):
            time.sleep(0.3 * SLOW)
            before, had = server.workers(), done[0]
            os.kill(before[0], signal.SIGKILL)
            wait_for(lambda b=before: b[0] not in server.workers() and len(server.workers()) == 2)
            wait_for(lambda h=had: done[0] > h + 20)
            if before[1] not in server.workers():
                wrong.append("the other worker died, too")
            # One that dies within a second of its beginning, again and again, is given up.
            time.sleep(1.1)
        stop.set()
        for t in readers:
            t.join()
        tap.none(wrong[:10], f"3 workers are killed: {done[0]} right answers, {done[1]} broken off")
        tap.ok(done[1] > 0, "  which somebody did notice")
        tap.equal(server.said().count("died of SIGKILL"), 3, "  and each is told")
        tap.equal(len(server.workers()), 2, "  and replaced")
        tap.equal(server.stop(), 0, "  and it ends well")


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        os.makedirs(f"{root}/disk")
        write(f"{root}/small", SMALL)
        write(f"{root}/cold", COLD)
        with open(f"{root}/cold", "rb") as f:
            os.fsync(f.fileno())
        check_crash(root)
        if os.geteuid() != 0:
            tap.skip("a disk that breaks", "needs root")
        elif not os.access("/dev/fuse", os.R_OK | os.W_OK):
            tap.skip("a disk that breaks", "there is no /dev/fuse")
        elif not os.path.exists(DISK):
            tap.skip("a disk that breaks", "libfuse3 was not there at build time")
        else:
            check_control()
            for direct in False, True:
                check_disk(directory, direct)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
