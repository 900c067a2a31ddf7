#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant dirty: JSON that adds up, a picture that says the same, and every way to end."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap  # noqa: E402

LIMIT = 60 * int(os.environ.get("TAP_SLOW", "1"))
SVG = "{http://www.w3.org/2000/svg}"
MAPS = 60

# Writes all the time: to more mappings than a picture has lanes, with holes between
# them, the later ones less often; and to a private mapping of a file.
WRITER = """
import mmap, sys, time
file = open(sys.argv[1], "r+b")
maps = [mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE), None]
for i in range(%d):
    maps.append(mmap.mmap(-1, 4096 * (16 << i %% 5), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    maps.append(mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0))
print("ready", flush=True)
n = 0
while True:
    n += 1
    for i, m in enumerate(maps):
        if i %% 2 == 0 and n %% (1 + i // 6) == 0:
            m[(n * 7919 * 4096) %% len(m)] = n %% 251
    time.sleep(0.001)
""" % MAPS


class Writer:
    """The process that is looked at; its file has a name that no XML may have as it is."""

    def __init__(self, directory):
        self.path = os.path.join(os.fsencode(directory), b"a<b>&\"c'\xff.bin")
        with open(self.path, "wb") as file:
            file.write(b"x" * 65536)
        self.process = subprocess.Popen([sys.executable, "-c", WRITER, self.path],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = str(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def harm(self):
        """None, or what was left behind in it."""
        with open(f"/proc/{self.pid}/smaps", encoding="utf-8", errors="replace") as file:
            flags = {word for line in file if line.startswith("VmFlags:")
                     for word in line.split()[1:]}
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":\t", 1) for line in file)
        if flags & {"uw", "um", "ui"}:
            return "a userfaultfd"
        if int(status["TracerPid"]) or self.process.poll() is not None:
            return "is traced, or has ended"
        return "is stopped" if status["State"][0] in "Tt" else None


def decant(*words, **how):
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([tap.DECANT, "dirty", *words], stderr=subprocess.PIPE, timeout=LIMIT,
                          check=False, **how)


def lines_of(text):
    lines = [json.loads(line) for line in text.splitlines()]
    return [v for v in lines if v["event"] == "interval"], lines[-1]


# ------------------------------------------------------------------------- JSON


def check_json(intervals, result):
    tap.equal(result["event"], "result", "the last line is the result")
    tap.equal((result["status"], result["error"]), (0, None), "which is good")
    tap.equal(result["intervals"], len(intervals), "intervals are counted")
    tap.equal(result["pages"], sum(i["pages"] for i in intervals), "pages are summed up")
    tap.equal(result["seen_pages"], intervals[-1]["seen_pages"], "each once, at the end")
    tap.equal(result["time_ns"], intervals[-1]["end_ns"], "and the time")
    wrong, ever, last = [], set(), 0
    for i in intervals:
        pages = {page for start, end in i["ranges"] for page in range(start, end, 4096)}
        if i["pages"] != len(pages):
            wrong.append(f"{i['pages']} pages, but {len(pages)} in ranges")
        if i["new_pages"] != len(pages - ever):
            wrong.append(f"{i['new_pages']} are new, but {len(pages - ever)} in ranges")
        ever |= pages
        if i["seen_pages"] != len(ever):
            wrong.append(f"{i['seen_pages']} seen, but {len(ever)} in ranges")
        for m in i["mappings"]:
            inside = sum(m["start"] <= p < m["end"] for p in pages)
            if m["pages"] != inside:
                wrong.append(f"{m['name']}: {m['pages']} pages, but {inside} in ranges")
        if sum(m["pages"] for m in i["mappings"]) + i["gone_pages"] != i["pages"]:
            wrong.append("mappings do not add up")
        if i["begin_ns"] < last or i["end_ns"] <= i["begin_ns"]:
            wrong.append("times do not follow each other")
        last = i["end_ns"]
    tap.none(wrong, "every interval adds up, by its ranges and mappings")
    tap.ok(len(ever) > 60, "many pages were seen", len(ever))
    names = {m["name"] for i in intervals for m in i["mappings"]}
    tap.ok("[stack]" in names or "[heap]" in names, "heap or stack, by their names", names)
    tap.ok(any("a<b>&" in n for n in names), "the file, by its name", names)


def check_plan(plan, bandwidth):
    tap.equal((plan["bandwidth_bytes_per_s"], plan["bandwidth_from"]), (bandwidth, "given"),
              "the bandwidth that was given")
    tap.equal([f["strategy"] for f in plan["forecasts"]], ["precopy", "fork", "stop"],
              "a forecast for each strategy")
    stop = plan["forecasts"][2]
    least = plan["memory_bytes"] * 10**9 // bandwidth
    tap.ok(least <= stop["pause_ns"] <= least + 10**8, "stop: as long as copying all takes",
           f"{stop['pause_ns']} ns, {least} for the bytes alone")
    precopy = plan["forecasts"][0]
    tap.ok(precopy["possible"] and precopy["rounds"] >= 1, "precopy has rounds", precopy)
    lengths = [w["ns"] for w in plan["windows"]]
    tap.ok(len(lengths) >= 2 and lengths == sorted(lengths), "windows of growing length", lengths)


