#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant images on what others wrote, and what it writes as others read it: CRIU's
own crit, an independent reader of the formats, gdb."""

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as criu  # noqa: E402
import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
FULL = os.environ.get("DECANT_TEST_FULL") == "1"
SEED = int(os.environ.get("DECANT_SEED", time.time_ns()))
BASE = 0x7f0000000000


def decant(*command, limit=60):
    done = subprocess.run([tap.DECANT, "images", *command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=limit * SLOW, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def page(tag):
    return struct.pack("<Q", tag) * 512


def chain(rounds, pid=5, size=300):
    """Directories 1 to rounds in here, and the pages that the last one stands for."""
    memory = {i: random.getrandbits(60) for i in range(size) if random.random() < 0.7}
    for n in range(1, rounds + 1):
        dirty = {i for i in range(size) if random.random() < 0.2} if n > 1 else set(range(size))
        for i in dirty:
            if n > 1 and random.random() < 0.8:
                memory[i] = random.getrandbits(60)
            elif n > 1:
                memory.pop(i, None)
        os.mkdir(str(n))
        old, entries, data = random.random() < 0.5, [], b""
        for i in sorted(memory):
            flags = criu.PRESENT if i in dirty else criu.PARENT
            last = entries[-1] if entries else (0, 0, 0)
            if last[0] + last[1] * criu.PAGE == BASE + i * criu.PAGE and last[2] == flags:
                entries[-1] = (last[0], last[1] + 1, flags)
            else:
                entries.append((BASE + i * criu.PAGE, 1, flags))
            if flags == criu.PRESENT:
                data += page(memory[i])
        criu.write_pagemap(str(n), pid, random.randrange(1, 2**32), entries, data, old)
        criu.write_inventory(str(n))
        if n > 1:
            os.symlink(f"../{n - 1}", f"{n}/parent")
    return {BASE + i * criu.PAGE: page(tag) for i, tag in memory.items()}


def chains():
    for n in range(10 if FULL else 3):
        rounds = random.randrange(2, 8)
        memory = chain(rounds)
        status, out, err = decant(str(rounds), "check")
        tap.ok(status == 0, f"chain {n}: {rounds} rounds of another writer are good", out + err)
        status, out, err = decant(str(rounds), "flatten", "-o", "flat")
        tap.ok(status == 0, "  and flattened", err)
        tap.ok(criu.pages_of("flat", 5) == memory, "  every page is right")
        shown = json.loads(decant("flat", "--json", "--ranges")[1])["levels"]
        entries = criu.read_pagemap("flat", "pagemap-5.img")[1]
        tap.equal([(r["start"], r["pages"]) for r in shown[0]["pagemaps"][0]["ranges"]],
                  [e[:2] for e in entries], "  show tells its entries")
        tap.equal(decant(str(rounds), "diff", "flat")[0], 0, "  diff finds no difference")
        for action, *rest in [("show",), ("check",), ("diff", "flat")]:
            tap.equal(decant(action, str(rounds), *rest), decant(str(rounds), action, *rest),
                      f"  {action} may come first")
        os.rename("flat", "check")
        tap.equal(decant("check", "show", "--json")[0], 0,
                  "  a directory may have the name of an action")
        os.rename("check", "flat")
        with open(f"flat/pages-{shown[0]['pagemaps'][0]['pages_id']}.img", "r+b") as file:
            file.seek(criu.PAGE)
            file.write(b"x")
        status, out, err = decant(str(rounds), "diff", "flat", "--json")
        tap.equal((status, json.loads(out)["different_pages"]), (1, 1),
                  "  control: one byte is one page")
        lines = decant(str(rounds), "diff", "flat")[1].splitlines()
        tap.ok(lines[-1].startswith("1 page differs, "), "  said in a line at the end", lines)
        for name in ["flat", *map(str, range(1, rounds + 1))]:
            shutil.rmtree(name)


def crit():
    memory = chain(3)
    os.mkdir("3/sub")
    tap.equal(decant("3", "flatten", "-o", "flat")[0], 0, "a directory for crit")
    tap.equal(sorted(os.listdir("flat")), ["inventory.img", "pagemap-5.img", "pages-1.img"],
              "  has what it should have")
    if not shutil.which("crit"):
        tap.skip("crit reads it", "there is no crit")
        return
    for name in ["inventory.img", "pagemap-5.img"]:
        done = subprocess.run(["crit", "decode", "-i", f"flat/{name}"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        tap.ok(done.returncode == 0, f"crit decodes {name}", done.stderr.decode())
        shown = json.loads(done.stdout or "{}")
        if name == "pagemap-5.img":
            pages = sum(e["nr_pages"] for e in shown["entries"][1:])
            tap.equal(pages, len(memory), "  and finds all pages")
        again = subprocess.run(["crit", "encode"], input=done.stdout, stdout=subprocess.PIPE,
                               check=False).stdout
        with open(f"flat/{name}", "wb") as file:
            file.write(again)
    tap.ok(decant("flat", "check")[0] == 0, "what crit encodes again is good")
    status, out, err = decant("3", "diff", "flat")
    tap.equal(status, 0, "  and the same")
    tap.ok("\n0 pages differ, " in out and len(out.splitlines()) == 3,
           "  of which no mapping is told", out)


# ------------------------------------------------------------------- cores


def elf(path):
    """(notes, [(vaddr, memsz, flags, bytes)]) of a core."""
    with open(path, "rb") as file:
        data = file.read()
    phoff, = struct.unpack_from("<Q", data, 32)
    count, = struct.unpack_from("<H", data, 56)
    notes, loads = b"", []
    for i in range(count):
        kind, flags, offset, vaddr, _, filesz, memsz, _ = struct.unpack_from(
            "<IIQQQQQQ", data, phoff + 56 * i)
        if kind == 4:
            notes = data[offset:offset + filesz]
        elif kind == 1:
            loads.append((vaddr, memsz, flags, data[offset:offset + filesz]))
    return notes, loads


def covered(loads):
    """Ranges of addresses, those that touch as one: a mapped file's may be cut."""
    out = []
    for vaddr, memsz, _, _ in loads:
        if out and out[-1][1] == vaddr:
            out[-1] = (out[-1][0], vaddr + memsz)
        else:
            out.append((vaddr, vaddr + memsz))
    return out


