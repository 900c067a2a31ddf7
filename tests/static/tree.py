# SPDX-License-Identifier: MIT
"""The files of the source tree, and what static tests need to look at them."""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SKIPPED = re.compile(r"^(\.git|build.*|__pycache__)$")


def files(*suffixes, under="", root=tap.SOURCE):
    """Relative paths, sorted; what was built and git's own are left out."""
    found = []
    for directory, names, members in os.walk(os.path.join(root, under)):
        names[:] = sorted(n for n in names if not SKIPPED.match(n))
        for name in sorted(members):
            if not suffixes or name.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(directory, name), root))
    return found


def read(path, root=tap.SOURCE):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def is_text(path, root=tap.SOURCE):
    with open(os.path.join(root, path), "rb") as file:
        return b"\0" not in file.read(8192)


def without_comments(text):
    """C without comments and strings; line numbers stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def write(root, path, text):
    """For controls: a small wrong tree."""
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)
