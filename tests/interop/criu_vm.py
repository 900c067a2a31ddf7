#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A stock criu goes on from our pre-dumps: it dumps what was written since, stops
and restores the process, and the whole memory of what it restored is right.

Needs a kernel with soft-dirty bits, which `make check-vm` boots.  Each criu of
the PATH that says another version is tried.  DECANT_TEST_ONLY=text: only the cases
with that in their name.
"""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images  # noqa: E402
import tap  # noqa: E402

VICTIMS = os.path.join(tap.BUILD, "tests", "victims")
SLOW = int(os.environ.get("TAP_SLOW", "1"))
COUNTER = 0x300000000000
REPORT = 0x200000000000
REPORT_ROUNDS, REPORT_ERRORS, REPORT_FOREIGN = 16, 24, 40
MIB = 16

processes = []


def run(*command, limit=60, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit * SLOW, check=False, **more)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def start(*command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    processes.append(process)
    return process


def wait_for(what, condition, seconds=30):
    until = time.monotonic() + seconds * SLOW
    while not condition():
        if time.monotonic() > until:
            tap.bail(f"{what}: it does not come")
        time.sleep(0.02)


def report(pid, at):
    """A number in what the victim says of itself; None: there is none yet."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(REPORT + at)
            return struct.unpack("<Q", memory.read(8))[0]
    except OSError:
        return None


def goes_on(pid):
    before = report(pid, REPORT_ROUNDS)
    wait_for(f"process {pid} goes on", lambda: (report(pid, REPORT_ROUNDS) or 0) > before + 20)
    return not report(pid, REPORT_ERRORS) and not report(pid, REPORT_FOREIGN)


def victim(*words):
    process = start(os.path.join(VICTIMS, "victim-counter"), "--mib", str(MIB), *words)
    wait_for("the victim", lambda: (report(process.pid, REPORT_ROUNDS) or 0) > 5)
    return process


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


def listens(port):
    with open("/proc/net/tcp", encoding="utf-8") as file:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
                   for line in file.readlines()[1:])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --------------------------------------------------------------------- criu


def version(program):
    found = re.search(r"Version: (\S+)", run(program, "--version")[1])
    return found[1] if found else None


def criu_programs():
    """{version: program}"""
    found = {}
    for where in os.environ["PATH"].split(":") + ["/usr/sbin"]:
        program = os.path.join(where, "criu")
        if os.access(program, os.X_OK):
            found.setdefault(version(program), program)
    return found


def lines_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    return "\n".join([at for at in lines if "Error" in at or "Warn" in at] + lines[-5:])


def criu_dump(criu, pid, where, *words):
    """None, or what criu says."""
    os.makedirs(where)
    status, text = run(criu, "dump", "-t", str(pid), "-D", where, "-o", "log", "-v4",
                       "--manage-cgroups=ignore", *words)
    return None if status == 0 else f"{text}\n{lines_of(where + '/log')}"


def dumped_pages(where):
    """(of parents, written) by criu's own statistics."""
    body = dict(criu_images.records(os.path.join(where, "stats-dump"), criu_images.SERVICE,
                                    criu_images.STATS)[0])
    numbers = dict(criu_images.fields(body[1]))
    return numbers.get(6, 0), numbers.get(7, 0)


def restored(criu, pid, where):
    """criu restores it, stopped, and stays its parent: (process, what criu says)."""
    process = start(criu, "restore", "-D", where, "-o", "restore.log", "-v4", "--leave-stopped",
                    "--manage-cgroups=ignore")

    def there():
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                return "State:\tT" in file.read()
        except OSError:
            return process.poll() is not None

    wait_for("criu restore", there)
    if process.poll() is not None:
        return process, lines_of(where + "/restore.log")
    return process, None


def verdict(pid):
    """The oracle on a core of gdb's: None, or what is wrong."""
    if (done := run("gcore", "-o", "core", str(pid), limit=120))[0] != 0:
        return done[1]
    status, text = run(os.path.join(VICTIMS, "check-core"), f"core.{pid}")
    os.unlink(f"core.{pid}")
    return None if status == 0 else text


def decant(*words):
    status, text = run(tap.DECANT, *words)
    return None if status == 0 else f"status {status}: {text}"


