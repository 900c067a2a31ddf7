#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the header declares, the version script lists, libdecant.so exports and
libdecant.a shows is one and the same list of names."""

import os
import re
import subprocess
import sys

import tree
import tap


def declared():
    text = tree.without_comments(tree.read("include/decant.h"))
    return set(re.findall(r"\b(decant_\w+)\s*\([^;{]*\)\s*;", text))


def mapped():
    return set(re.findall(r"^\s+(decant_\w+);", tree.read("src/libdecant.map"), re.M))


def shown(path, *options):
    """Defined global names, those of the sanitizers apart."""
    text = subprocess.run(["nm", "-f", "posix", "--defined-only", *options, path],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    names = {line.split()[0].split("@")[0] for line in text.splitlines()
             if re.match(r"\S+ [A-Z]", line)}
    return {n for n in names if not re.match(r"__.*san|DECANT_\d", n)}


def same(got, wanted, name):
    missing, extra = sorted(wanted - got), sorted(got - wanted)
    tap.ok(not missing and not extra, name, f"missing {missing}\ntoo much {extra}")


def main():
    names = declared()
    tap.ok("decant_move" in names and "decant_version" in names, "the header has functions")
    same(mapped(), names, "the version script lists what the header declares")
    library = os.path.join(tap.BUILD, "libdecant.so")
    same(shown(library, "-D"), names, "libdecant.so exports that")
    archive = os.path.join(tap.BUILD, "libdecant.a")
    same(shown(archive, "-g"), names, "libdecant.a shows that")
    internal = os.path.join(tap.BUILD, "src", "libdecant_internal.a")
    tap.ok(shown(internal, "-g") > names, "control: without a version script there are more")
    soname = subprocess.run(["readelf", "-d", library], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    tap.ok("[libdecant.so.0]" in soname, "the soname is libdecant.so.0", soname)
    version = re.findall(r"#define DECANT_VERSION_\w+ (\d+)", tree.read("include/decant.h"))
    project = re.search(r"version: '([\d.]+)'", tree.read("meson.build"))[1]
    tap.equal(".".join(version), project, "the header's version is the project's")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
