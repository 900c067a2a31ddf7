#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The public header compiles alone, in every language that may include it, and
makes nothing but DECANT_ macros and decant names; so do our own headers alone."""

import os
import re
import subprocess
import sys
import tempfile

import tree
import tap

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
LANGUAGES = [
    ("C99", ["gcc", "-std=c99", "-x", "c"]),
    ("C11", ["gcc", "-std=c11", "-x", "c"]),
    ("C11 by clang", ["clang", "-std=c11", "-x", "c"]),
    ("C++11", ["g++", "-std=c++11", "-x", "c++"]),
    ("C++20", ["g++", "-std=c++20", "-x", "c++"]),
]


def compiles(command, path):
    done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.returncode == 0, done.stdout


def check_languages(path):
    include = "-I" + os.path.join(tap.SOURCE, "include")
    for name, command in LANGUAGES:
        good, text = compiles([*command, *STRICT, include], path)
        tap.ok(good, f"decant.h alone, {name}", text)


def check_names():
    text = tree.without_comments(tree.read("include/decant.h"))
    macros = re.findall(r"^#define (\w+)", text, re.M)
    tap.none([m for m in macros if not m.startswith("DECANT_")], "macros start with DECANT_")
    tags = re.findall(r"^(?:struct|enum|union) (\w+)", text, re.M)
    tap.none([t for t in tags if not re.match(r"decant(_|$)", t)], "types start with decant")


def check_private():
    """A header that needs another one includes it."""
    wrong = []
    options = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c"]
    options += ["-I" + os.path.join(tap.SOURCE, d) for d in ("include", "src", "cli", "tests")]
    headers = [p for d in ("src", "cli", "tests", "bench") for p in tree.files(".h", under=d)]
    for path in headers:
        good, text = compiles(options, os.path.join(tap.SOURCE, path))
        if not good:
            wrong.append(text)
    tap.none(wrong, f"each of {len(headers)} private headers compiles alone")


def main():
    with tempfile.TemporaryDirectory() as directory:
        alone = os.path.join(directory, "alone.c")
        tree.write(directory, "alone.c", "#include <decant.h>\nint main(void) { return 0; }\n")
        check_languages(alone)
        tree.write(directory, "wrong.c", "#include <decant.h>\nsize_t f(struct stat s);\n")
        good, _ = compiles([*LANGUAGES[1][1], *STRICT, "-I" + os.path.join(tap.SOURCE, "include")],
                           os.path.join(directory, "wrong.c"))
        tap.ok(not good, "control: what does not compile is seen")
    check_names()
    check_private()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