def memory_of(loads):
    return {vaddr + at: data[at:at + criu.PAGE] for vaddr, _, _, data in loads
            for at in range(0, len(data), criu.PAGE)}


def threads(path):
    done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex",
                           "info threads", sys.executable, path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return len(re.findall(r"^[* ] +\d+ +(?:Thread|LWP) ", done.stdout.decode(), re.M))


def as_images(core, directory, pid):
    """The core as a chain of two: what a final pre-dump would leave."""
    notes, loads = elf(core)
    maps, entries, rounds = [], [], {1: b"", 2: b""}
    for vaddr, memsz, flags, data in loads:
        access = (flags >> 2 & 1) | (flags & 2) | (flags & 1) << 2
        file = 0 if len(data) == memsz else 16
        maps.append((vaddr, vaddr + memsz, access | file, b"/some/name" if file else b""))
        for at in range(0, len(data), criu.PAGE):
            one = data[at:at + criu.PAGE]
            # Zeros of private memory need not be there.
            if file or any(one):
                entries.append((vaddr + at, 1, one))
    for n in rounds:
        os.mkdir(f"{directory}{n}")
        listed = [(a, 1, criu.PRESENT if i % 3 or n == 1 else criu.PARENT)
                  for i, (a, _, _) in enumerate(entries)]
        data = b"".join(one for i, (_, _, one) in enumerate(entries) if i % 3 or n == 1)
        if n == 1:    # what was written since is of no use any more
            data = b"".join(one if i % 3 == 0 else b"x" * criu.PAGE
                            for i, (_, _, one) in enumerate(entries))
        criu.write_pagemap(f"{directory}{n}", pid, 1, listed, data)
        criu.write_inventory(f"{directory}{n}")
    os.symlink(f"../{directory}1", f"{directory}2/parent")
    criu.write_note(f"{directory}2", pid, maps, notes)


