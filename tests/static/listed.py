#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""No source file is forgotten: each is named in the meson.build that owns it, and
each man page and test is one that is built and run."""

import os
import re
import sys

import tree
import tap

# folder, suffix, its meson.build, how a file is called there
OWNERS = [
    ("src", ".c", "src/meson.build", lambda p: p[len("src/"):]),
    ("cli", ".c", "cli/meson.build", lambda p: p[len("cli/"):]),
    ("examples", ".c", "examples/meson.build", lambda p: os.path.basename(p)[:-2]),
    ("bench", ".c", "bench/meson.build", lambda p: os.path.basename(p)[:-2]),
    ("man", ".scd", "man/meson.build", lambda p: os.path.basename(p)[:-4]),
    ("tests/lib", ".c", "tests/meson.build", lambda p: p[len("tests/"):]),
    ("tests/victims", ".c", "tests/victims/meson.build", lambda p: os.path.basename(p)[:-2]),
]
PROGRAMS = ["unit", "system", "fault", "api", "cli", "interop", "self"]


def words(path):
    """Everything between quotes, split at blanks."""
    return {w for text in re.findall(r"'([^'\n]*)'", tree.read(path)) for w in text.split()}


def main():
    for folder, suffix, owner, name in OWNERS:
        known = words(owner)
        paths = tree.files(suffix, under=folder)
        tap.none([p for p in paths if not {name(p), os.path.basename(p)} & known],
                 f"{owner} names all of {folder}")

    known = words("tests/meson.build")
    missing = []
    for folder in PROGRAMS:
        for path in tree.files(".c", ".py", ".sh", under="tests/" + folder):
            name = path[len("tests/"):]
            if not {name, name.removesuffix(".c")} & known:
                missing.append(path)
    tap.none(missing, "tests/meson.build names every test")
    fuzzers = [p for p in tree.files(".c", under="tests/fuzz") if not p.endswith("replay.c")]
    tap.none([p for p in fuzzers if os.path.basename(p)[:-2] not in known],
             "and every fuzz target")
    tap.none([p for p in fuzzers
              if not tree.files(under="tests/fuzz/corpus/" + os.path.basename(p)[:-2])],
             "which has a corpus")
    scripts = [p[len("tests/"):] for p in tree.files(".py", under="tests/static")]
    tap.none([p for p in scripts if p not in known | {"static/tree.py"}],
             "and every static check")
    tap.ok("base/nothing.c" not in words("src/meson.build"), "control: what is not named is seen")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