# ---------------------------------------------------------------------- the picture


def cells_wrong(root, intervals):
    """What the picture and the JSON do not agree on."""
    columns = root.find(f"{SVG}g[@class='columns']").findall(f"{SVG}rect")
    groups = [g for g in root.findall(f"{SVG}g") if "data-name" in g.attrib]
    if len(columns) != len(intervals):
        yield f"{len(columns)} columns, {len(intervals)} intervals"
        return
    shown = [0] * len(intervals)
    for column, i in zip(columns, intervals):
        if int(column.get("data-pages")) != i["pages"] - i["gone_pages"]:
            yield f"a column of {column.get('data-pages')} pages, {i['pages']} in the interval"
        if int(column.get("data-end-ns")) != i["end_ns"]:
            yield "a column of another time"
    for group in groups:
        start, end = int(group.get("data-start")), int(group.get("data-end"))
        size, rest = int(group.get("data-row-bytes")), not start and not end
        for cell in group.findall(f"{SVG}rect[@data-column]"):
            number, pages = int(cell.get("data-column")), int(cell.get("data-pages"))
            shown[number] += pages
            first = int(cell.get("data-start"))
            inside = sum(max(0, min(e, first + size, end) - max(s, first, start)) // 4096
                         for s, e in intervals[number]["ranges"])
            if not rest and pages != inside:
                yield f"{group.get('data-name')}: cell {first:x}: {pages}, {inside} in ranges"
    for number, i in enumerate(intervals):
        if shown[number] != i["pages"] - i["gone_pages"]:
            yield f"column {number}: cells have {shown[number]} of {i['pages']} pages"


def check_svg(path, intervals):
    root = ElementTree.parse(path).getroot()
    tap.equal(root.tag, f"{SVG}svg", "the picture is XML, and SVG")
    groups = [g for g in root.findall(f"{SVG}g") if "data-name" in g.attrib]
    tap.equal(len(groups), 20, "of the mappings as many as it has room for")
    tap.none(list(cells_wrong(root, intervals)), "every cell is what the intervals say")
    cells = [r for g in groups for r in g.findall(f"{SVG}rect[@data-column]")]
    tap.ok(len(cells) > 100, "there are cells", len(cells))
    cells[7].set("data-pages", str(int(cells[7].get("data-pages")) + 1))
    tap.ok(list(cells_wrong(root, intervals)), "control: one page more in a cell shows")
    text = ElementTree.tostring(root, encoding="unicode")
    tap.ok("a&lt;b&gt;&amp;" in text, "names are escaped")
    tap.ok("prefers-color-scheme:dark" in text, "it has colours for dark pages, too")
    keys = root.findall(f"{SVG}rect[@x]")
    tap.equal(len([k for k in keys if " key" in k.get("class", "")]), 8, "it has a legend")
    box = [float(v) for v in root.get("viewBox").split()]
    out = [r.attrib for r in root.iter(f"{SVG}rect") if
           float(r.get("x", 0)) + float(r.get("width")) > box[2] + 1 or
           float(r.get("y", 0)) + float(r.get("height")) > box[3] + 1]
    tap.none(out, "nothing lies outside of it")


def measure(writer, directory):
    svg = os.path.join(directory, "heat.svg")
    done = decant(writer.pid, "--for", "1s", "-i", "50ms", "--json", "--ranges", "--svg", svg,
                  "--bandwidth", "100MB")
    tap.equal(done.returncode, 0, "a second of it")
    tap.equal(done.stderr, b"", "without a word")
    intervals, result = lines_of(done.stdout)
    check_json(intervals, result)
    check_plan(result["plan"], 100 * 10**6)
    check_svg(svg, intervals)
    tap.equal(result["svg"], svg, "the result names it")
    tap.equal(writer.harm(), None, "nothing is left in the process")
    again = decant(writer.pid, "--for", "50ms", "--svg", svg)
    tap.equal(again.returncode, 1, "a file that exists is an error")
    tap.ok(b"the file exists" in again.stderr and b"--force" in again.stderr, "which is told",
           again.stderr)
    again = decant(writer.pid, "--for", "50ms", "-i", "20ms", "--svg", svg, "--force")
    tap.equal(again.returncode, 0, "--force replaces it")
    tap.ok(b"heat map: " in again.stdout, "and says so")


# ------------------------------------------------------------------------- for people


def people(writer):
    done = decant(writer.pid, "--for", "120ms", "-i", "50ms")
    tap.equal(done.returncode, 0, "lines for people")
    text = done.stdout.decode(errors="replace")
    tap.ok("pages/s" in text and "\033" not in text, "without commands to a terminal", text)
    for word in ("STRATEGY", "precopy", "fork", "stop", "different pages within"):
        tap.ok(word in text, f"  {word}")
    quiet = decant(writer.pid, "--for", "120ms", "-i", "50ms", "-q").stdout.decode(errors="replace")
    tap.equal(len([v for v in quiet.splitlines() if v.startswith(" ")]), 0, "--quiet: no intervals")