def good(wrong, name):
    return tap.ok(wrong is None, name, wrong)


def works(criu):
    """An old criu on a new kernel does not, whatever we do."""
    process = victim("--rate", "1")
    wrong = criu_dump(criu, process.pid, "works")
    end(process)
    shutil.rmtree("works")
    if wrong:
        tap.diag(wrong)
    return wrong is None


# ------------------------------------------------------------------- cases


def go_on(criu, process, pre, words=(), after=None, want_right=True):
    """criu dumps on top of pre, restores; is the memory right?"""
    pid = process.pid
    pids = [pid] + children(pid)
    if not good(criu_dump(criu, pid, "final", "--track-mem", "--prev-images-dir",
                          os.path.join("..", pre), *words), "  criu dumps what was written since"):
        return
    process.wait()
    parent, written = dumped_pages("final")
    tap.ok(parent > 0, f"  and no more: {parent} pages of ours, {written} written", "")
    if after:
        after()
    good(decant("images", "final", "check", "-q"), "  decant finds the chain complete")
    again, wrong = restored(criu, pid, "final")
    if good(wrong, "  criu restores it"):
        wrong = list(filter(None, map(verdict, pids)))
        if not want_right:
            tap.ok("BAD" in "".join(wrong), "control: a wrong page of ours is seen", wrong)
        else:
            tap.none(wrong, f"  every page is right, of {len(pids)} processes")
            for each in pids:
                os.kill(each, signal.SIGCONT)
            tap.ok(all(map(goes_on, pids)), "  it goes on, without an error")
        for each in pids:
            os.kill(each, signal.SIGKILL)
    end(again)


def predump(pid, *words):
    return decant("predump", str(pid), "--track", "soft-dirty", "-q", *words)


def case_single(criu):
    process = victim("--rate", "1")
    if good(predump(process.pid, "-D", "pre"), "a pre-dump by soft-dirty bits"):
        go_on(criu, process, "pre")
    end(process)


def case_rounds(criu):
    process = victim("--rate", "1", "--threads", "2", "--churn")
    if good(predump(process.pid, "-D", "pre", "--rounds", "3"),
            "three rounds, two writers, mappings that come and go"):
        go_on(criu, process, "pre/3")
    end(process)


def case_parent(criu):
    """Each clears the bits for itself; what is the same is told by comparing."""
    process = victim("--rate", "1")
    wrong = [predump(process.pid, "-D", "1"),
             predump(process.pid, "-D", "2", "--parent", "1"),
             predump(process.pid, "-D", "3", "--parent", "2")]
    if tap.none(list(filter(None, wrong)), "three calls, each on top of the one before"):
        go_on(criu, process, "3")
    end(process)


def case_vmsplice(criu):
    process = victim("--rate", "1", "--thp")
    if good(predump(process.pid, "-D", "pre", "--mode", "vmsplice"),
            "a pre-dump without a copy, of huge pages"):
        go_on(criu, process, "pre")
    end(process)


def case_tree(criu):
    program = f"{VICTIMS}/victim-counter --rate 1 --mib"
    process = start("sh", "-c", f"{program} 4 & exec {program} {MIB}")
    wait_for("the child", lambda: children(process.pid))
    for pid in [process.pid] + children(process.pid):
        wait_for("a victim", lambda: (report(pid, REPORT_ROUNDS) or 0) > 5)
    if good(predump(process.pid, "-D", "pre", "--tree"), "a process and its child"):
        go_on(criu, process, "pre")
    end(process)


def case_to_criu(criu):
    """Pages to criu's page server; the rest stays where criu dumps."""
    os.makedirs("pre")
    port = free_port()
    server = start(criu, "page-server", "-D", "pre", "-o", "log", "-v4", "--port", str(port))
    wait_for("criu page-server", lambda: listens(port))
    process = victim("--rate", "1")
    if good(predump(process.pid, "-D", "here", "--to", f"tcp:127.0.0.1:{port}"),
            "a pre-dump to criu's page server"):
        tap.equal(server.wait(60 * SLOW), 0, "  which is content")
        shutil.copy("here/inventory.img", "pre/inventory.img")
        go_on(criu, process, "pre")
    end(process)
    end(server)


