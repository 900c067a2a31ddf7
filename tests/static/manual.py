#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The manual says what the header and the program say: prototypes, constants,
members, facts, members of JSON objects; and it can be read."""

import json
import os
import re
import subprocess
import sys
import tempfile

import tree
import tap

PAGES = tree.files(".scd", under="man")


def plain(text):
    """scdoc without its marks: *bold*, _underlined_, and what is escaped."""
    text = re.sub(r"(?<!\\)\*", "", text)
    text = re.sub(r"(?<![\w\\])_(\w+?)_(?!\w)", r"\1", text)
    return re.sub(r"\\(.)", r"\1", text)


def words(text):
    """A declaration without differences of layout."""
    return re.sub(r"\s*([*(),;])\s*", r"\1", " ".join(text.split()))


def section(page, name):
    found = re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", page, re.S | re.M)
    return found[1] if found else ""


# -------------------------------------------------------------- the library


def header_functions(header):
    """Name -> declaration, of all that is exported."""
    text = re.sub(r"DECANT_CHECK\s|__attribute__\s*\(\(.*?\)\)", "", header)
    return {m[2]: words(m[0]) for m in
            re.finditer(r"^((?:const |struct |unsigned )*\w[\w ]*?[ *]*(?:const )?\*?)"
                        r"(decant_\w+)\([^;{]*\);", text, re.M)}


def page_functions(page):
    found = {}
    for each in re.findall(r"^\*.*;\*$", section(page, "SYNOPSIS"), re.M):
        text = words(plain(each))
        name = re.search(r"(decant_\w+)\(", text)
        if name:
            found[name[1]] = text
    return found


def wrong_functions(header, pages):
    """Every function has one page, which shows it as the header does."""
    declared, shown = header_functions(header), {}
    for path, page in pages.items():
        for name, text in page_functions(page).items():
            if name in shown:
                yield f"{path}: {name} has another page"
            shown[name] = text
            if name not in plain(section(page, "NAME")):
                yield f"{path}: NAME lacks {name}"
    for name in sorted(set(declared) | set(shown)):
        if declared.get(name) != shown.get(name):
            yield f"{name}: header: {declared.get(name)}; page: {shown.get(name)}"


def wrong_words(header, pages):
    """Constants, and members of what a caller fills in or reads."""
    text = "\n".join(map(plain, pages.values()))
    code = tree.without_comments(header)
    constants = re.findall(r"^\s+(DECANT_\w+) = ", code, re.M)
    # The makers of ends set kinds and members; nobody else has to know them.
    constants = [c for c in constants if not c.startswith("DECANT_END_")]
    constants += [c for c in re.findall(r"^#define (DECANT_\w+)", code, re.M)
                  if not re.match(r"DECANT_(H|CHECK|VERSION_\w+|ROUTES_MAX)$", c)]
    for name in constants:
        if not re.search(rf"\b{name}\b", text):
            yield f"{name}: on no page"
    for struct, body in re.findall(r"^struct decant_(\w+) \{\n(.*?)^\};", code, re.S | re.M):
        if struct == "end":
            continue
        for member in re.findall(r"\b(\w+)\)?(?:\[\w+\]|\([^;]*\))?;", body):
            if not re.search(rf"\b{member}\b", text):
                yield f"struct decant_{struct}: {member}: on no page"


def check_library():
    header = tree.read("include/decant.h")
    pages = {p: tree.read(p) for p in PAGES if ".3." in p}
    tap.ok(len(header_functions(tree.without_comments(header))) > 15, "functions are found")
    code = tree.without_comments(header)
    tap.none(list(wrong_functions(code, pages)), "prototypes of man3 are the header's")
    tap.none(list(wrong_words(header, pages)), "constants and members are on some page")
    build = tree.read("man/meson.build")
    tap.none([f for f in header_functions(code) if f"'{f}'" not in build and
              f"'{f}.3'" not in build], "every function is found by its name")
    changed = code.replace("decant_wait(struct decant *d,", "decant_wait(struct decant *e,")
    tap.equal(len(list(wrong_functions(changed, pages))), 1, "control: another prototype is seen")
    more = header.replace("DECANT_SYNC = ", "DECANT_SINC = ").replace("stall_ms;", "stahl_ms;", 1)
    tap.equal(len(list(wrong_words(more, pages))), 2, "control: what is on no page is seen")


# -------------------------------------------------------------- the program


def run(*words_of_command):
    done = subprocess.run([tap.DECANT, *words_of_command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.stdout


def page_facts(page):
    """(name, what it is about), in the page's order."""
    return [(m[1], plain(" ".join(m[2].split()))) for m in
            re.finditer(r"^\*(\w+)\*\n\t(.*?)(?=\n\n|\Z)", section(page, "FACTS"), re.S | re.M)]


def check_facts():
    page = tree.read("man/decant-probe.1.scd")
    facts = [(f["name"], f["what"]) for f in json.loads(run("probe", "--json"))["facts"]]
    tap.ok(len(facts) > 15, "probe finds facts")
    tap.equal(page_facts(page), facts, "decant-probe(1) has the facts of decant probe")
    tap.ok(page_facts(page.replace("*tee*", "*tea*")) != facts and
           page_facts(page.replace("*tee*\n", "tee\n")) != facts,
           "control: another fact is seen")


