#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What decant-routes(7) and docs/routes.md say of each route is what the table of
routes says: ends, copies, guarantee, needs, and nothing more."""

import os
import re
import subprocess
import sys

import tree
import tap

KINDS = ["file", "pipe", "socket", "memory", "process", "null", "zero"]
COPIES = {0: "no copy", 1: "one copy", 2: "two copies"}
ENTRY = re.compile(r"^const struct route (route_\w+) = \{\n(.*?)^\};", re.S | re.M)
NEEDS = re.compile(r"static const enum fact (\w+)\[\] = \{(.*?)\};", re.S)
TOLD = re.compile(r"^- (.+?) to (.+?): (no copy|one copy|two copies), (stable|live)"
                  r"(?:; needs (.+))?\.$", re.M)


def field(text, name, otherwise=None):
    found = re.search(rf"\.{name} = ([^;]*?)(?:,\n\t\.|,\n*\Z)", text, re.S)
    return found[1] if found else otherwise


def kinds(text):
    """C's masks in the words of the page: "file, pipe or socket"."""
    if "ROUTE_ANY" in text:
        return "anything"
    named = re.findall(r"DECANT_END_(\w+)", text)
    return listed([k for k in KINDS if k.upper() in named])


def listed(words):
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def entry(source, body):
    """One row: name, from, to, copies, guarantee, needs, sees, past."""
    facts = {name: [f.lower() for f in re.findall(r"FACT_(\w+)", rest) if f != "NONE"]
             for name, rest in NEEDS.findall(source)}
    name = re.search(r'(?:\.name = |\.ops = \{ )"([a-z-]+)"', body)[1]
    return {
        "name": name,
        "from": kinds(field(body, "from_kinds")),
        "to": kinds(field(body, "to_kinds")),
        "copies": COPIES[int(field(body, "copies"))],
        "guarantee": field(body, "guarantee").replace("DECANT_", "").lower(),
        "needs": facts[field(body, "needs")] if field(body, "needs") else [],
        "sees": field(body, "user_space") == "true",
        "past": field(body, "past_cache") == "true",
    }


def routes():
    """The table of routes, in its order; names may come several times."""
    found = {}
    for path in tree.files(".c", under="src/route"):
        source = tree.read(path)
        for variable, body in ENTRY.findall(source):
            found[variable] = entry(source, body)
    table = re.findall(r"&(route_\w+)", tree.read("src/route/table.c"))
    tap.equal(sorted(found), sorted(table), "the table has every route, once")
    return [found[name] for name in table if name in found]


def line(r):
    """What the page says of a route in its first lines."""
    needs = "; needs " + ", ".join(f"_{f}_" for f in r["needs"]) if r["needs"] else ""
    start = r["from"][0].upper() + r["from"][1:]
    return f"- {start} to {r['to']}: {r['copies']}, {r['guarantee']}{needs}."


def sections(page):
    """Route -> text of its section."""
    parts = re.split(r"^#+ (.*)\n", page, flags=re.M)[1:]
    return {name: text for name, text in zip(parts[::2], parts[1::2])
            if re.fullmatch(r"[a-z-]+", name)}


def wrong_page(table, page):
    told = sections(page)
    names = {r["name"] for r in table}
    for name in sorted(names ^ set(told)):
        yield f"{name}: only in {'the table' if name in names else 'the page'}"
    for name in sorted(names & set(told)):
        text = told[name]
        flat = " ".join(text.split())
        wanted = {line(r) for r in table if r["name"] == name}
        found = {m[0] for m in TOLD.finditer(text)}
        for each in sorted(wanted ^ found):
            yield f"{name}: {'missing' if each in wanted else 'not so'}: {each}"
        rows = [r for r in table if r["name"] == name]
        if any(r["sees"] for r in rows) != ("Sees the bytes" in flat):
            yield f"{name}: whether it sees the bytes"
        if any(r["past"] for r in rows) != ("past the page cache" in flat):
            yield f"{name}: whether it goes past the page cache"


def row(r):
    """docs/routes.md: | `name` | from | to | copies | guarantee | ... |"""
    copies = list(COPIES.values()).index(r["copies"])
    return (r["name"], r["from"], r["to"], str(copies), r["guarantee"])


def readme_rows(text):
    return [tuple(c.strip().strip("`") for c in each.strip("|").split("|"))[:5]
            for each in re.findall(r"^\| `[a-z-]+` \|.*\|$", text, re.M)
            if each.count("|") == 7]


def check_page(table):
    page = tree.read("man/decant-routes.7.scd")
    tap.none(list(wrong_page(table, page)), "decant-routes(7) says what the table says")
    for was, other, what in [
            ("- File to socket: no copy, live", "- File to socket: no copy, stable", "guarantee"),
            ("one copy, stable", "no copy, stable", "number of copies"),
            ("## vmsplice\n", "## vmslice\n", "name"),
            (" Sees the bytes.", "", "word on checksums"),
            (", _pipe_reopen_", "", "need")]:
        tap.ok(was in page and list(wrong_page(table, page.replace(was, other, 1))),
               f"control: a wrong {what} is seen")


def check_readme(table):
    wanted = {row(r) for r in table}
    rows = readme_rows(tree.read("docs/routes.md"))
    tap.equal(sorted(rows), sorted(wanted), "so does docs/routes.md")
    tap.ok(wanted != set(rows[1:]), "control: a row that is missing is seen")


def compiles(code):
    done = subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
         *(f"-I{os.path.join(tap.SOURCE, d)}" for d in ("include", "src")), "-x", "c", "-"],
        input=code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def check_howto():
    """docs/adding-a-route.md shows a route as they are now."""
    text = tree.read("docs/adding-a-route.md")
    code = re.search(r"^```c\n(.*?)^```$", text, re.S | re.M)[1]
    good, said = compiles(code)
    tap.ok(good, "the route of docs/adding-a-route.md compiles", said)
    tap.ok(not compiles(code.replace("job_want", "job_wish"))[0], "control: not any text does")
    named = re.findall(r"`((?:src|man|tools|static|cli|system|unit)/[\w./-]+)`", text)
    roots = ["", "tests/"]
    tap.none([n for n in named if not any(os.path.exists(os.path.join(tap.SOURCE, r + n + s))
                                          for r in roots for s in ("", ".c"))],
             "and what it names is there")


def main():
    table = routes()
    tap.ok(len(table) > 20, "there is a table of routes", f"{len(table)} entries")
    costs = set(re.findall(r'^\t(?:ROW|CPU)\("([\w-]+)"',
                           tree.read("src/plan/cost_default.c"), re.M))
    tap.none({r["name"] for r in table} - costs, "each has shipped costs")
    check_page(table)
    check_readme(table)
    check_howto()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
