#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`decant run --criu`: what a dumper makes a process call is caught there, or it
is said loudly that it was not.  With a small dumper that does what CRIU does, and
with CRIU ($CRIU, or criu in $PATH) where it can dump at all on this machine.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
LIMIT = 60 * SLOW
DUMPER = os.path.join(tap.BUILD, "tests/programs/program-dumper")
COPY = "--policy=copy-v2"
NOT_SEEN = "NOT SEEN: what the dumper did inside process"

VICTIM = r"""
import mmap, os, sys
memory = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(memory), 4096):
    memory[at:at + 8] = at.to_bytes(8, "little")
print(os.getpid(), flush=True)
sys.stdin.readline()
print(all(memory[at:at + 8] == at.to_bytes(8, "little") for at in range(0, len(memory), 4096)))
"""


class Victim:
    """Runs as the words in front of it say, in a session of its own."""

    def __init__(self, *how, command=(DUMPER, "victim")):
        self.process = subprocess.Popen([*how, *command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.words = self.process.stdout.readline().split()

    def pid(self):
        return int(self.words[0])

    def ask(self):
        """Changes its buffer, and tells what is in the pipe."""
        return self.process.communicate("go\n", timeout=LIMIT)[0].strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None and self.words:
            try:
                os.kill(self.pid(), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.communicate(timeout=LIMIT)


def under(report, *policy, mechanism="notify"):
    return [tap.DECANT, "run", *(policy or (COPY,)), f"--mechanism={mechanism}",
            f"--report={report}", "--"]


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT, check=False)


def dump(victim, *how, quiet=False):
    return run(*how, DUMPER, "dump", *victim.words, *(["quiet"] if quiet else []))


PREPARED = [tap.DECANT, "run", COPY, "--criu", "--report=dump.txt", "--"]


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def caught():
    with Victim(*under("victim.json", COPY, "--json")) as victim:
        result = dump(victim, *PREPARED)
        tap.equal((result.returncode, result.stdout.strip()), (0, "4096"),
                  "the call inside the victim is made")
        tap.equal(victim.ask(), "old", "  as the policy has it")
    tap.ok(f"1 calls of vmsplice that were made for the dumper inside process {victim.pid()}"
           in text("dump.txt"), "  which the dumper's report says", text("dump.txt"))
    report = json.loads(text("victim.json"))
    tap.ok(report["calls"] == 1 and not report["not_seen"],
           "  and the victim's own report has it", report)
    with Victim(*under("victim.txt", "--policy=deny")) as victim:
        tap.equal(dump(victim, *PREPARED).stdout.strip(), "-38", "deny reaches a parasite, too")


def suspended():
    with Victim(*under("victim.txt")) as victim:
        tap.equal(dump(victim).stdout.strip(), "4096", "control: a dumper that is not prepared")
        tap.equal(victim.ask(), "new", "  suspends the filter: the call is the kernel's")
    seen = text("victim.txt")
    tap.ok("NOT SEEN" in seen and "was traced by program-dumper" in seen,
           "  and the victim's report says that it saw nothing", seen)
    with Victim(*under("victim.txt")) as victim:
        victim.ask()
    tap.ok("was traced" not in text("victim.txt"), "control: nobody traced it",
           text("victim.txt"))


def refused(name, victim, sentence, **how):
    """The dump itself is left alone; who ran it is told that it was blind."""
    result = dump(victim, *PREPARED, **how)
    tap.ok(result.returncode == 125 and sentence in result.stderr, f"{name}: an error, and why",
           f"{result.returncode}: {result.stderr}{result.stdout}")
    tap.ok(NOT_SEEN in text("dump.txt"), "  loud in the report, too", text("dump.txt"))


def blind():
    with Victim() as victim:
        refused("a victim under no policy", victim, "under no policy")
    with Victim(*under("victim.txt")) as victim:
        refused("a dumper that calls nothing", victim, "saw no call", quiet=True)
    with Victim(tap.DECANT, "run", "--policy=deny", "--", *under("victim.txt")) as victim:
        refused("a filter beside ours", victim, "filters beside ours")
    with Victim(tap.DECANT, "run", "--policy=deny", "--") as victim:
        refused("another filter", victim, "not that of")
    forged()
    with Victim(*under("victim.txt")) as victim:
        victim.process.kill()
        victim.process.wait()
        refused("a supervisor that is gone", victim, "supervisor is gone")
        os.kill(victim.pid(), signal.SIGKILL)
    with Victim(*under("victim.txt", mechanism="trace")) as victim:
        result = dump(victim, *PREPARED)
        tap.ok(result.returncode == 1 and "seize" in result.stderr,
               "a victim under trace cannot be taken over", result)
    tap.equal(run(*PREPARED, "true").returncode, 0, "control: who dumps nothing is not accused")
    result = run(tap.DECANT, "run", COPY, "--criu", "--mechanism=trace", "--", "true")
    tap.ok(result.returncode == 2 and "--criu" in result.stderr, "--criu and a filter: refused",
           result)


def forged():
    """A victim that names a supervisor and a descriptor of its own choice."""
    fifo = os.pipe()
    small, unsealed = os.memfd_create("small"), os.memfd_create("unsealed")
    os.truncate(unsealed, 8 + 4096 * 16)
    for fd, what in ((fifo[0], "a pipe"), (small, "an empty file"),
                     (unsealed, "a file that may shrink"), (10 ** 6, "nothing")):
        with Victim(command=(DUMPER, "victim", str(os.getpid()), str(fd))) as victim:
            refused(f"a filter that leads to {what}", victim, "not that of")


# ---------------------------------------------------------------------- CRIU itself


def criu_dump(criu, victim, *how, stays=True):
    images = tempfile.mkdtemp(dir=".")
    return run(*how, criu, "dump", "-t", str(victim.pid()), "-D", images, "-o", "log",
               *(["--leave-running"] if stays else []), "--shell-job", "-v4"), images


def criu_works():
    for criu in (os.environ.get("CRIU"), shutil.which("criu", path="/usr/sbin:/usr/bin:/sbin")):
        if not criu:
            continue
        with Victim(command=(sys.executable, "-c", VICTIM)) as victim:
            result, images = criu_dump(criu, victim)
            if result.returncode == 0:
                return criu
            log = os.path.join(images, "log")
            tap.diag(f"{criu} cannot dump here: {result.stderr}"
                     f"{text(log)[-400:] if os.path.exists(log) else ''}")
    return None


def with_criu(criu):
    command = (sys.executable, "-c", VICTIM)
    for policy in ("copy-v1", "copy-v2", "warn"):
        how = [tap.DECANT, "run", f"--policy={policy}", "--criu", "--report=dump.txt", "--"]
        with Victim(*under("victim.json", f"--policy={policy}", "--json"),
                    command=command) as victim:
            result, images = criu_dump(criu, victim, *how)
            tap.ok(result.returncode == 0, f"criu dumps under {policy}",
                   result.stderr + text(os.path.join(images, "log"))[-800:])
            tap.equal(victim.ask(), "True", "  and its victim lives on")
        report = json.loads(text("victim.json"))
        sites = [s for p in report["programs"] for s in p["sites"] if s["call"] == "vmsplice"]
        tap.ok(sites and sum(s["asked_bytes"] for s in sites) >= 8 << 20 and
               not [s for s in report["not_seen"] if "was traced" in s],
               "  all of its memory came by calls that were seen", report)
        pages = sum(os.path.getsize(os.path.join(images, name)) for name in os.listdir(images)
                    if name.startswith("pages-"))
        tap.ok(pages >= 8 << 20, "  and is in the images")
    with Victim(*under("victim.txt"), command=command) as victim:
        result, _ = criu_dump(criu, victim)
        tap.equal(result.returncode, 0, "control: criu by itself")
        victim.ask()
    tap.ok("was traced by criu" in text("victim.txt"), "  suspends the filter, which is a hole",
           text("victim.txt"))
    with Victim(command=command) as victim:
        result, _ = criu_dump(criu, victim, *PREPARED)
        tap.ok(result.returncode == 125 and "under no policy" in result.stderr,
               "a victim under no policy: no clean bill", result)
    with Victim(*under("victim.txt"), command=command) as victim:
        result, _ = criu_dump(criu, victim, *PREPARED, stays=False)
        tap.equal(result.returncode, 0, "a victim that does not outlive its dump")
    tap.ok("were caught" in text("dump.txt"), "  was seen all the same", text("dump.txt"))


FIFO = r"""
import os, time
os.mkfifo("fifo")
fd = os.open("fifo", os.O_RDWR)
os.write(fd, b"x" * 3000)
with open("pid", "w") as file:
    file.write(str(os.getpid()))
while not os.path.exists("go"):
    time.sleep(0.02)
with open("result.new", "w") as file:
    file.write(str(len(os.read(fd, 65536))))
os.rename("result.new", "result")
"""


def until(found):
    end = time.monotonic() + 20 * SLOW
    while not found() and time.monotonic() < end:
        time.sleep(0.02)
    return found()


def fifo_restore(criu):
    """A FIFO with bytes in it: criu puts them back by vmsplice, as its issue 3056 tells."""
    process = subprocess.Popen([sys.executable, "-c", FIFO], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    if not until(lambda: os.path.exists("pid") and text("pid")):
        tap.bail("the victim with a FIFO does not start")
    pid = int(text("pid"))
    os.mkdir("fifo-images")
    dumped = run(criu, "dump", "-t", str(pid), "-D", "fifo-images", "-o", "dump.log", "-v4")
    process.wait(LIMIT)
    tap.equal(dumped.returncode, 0, "criu dumps a FIFO with bytes in it")
    for policy, works in ((None, True), ("copy-v1", True), ("copy-v2", True),
                          ("copy-v1,nowait=kernel", False), ("copy-v2,nowait=kernel", False)):
        for name in ("go", "result"):
            if os.path.exists(name):
                os.unlink(name)
        how = [tap.DECANT, "run", f"--policy={policy}", "--criu", "--"] if policy else []
        result = run(*how, criu, "restore", "-d", "-D", "fifo-images", "-o", "log", "-v4")
        with open("go", "w", encoding="ascii"):
            pass
        log = text(os.path.join("fifo-images", "log"))
        if works:
            tap.ok(result.returncode == 0 and until(lambda: os.path.exists("result")) and
                   text("result") == "3000", f"{policy or 'natively'}: it is restored, and whole",
                   f"{result}\n{log[-500:]}")
        else:
            tap.ok(result.returncode != 0 and
                   "splicing data: Operation not supported" in log,
                   f"{policy}: it cannot be restored, as upstream saw", f"{result}\n{log[-500:]}")
        if result.returncode == 0:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not os.path.exists(f"/proc/{pid}"))   # its number is wanted again


def main():
    tap.need_root()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        caught()
        suspended()
        blind()
        criu = criu_works()
        if criu:
            with_criu(criu)
            fifo_restore(criu)
        else:
            tap.skip("CRIU", "no criu can dump on this kernel")
        os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