VICTIM = """
import threading, time
memory = bytearray(range(256)) * 4096
for i in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
"""


def cores():
    victim = subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE)
    try:
        victim.stdout.readline()
        done = subprocess.run([tap.DECANT, "core", str(victim.pid), "-o", "core.real",
                               "--max-pause", "20s"], stderr=subprocess.PIPE, check=False)
        tap.ok(done.returncode == 0, "a core of a process", done.stderr.decode())
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    as_images("core.real", "img", 42)
    status, out, err = decant("img2", "check")
    tap.ok(status == 0, "the same as images: good", out + err)
    shown = [line for line in decant("img2")[1].splitlines() if line.startswith("img2")]
    tap.equal([", final" in line for line in shown], [True, False],
              "  shown as final, and its parent not")
    status, out, err = decant("img2", "core", "-o", "core.made")
    tap.ok(status == 0, "made into a core again", err)
    (notes, loads), (notes2, loads2) = elf("core.real"), elf("core.made")
    tap.ok(notes == notes2, "  its notes are the same")
    tap.ok(memory_of(loads) == memory_of(loads2), "  its memory is the same")
    tap.equal(covered(loads2), covered(loads), "  and its mappings")
    tap.equal(threads("core.made"), 4, "  gdb finds the threads")
    tap.equal(oct(os.stat("core.made").st_mode & 0o777), "0o600", "  only its owner may read it")
    refused = [
        (["img2", "core", "-o", "core.made"], "exists"),
        (["img1", "core"], "decant-PID.img"),
        (["img2", "core", "-p", "43"], "decant-43.img"),
        (["nothing", "core"], "No such file"),
        (["img2", "flatten", "-o", "img1"], "holds images already"),
    ]
    for command, why in refused:
        status, out, err = decant(*command)
        tap.ok(status == 1 and why in err, f"refused: {' '.join(command)}", err)
    os.truncate("img2/decant-42.img", os.path.getsize("img2/decant-42.img") - 12)
    status, out, err = decant("img2", "core", "-o", "core.cut")
    tap.ok(status == 1 and "cut off" in err, "a note without its end is refused", err)
    tap.ok(not os.path.exists("core.cut"), "  and there is no core")
    tap.ok("cut off" in decant("img2", "check")[1], "  check tells it")


def usage():
    for command in [[], ["a", "frob"], ["a", "diff"], ["a", "show", "b"], ["a", "check", "-o", "x"],
                    ["a", "show", "--sync"], ["a", "flatten", "-f"], ["a", "check", "-r"],
                    ["a", "--pid", "3"], ["a", "-q", "--json"], ["a", "diff", "b", "c"]]:
        status, out, err = decant(*command)
        tap.ok(status == 2 and not out, f"usage: {' '.join(command)}", err)


# -------------------------------------------------------------- the manual


def members(value):
    if isinstance(value, dict):
        return set(value) | {m for v in value.values() for m in members(v)}
    return {m for v in value for m in members(v)} if isinstance(value, list) else set()


def manual():
    chain(2)
    shutil.copytree("2", "4", symlinks=True)
    os.unlink("4/parent")
    notes, pid = b"\0" * 20, 5
    criu.write_note("2", pid, [(BASE, BASE + 100 * criu.PAGE, 3, b"[heap]")], notes)
    values = [json.loads(decant(*command)[1]) for command in [
        ["2", "--json", "--ranges"], ["4", "check", "--json"], ["2", "core", "--json"],
        ["1", "diff", "2", "--json", "--ranges"], ["2", "flatten", "--json", "-o", "flat"]]]
    with open(os.path.join(tap.SOURCE, "man", "decant-images.1.scd"), encoding="utf-8") as file:
        text = re.search(r"^# RESULT\n(.*?)^# ", file.read(), re.S | re.M)[1]
    told = {w.replace("\\", "") for w in re.findall(r"(?<!\w)_([\w\\]+?)_(?!\w)", text)}
    tap.equal(sorted(told - {"DIR"}), sorted(members(values)), "the page has the members of JSON")
    tap.equal(values[3]["pagemaps"][0]["mappings"][0]["name"], "[heap]",
              "diff counts by mapping")