def terminal(writer):
    """On a terminal the table is drawn over itself."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(tap.DECANT, [tap.DECANT, "dirty", writer.pid, "--for", "600ms", "-i", "50ms"])
    text = b""
    try:
        while more := os.read(fd, 65536):
            text += more
    except OSError:
        pass
    os.close(fd)
    tap.equal(os.waitpid(pid, 0)[1], 0, "on a terminal")
    drawn = text.count(b"PAGES/S")
    tap.ok(drawn and b"total" in text, "a table", text)
    # Where one look takes longer than all there is nothing to draw it over.
    tap.equal(text.count(b"A\r"), drawn - 1, "drawn over itself")


# -------------------------------------------------------------------------- the ends


def begun(writer, *words):
    process = subprocess.Popen([tap.DECANT, "dirty", writer.pid, "--json", *words],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = process.stdout.readline()
    return process, line


def interrupted(writer):
    for number in (signal.SIGINT, signal.SIGTERM):
        process, line = begun(writer, "--for", "0", "-i", "30ms")
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
        intervals, result = lines_of(line + out)
        tap.equal((process.returncode, err), (0, b""), f"{number.name} ends it, well")
        tap.ok(result["intervals"] == len(intervals) > 0 and result["plan"],
               "with all that was seen")
        tap.equal(result["ended"], None, "the process did not end")
    tap.equal(writer.harm(), None, "nothing is left in the process")
    process, line = begun(writer, "--for", "0", "-i", "30ms")
    process.kill()
    process.communicate(timeout=LIMIT)
    for _ in range(100):
        if writer.harm() is None:
            break
        time.sleep(0.05)
    tap.equal(writer.harm(), None, "killed: nothing either")


def target_ends(directory):
    with Writer(directory) as writer:
        process, line = begun(writer, "--for", "0", "-i", "30ms")
        writer.process.kill()
        out, err = process.communicate(timeout=LIMIT)
        _, result = lines_of(line + out)
        tap.equal((process.returncode, err), (0, b""), "the process ends")
        tap.equal(result["ended"], "has ended", "which is told")
        tap.ok(result["plan"], "and what was seen")
    shell = subprocess.Popen(["sh", "-c", "read x; exec sleep 100"], stdin=subprocess.PIPE)
    words = [tap.DECANT, "dirty", str(shell.pid), "--for", "0", "-i", "30ms"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    process.stdout.readline()
    shell.stdin.write(b"\n")
    shell.stdin.flush()
    out, _ = process.communicate(timeout=LIMIT)
    tap.equal(process.returncode, 0, "it executes another program")
    tap.ok(b"has executed another program" in out, "which is told", out)
    shell.kill()
    shell.wait()
    shell.stdin.close()
    gone = decant(str(shell.pid), "--svg", os.path.join(directory, "none.svg"))
    tap.equal(gone.returncode, 1, "a process that is gone")
    tap.ok(not os.path.exists(os.path.join(directory, "none.svg")), "leaves no picture")


def refused(writer, directory):
    for words, what in [
            ([], "PID is missing"), (["x"], "PID"), ([writer.pid, "-i", "1us"], "--interval"),
            ([writer.pid, "--for", "x"], "--for"), ([writer.pid, "--ranges"], "--ranges"),
            ([writer.pid, "-q", "--json"], "--quiet"), ([writer.pid, "-f"], "--force"),
            ([writer.pid, "--svg", ""], "--svg"), ([writer.pid, "--track", "magic"], "--track"),
            ([writer.pid, "--bandwidth", "0"], "--bandwidth")]:
        done = decant(*words)
        tap.equal(done.returncode, 2, f"refused: {what}")
        tap.ok(what.encode() in done.stderr, "  which is named", done.stderr)
    done = decant(writer.pid, "--mask", "uffd_wp_async,soft_dirty", "--json")
    tap.equal(done.returncode, 1, "no way to track")
    tap.equal(json.loads(done.stdout)["error"]["code"], "ENOTSUP", "as JSON, too")
    done = decant(writer.pid, "--svg", os.path.join(directory, "no", "where.svg"))
    tap.equal(done.returncode, 1, "a directory that is not there")
    with open("/dev/full", "wb") as full:
        for words in (["--json"], []):
            done = decant(writer.pid, "--for", "60ms", "-i", "20ms", *words, stdout=full)
            tap.equal(done.returncode, 1, "nobody takes what is told")
    reader, pipe = os.pipe()
    os.close(reader)
    done = decant(writer.pid, "--for", "0", "-i", "20ms", "--json", stdout=pipe)
    os.close(pipe)
    tap.equal(done.returncode, 1, "a reader that goes away ends it")
    tap.equal(writer.harm(), None, "nothing is left in the process")


def main():
    tap.need_root()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        with Writer(directory) as writer:
            measure(writer, directory)
            people(writer)
            terminal(writer)
            interrupted(writer)
            refused(writer, directory)
        target_ends(directory)


main()
sys.exit(tap.done())