def case_to_decant(criu):
    """And the other way round: the last dump's pages go to ours."""
    process = victim("--rate", "1")
    os.makedirs("received")
    port = free_port()
    if good(predump(process.pid, "-D", "pre"), "a pre-dump; the dump's pages come to us"):
        server = start(tap.DECANT, "page-server", "-D", "received", "--parent", "pre", "--once",
                       "-l", f"127.0.0.1:{port}", "-q")
        wait_for("decant page-server", lambda: listens(port))

        def after():
            tap.equal(server.wait(60 * SLOW), 0, "  the page server is content")
            for name in os.listdir("received"):
                if not os.path.lexists(f"final/{name}"):
                    os.rename(f"received/{name}", f"final/{name}")

        go_on(criu, process, "pre", after=after,
              words=["--page-server", "--address", "127.0.0.1", "--port", str(port)])
        end(server)
    end(process)


def case_wrong(criu):
    """Without this the cases above may be right because criu read all again."""
    process = victim("--rate", "1")
    if good(predump(process.pid, "-D", "pre"), "a pre-dump that is changed"):
        spoil("pre")
        go_on(criu, process, "pre", want_right=False)
    end(process)


def spoil(where):
    """Every page of the memory that is looked at."""
    pagemap = [n for n in os.listdir(where) if n.startswith("pagemap-")][0]
    pages_id, entries = criu_images.read_pagemap(where, pagemap)
    at = 0
    with open(os.path.join(where, f"pages-{pages_id}.img"), "r+b") as file:
        for vaddr, count, flags in entries:
            if not flags & criu_images.PRESENT:
                continue
            if COUNTER <= vaddr < COUNTER + (MIB << 20):
                for i in range(count):
                    file.seek(at + i * 4096 + 2040)
                    file.write(b"\x5a" * 8)
            at += count * 4096


def case_criu_first(criu):
    """The other way round: criu's pre-dump, as decant reads it."""
    process = victim("--rate", "1")
    os.makedirs("pre")
    status, text = run(criu, "pre-dump", "-t", str(process.pid), "-D", "pre", "-o", "log", "-v4",
                       "--manage-cgroups=ignore")
    if tap.ok(status == 0, "a pre-dump of criu's own", text):
        good(decant("images", "pre", "check", "-q"), "  decant finds it complete")
        shown = subprocess.run([tap.DECANT, "images", "pre", "--json"], stdout=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, check=False).stdout
        present = json.loads(shown)["levels"][0]["pagemaps"][0]["present_pages"]
        tap.ok(present >= MIB * 256, f"  and its {present} pages", shown)
    end(process)


CASES = {"single": case_single, "rounds": case_rounds, "parent": case_parent,
         "vmsplice": case_vmsplice, "tree": case_tree, "to-criu": case_to_criu,
         "to-decant": case_to_decant, "wrong": case_wrong, "criu-first": case_criu_first}
ONLY = os.environ.get("DECANT_TEST_ONLY", "")


def soft_dirty():
    text = subprocess.run([tap.DECANT, "probe", "--json"], stdout=subprocess.PIPE, check=False,
                          stdin=subprocess.DEVNULL).stdout
    return any(f["name"] == "soft_dirty" and f["state"] == "yes" for f in json.loads(text)["facts"])


def main():
    tap.need_root()
    if not soft_dirty():
        tap.skip_all("needs soft-dirty bits (make check-vm)")
    found = criu_programs()
    if not found:
        tap.skip_all("needs criu")
    directory = tempfile.mkdtemp(prefix="criu-")
    os.chdir(directory)
    try:
        for name, program in sorted(found.items()):
            tap.diag(f"criu {name}: {program}")
            if not os.environ.get("DECANT_VM") and not works(program):
                tap.skip(f"criu {name}", "this criu cannot dump on this kernel")
                continue
            for case in [c for n, c in CASES.items() if ONLY in n]:
                os.mkdir("case")
                os.chdir("case")
                case(program)
                os.chdir("..")
                shutil.rmtree("case")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        os.chdir("/")
        shutil.rmtree(directory)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