# -------------------------------------------------------------------- limits


def memory_use():
    """A million ranges and 8 GiB of pages: memory does not know."""
    count = 1000000 if FULL else 200000
    os.mkdir("big")
    with open("big/pagemap-5.img", "wb") as file:
        file.write(struct.pack("<II", criu.COMMON, criu.PAGEMAP) +
                   criu.record(criu.number(1, 1)))
        for i in range(count):
            file.write(criu.entry(BASE + i * 16 * criu.PAGE, 8, criu.PRESENT))
    with open("big/pages-1.img", "wb") as file:
        file.truncate(count * 8 * criu.PAGE)
    criu.write_inventory("big")
    for command in [["big"], ["big", "check"], ["big", "diff", "big"],
                    ["big", "flatten", "-o", "big2"]]:
        child = subprocess.Popen([tap.DECANT, "images", *command], stdout=subprocess.DEVNULL)
        _, status, usage_of = os.wait4(child.pid, 0)
        child.returncode = 0
        tap.ok(status == 0 and (SLOW > 1 or usage_of.ru_maxrss < 65536),
               f"memory of {' '.join(command[1:]) or 'show'}: {usage_of.ru_maxrss >> 10} MiB "
               f"in {usage_of.ru_utime + usage_of.ru_stime:.1f} s", f"status {status}")
    shutil.rmtree("big")
    shutil.rmtree("big2", ignore_errors=True)


def mutate(data):
    data = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        where = random.randrange(len(data)) if data else 0
        deed = random.randrange(5)
        if deed == 0:
            del data[where:where + random.randrange(1, 9)]
        elif deed == 1:
            data[where:where] = bytes(random.randrange(256) for _ in range(random.randrange(9)))
        elif deed == 2:
            data[where:] = b""
        elif data:
            data[where] = random.choice([0, 1, 0x7f, 0x80, 0xff, random.randrange(256)])
    return bytes(data)


def hostile():
    chain(3, size=40)
    for n in "23":
        criu.write_note(n, 5, [(BASE, BASE + 100 * criu.PAGE, 3, b"")], bytes(200))
    shutil.copytree(".", "../seed", symlinks=True)
    bad, refused, rounds = [], 0, 400 if FULL else 60
    for n in range(rounds):
        name = random.choice(["1/pagemap-5.img", "2/pagemap-5.img", "3/pagemap-5.img",
                              "3/pagemap-5.img", "3/inventory.img", "3/decant-5.img"])
        with open(f"../seed/{name}", "rb") as file:
            data = mutate(file.read())
        with open(name, "wb") as file:
            file.write(data)
        for command in [["3", "check"], ["3", "core", "-fo", "x"], ["3", "diff", "2", "-q"],
                        ["3", "flatten", "-o", "flat"]][n % 2:]:
            status, out, err = decant(*command)
            refused += status == 1
            if status not in (0, 1) or "Sanitizer" in err:
                bad.append((n, name, command, status, err[-300:]))
        shutil.rmtree("flat", ignore_errors=True)
        shutil.copy(f"../seed/{name}", name)
    tap.none(bad, f"{rounds} mutated files are refused or read ({refused} times refused)")
    tap.ok(refused > rounds / 3, "control: most are refused", str(refused))


def main():
    tap.diag(f"DECANT_SEED={SEED}")
    random.seed(SEED)
    tap.need_root()
    with tempfile.TemporaryDirectory() as top:
        # A child's peak begins with ours: first what is measured.
        for part in [usage, memory_use, chains, crit, cores, manual, hostile]:
            if os.environ.get("DECANT_TEST_ONLY", "") not in part.__name__:
                continue
            where = os.path.join(top, part.__name__, "here")
            os.makedirs(where)
            os.chdir(where)
            part()
        os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