def members(value):
    """All names in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(members, value.values()))
    return set().union(*map(members, value)) if isinstance(value, list) else set()


def core_json():
    """Results of a core that is made and one that is not, and a forecast."""
    with subprocess.Popen(["sleep", "1000"]) as victim, tempfile.TemporaryDirectory() as directory:
        words_of_core = ["core", str(victim.pid), "-o", os.path.join(directory, "core"), "--json"]
        results = [json.loads(run(*words_of_core)) for _ in range(2)]
        foreseen = json.loads(run(*words_of_core, "--explain"))
        victim.kill()
    return results, foreseen


def dirty_json():
    """The intervals and results of a process that writes."""
    with subprocess.Popen(["sh", "-c", "while :; do x=$x; done"]) as victim:
        words_of_dirty = ["dirty", str(victim.pid), "--for", "60ms", "-i", "20ms", "--json"]
        text = run(*words_of_dirty, "--ranges")
        victim.kill()
    # Of one that is gone.
    lines = [json.loads(line) for line in (text + run(*words_of_dirty)).splitlines()]
    return ([v for v in lines if v["event"] == "interval"],
            [v for v in lines if v["event"] == "result"])


def predump_json():
    """Results of a chain that is made, and of one that is there already."""
    with subprocess.Popen(["sleep", "1000"]) as victim, tempfile.TemporaryDirectory() as directory:
        words_of_predump = ["predump", str(victim.pid), "-D", os.path.join(directory, "dump"),
                            "--rounds", "2", "--json"]
        results = [json.loads(run(*words_of_predump)) for _ in range(2)]
        victim.kill()
    return results


def page_server_json():
    """The lines of one that gets an image of us, and one that gets nothing."""
    with subprocess.Popen(["sleep", "1000"]) as victim, tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            [tap.DECANT, "page-server", "-D", os.path.join(directory, "srv"), "--chain", "--json"],
            stdout=subprocess.PIPE, text=True)
        lines = [json.loads(server.stdout.readline())]
        run("predump", str(victim.pid), "-D", os.path.join(directory, "dump"), "--to",
            "tcp:" + lines[0]["listening"])
        lines.append(json.loads(server.stdout.readline()))
        victim.kill()
        server.terminate()
        lines += [json.loads(line) for line in server.communicate(timeout=60)[0].splitlines()]
    return lines


def check_json():
    with tempfile.TemporaryDirectory() as directory:
        events = os.path.join(directory, "events")
        with open(events, "w", encoding="utf-8") as file:
            done = subprocess.run(
                [tap.DECANT, "copy", "zero:1M", "tcp-listen::0", "--events", "1", "--checksum",
                 "--timeout", "1ms"], stdout=file, stderr=subprocess.DEVNULL, check=False)
            tap.equal(done.returncode, 1, "nobody comes, and the copy fails")
            subprocess.run([tap.DECANT, "copy", "mem:9M", "null:", "--events", "1", "--checksum",
                            "-q"], stdout=file, check=True, pass_fds=[1])
        lines = [json.loads(line) for line in tree.read(events, root="/").splitlines()
                 if line.startswith("{")]
    copied = json.loads(run("copy", "mem:9", "null:", "--json", "--checksum"))
    failed = json.loads(run("copy", "mem:9", "/dev/full", "--json"))
    planned = json.loads(run("explain", "mem:9", "null:", "--json", "--live"))
    refused = json.loads(run("explain", "mem:9", "null:", "--json", "--route", "splice"))
    probed = json.loads(run("probe", "--json"))
    cored, foreseen = core_json()
    dirty = dirty_json()
    for page, name, values in [
            ("copy", "RESULT", [copied, failed]), ("copy", "EVENTS", lines),
            ("explain", "RESULT", [planned, refused]), ("probe", "OPTIONS", [probed]),
            ("predump", "RESULT", predump_json()),
            ("page-server", "JSON", page_server_json()),
            ("dirty", "INTERVALS", dirty[0]), ("dirty", "RESULT", dirty[1]),
            ("core", "RESULT", cored), ("core", "FORECAST", [foreseen])]:
        text = section(tree.read(f"man/decant-{page}.1.scd"), name)
        # Members are underlined; the arguments of options are in capitals.
        told = {w for w in re.findall(r"(?<!\w)_(\w+?)_(?!\w)", text) if not w.isupper()}
        named = members(values) - {"xxh3"}
        tap.ok(named, f"decant {page}: {name}: there is JSON")
        tap.equal(sorted(told), sorted(named), "  the page has its members")
        tap.ok(told != members([*values, {"other": 0}]) - {"xxh3"}, "  control: one more is seen")
    tap.equal({e["event"] for e in lines} - set(re.findall(
        r"^\*(\w+)\*$", section(tree.read("man/decant-copy.1.scd"), "EVENTS"), re.M)), set(),
        "every event is on the page")


def check_pages():
    wrong = []
    for path in PAGES:
        made = subprocess.run(["scdoc"], input=tree.read(path), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        read = subprocess.run(["mandoc", "-T", "lint", "-W", "error"], input=made.stdout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if made.returncode or read.stdout:
            wrong.append(f"{path}: {read.stdout or made.stdout}")
    tap.none(wrong, "every page can be made, and mandoc can read it")
    known = {os.path.basename(p)[:-4] for p in PAGES}
    known = {f"{n.rsplit('.', 1)[0]}({n[-1]})" for n in known}
    for path in PAGES:
        known |= {f"{n}(3)" for n in page_functions(tree.read(path))}
    named = {(p, w) for p in PAGES
             for w in re.findall(r"(?:lib)?decant[\w-]*\(\d\)", plain(tree.read(p)))}
    tap.none(sorted(f"{p}: {w}" for p, w in named if w not in known),
             "pages that are named exist")


def main():
    check_library()
    check_facts()
    check_json()
    check_pages()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
