#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""make install, into an empty directory, gives what a program needs: one is built
against it with pkg-config, dynamically and statically, and runs."""

import os
import subprocess
import sys
import tempfile

import tree
import tap

PROGRAM = r"""
#include <decant.h>
#include <stdio.h>
#include <string.h>

/* Names that the library has for itself: they must not meet. */
int err_set(void);
int err_set(void) { return 1; }
int end_init(void);
int end_init(void) { return 2; }

int main(void)
{
	struct decant_transfer t = DECANT_TRANSFER_INIT;
	struct decant *d;
	char from[] = "bytes";

	if (decant_open(&d, NULL) < 0)
		return 1;
	t.from = decant_memory(from, sizeof(from));
	t.to = decant_null();
	t.len = sizeof(from);
	if (decant_move(d, &t, NULL) != (int64_t)sizeof(from) || err_set() + end_init() != 3)
		return 1;
	decant_close(d);
	puts(decant_version());
	return 0;
}
"""

# Relative to the prefix; LIB is the directory of libraries.
WANTED = ["bin/decant", "include/decant.h", "LIB/libdecant.so", "LIB/libdecant.so.0",
          "LIB/libdecant.a", "LIB/pkgconfig/libdecant.pc", "share/man/man1/decant.1"]


def run(command, **env):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, **env), check=False)
    return done.returncode == 0, done.stdout


def find_lib(prefix):
    for directory, _, names in os.walk(prefix):
        if "libdecant.a" in names:
            return os.path.relpath(directory, prefix)
    return "lib"


def check_files(prefix, lib):
    for path in WANTED:
        full = os.path.join(prefix, path.replace("LIB", lib))
        tap.ok(os.path.exists(full), f"{path} is installed")
    foreign = [p for p in tree.files(root=prefix)
               if "decant" not in os.path.basename(p)]
    tap.none(foreign, "and nothing of a foreign name")


def check_programs(directory, root, prefix, lib):
    libs = os.path.join(prefix, lib)
    # PKG_CONFIG_SYSROOT_DIR puts DESTDIR in front of what the file says.
    env = {"PKG_CONFIG_PATH": os.path.join(libs, "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": root}
    tree.write(directory, "program.c", PROGRAM)
    source = os.path.join(directory, "program.c")
    good, flags = run(["pkg-config", "--cflags", "--libs", "libdecant"], **env)
    if not tap.ok(good, "pkg-config knows libdecant", flags):
        return
    version = tree.read("meson.build").split("version: '")[1].split("'")[0]
    tap.equal(run(["pkg-config", "--modversion", "libdecant"], **env)[1].strip(), version,
              "and its version")

    program = os.path.join(directory, "dynamic")
    good, text = run(["gcc", "-std=c99", "-o", program, source, *flags.split()])
    tap.ok(good, "a program links with the shared library", text)
    tap.equal(run([program], LD_LIBRARY_PATH=libs), (True, version + "\n"), "and runs")
    tap.ok(not run([program], LD_LIBRARY_PATH="")[0], "control: not without it")

    # The system's own libraries have no such prefix: ask for them without it.
    del env["PKG_CONFIG_SYSROOT_DIR"]
    _, flags = run(["pkg-config", "--static", "--libs-only-l", "--libs-only-other", "libdecant"],
                   **env)
    archive = os.path.join(libs, "libdecant.a")
    others = [f for f in flags.split() if f != "-ldecant"]
    program = os.path.join(directory, "static")
    good, text = run(["gcc", "-std=c99", "-o", program, source,
                      "-I" + os.path.join(prefix, "include"), archive, *others])
    tap.ok(good, "a program links with the archive, own names and all", text)
    tap.equal(run([program]), (True, version + "\n"), "and runs")


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "root")
        good, text = run(["meson", "install", "-C", tap.BUILD, "--no-rebuild", "--destdir", root])
        if not tap.ok(good, "make install", text):
            return tap.done()
        prefix = os.path.join(root, "usr", "local")
        lib = find_lib(prefix)
        check_files(prefix, lib)
        check_programs(directory, root, prefix, lib)
        good, text = run([os.path.join(prefix, "bin", "decant"), "--version"])
        tap.ok(good, "the installed program runs, without the shared library", text)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
