#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The texts of the tree: licence lines, layout, sizes, words that do not belong,
spelling, scripts."""

import os
import re
import subprocess
import sys
import tempfile

import tree
import tap

COLUMNS_MAX = 100
FUNCTION_MAX = 70
FILE_MAX = 500

# Where things come from and where they lie on one machine is nobody's business.
WORDS = [
    (re.compile(r"(?<![\w.$}/])/(home|root|Users|work)/\w"), "path of one machine"),
    (re.compile(r"\b(docker|ghcr|quay|gcr|crates)\.io\b|"
                r"\b(npmjs|pypi|debian|github|gitlab)\.(org|com)\b"), "host name of a registry"),
    (re.compile(r"(/\*|//|#|\*) *(TODO|FIXME|XXX|HACK)\b"), "left open"),
]


def licence(path, text):
    """The line that a source carries, or None."""
    if path.endswith((".c", ".h")):
        return "/* SPDX-License-Identifier: MIT */"
    if path.endswith((".py", ".sh", ".bash", ".build")) or text.startswith("#!"):
        return "# SPDX-License-Identifier: MIT"
    return None


def wrong_licence(path, text):
    line = licence(path, text)
    if line and line not in text.splitlines()[:2]:
        yield f"{path}: no line {line}"


def wrong_layout(path, text):
    code = path.endswith((".c", ".h", ".py", ".sh", ".build"))
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield f"{path}:{number}: blanks at the end"
        if code and len(line.expandtabs(8)) > COLUMNS_MAX:
            yield f"{path}:{number}: {len(line.expandtabs(8))} columns"
        if path.endswith((".c", ".h")) and re.match(r" {8}", line):
            yield f"{path}:{number}: blanks instead of a tab"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"


def wrong_size(path, text):
    if not path.endswith((".c", ".h")) or path.startswith("tests/"):
        return
    lines = text.splitlines()
    # There is one public header, however much it says.
    if len(lines) > FILE_MAX and path != "include/decant.h":
        yield f"{path}: {len(lines)} lines"
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_MAX:
                yield f"{path}:{start}: function of {number - start} lines"
            start = None


def wrong_words(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in WORDS:
            if pattern.search(line):
                yield f"{path}:{number}: {why}: {line.strip()[:80]}"


CHECKS = [
    (wrong_licence, "every source has its licence line"),
    (wrong_layout, f"tabs, at most {COLUMNS_MAX} columns, no blanks at the end"),
    (wrong_size, f"functions of {FUNCTION_MAX} lines and files of {FILE_MAX} at most"),
    (wrong_words, "no words that do not belong"),
]

# These have to say what they look for.
SPELLED_OUT = ["tests/static/text.py", "tests/run", "tests/self/runner.py"]

# One planted mistake for each check.
CONTROLS = [
    ("x.c", "int a;\n"),
    ("x.c", "int a; \n"),
    ("src/x.c", "void f(void)\n{\n" + "\tg();\n" * (FUNCTION_MAX + 1) + "}\n"),
    ("x.md", "see /ho" "me/me/x\n"),
]


def check_tree(paths):
    texts = [(p, tree.read(p)) for p in paths if tree.is_text(p) and "/corpus/" not in p]
    for (check, name), (path, text) in zip(CHECKS, CONTROLS):
        tap.equal(len(list(check(path, text))), 1, f"control: {check.__name__} sees a mistake")
        tap.none([w for p, t in texts for w in check(p, t)
                  if not (check is wrong_words and p in SPELLED_OUT)], name)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          cwd=tap.SOURCE, check=False)
    return done.returncode == 0, done.stdout


def check_scripts(paths):
    scripts = [p for p in paths if tree.is_text(p)
               and re.match(r"#!.*\b(ba|da)?sh\b", tree.read(p).partition("\n")[0])]
    good, text = run(["shellcheck", *scripts])
    tap.ok(scripts and good, f"shellcheck has nothing to say about {len(scripts)} scripts", text)
    runnable = [p for p in paths if os.access(os.path.join(tap.SOURCE, p), os.X_OK)]
    shebang = [p for p in paths if tree.is_text(p) and tree.read(p).startswith("#!")]
    tap.equal(sorted(set(runnable) ^ set(shebang)), [], "what starts with #! can be run")
    with tempfile.TemporaryDirectory() as directory:
        tree.write(directory, "wrong.sh", "#!/bin/sh\nrm $1\n")
        tap.ok(not run(["shellcheck", os.path.join(directory, "wrong.sh")])[0],
               "control: shellcheck sees a mistake")


def check_spelling(paths):
    texts = [p for p in paths if tree.is_text(p) and "/corpus/" not in p]
    ignored = "--ignore-words=" + os.path.join(tap.SOURCE, "tests", "static", "words")
    good, text = run(["codespell", ignored, *texts])
    tap.ok(good, "codespell has nothing to say", text)
    with tempfile.TemporaryDirectory() as directory:
        tree.write(directory, "wrong.md", "rec" "ieve\n")
        tap.ok(not run(["codespell", ignored, os.path.join(directory, "wrong.md")])[0],
               "control: codespell sees a mistake")


def main():
    paths = tree.files()
    tap.ok(len(paths) > 50, "there is a tree", f"{len(paths)} files")
    check_tree(paths)
    check_scripts(paths)
    check_spelling(paths)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
