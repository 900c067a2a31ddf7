#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tools/deps.sh on machines that are played by small scripts: what is missing is
installed where that can be, and is a list and a failure where not."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # noqa: E402

REAL = ["sh", "sed", "sort", "dirname", "env", "cat", "true"]
ALL_THERE = "printf installed"
ONE_MISSING = '[ "$4" = meson ] && exit 1; printf installed'
REMOVED = '[ "$4" = meson ] && printf config-files || printf installed'


def run(*args, dpkg=None, apt=None, user="0", sudo=None, **env):
    """Status, output, and the calls of apt-get as lines."""
    with tempfile.TemporaryDirectory() as stubs:
        log = os.path.join(stubs, "log")
        for name in REAL:
            os.symlink(shutil.which(name), os.path.join(stubs, name))
        scripts = {"dpkg-query": dpkg, "id": f"echo {user}",
                   "apt-get": apt and f'echo "$DEBIAN_FRONTEND $*" >> {log}\n{apt}',
                   "sudo": sudo and f'echo "sudo $*" >> {log}\n{sudo}'}
        for name, text in scripts.items():
            if text:
                path = os.path.join(stubs, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(f"#!/bin/sh\n{text}\n")
                os.chmod(path, 0o755)
        done = subprocess.run([os.path.join(tap.SOURCE, "tools", "deps.sh"), *args],
                              env=dict(env, PATH=stubs), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
        calls = open(log, encoding="utf-8").read() if os.path.exists(log) else ""
        return done.returncode, done.stdout, calls


def fails(result, says, name):
    status, text, calls = result
    tap.ok(status != 0 and says in text and " meson" in text and "install" not in calls, name,
           f"{result}")


def main():
    status, text, calls = run("--install", "build", dpkg=ALL_THERE, apt="true")
    tap.equal((status, text, calls), (0, "", ""), "all there: nothing is said or asked")

    status, text, calls = run("--install", "build", dpkg=ONE_MISSING, apt="true")
    lines = calls.splitlines()
    tap.ok(status == 0 and len(lines) == 2 and "update" in lines[0], "root: installs", calls)
    tap.ok(lines and lines[-1].startswith("noninteractive ") and lines[-1].endswith(" meson"),
           "just what is missing, and asks nothing", calls)
    _, _, calls = run("--install", "build", dpkg=REMOVED, apt="true")
    tap.ok(calls.endswith(" install meson\n"), "a package that was removed is missing", calls)

    status, _, calls = run("--install", "build", dpkg=ONE_MISSING, apt="true", user="1000",
                           sudo='[ "$1" = -n ] && shift && exec "$@"')
    tap.ok(status == 0 and " install meson" in calls and "sudo -n" in calls,
           "a user with sudo: installs", calls)

    fails(run("--install", "build", dpkg=ONE_MISSING, apt="true", user="1000", sudo="exit 1"),
          "neither root nor sudo", "a user whose sudo wants a password: a list and a failure")
    fails(run("--install", "build", dpkg=ONE_MISSING, apt="true", user="1000"),
          "neither root nor sudo", "a user without sudo: a list and a failure")
    fails(run("--install", "build", dpkg=ONE_MISSING), "no apt-get",
          "no apt-get: a list and a failure")
    fails(run("--install", "build"), "no apt-get", "no dpkg: the whole list")
    fails(run("build", dpkg=ONE_MISSING, apt="true"), "--install build",
          "not asked to install: a list and a failure")
    _, text, _ = run("--install", "build", dpkg=ONE_MISSING, user="1000")
    tap.ok("there is no apt-get" in text, "without apt-get that is said first", text)
    status, text, _ = run("--install", "build", dpkg=ONE_MISSING, apt="true", user="1000")
    tap.ok("as root: apt-get install --no-install-recommends meson\n" in text,
           "what root would have to type is said", text)
    status, text, _ = run("--install", "build", dpkg=ONE_MISSING,
                          apt='i=0; while [ $i -lt 90 ]; do i=$((i + 1)); '
                              'echo "E: no route $i" >&2; done; exit 100')
    tap.ok(status != 0 and "could not install" in text, "apt-get fails: so do we", text)
    tap.ok("E: no route 1\n" in text and "E: no route 4\n" not in text,
           "with the first of its lines, not all", text)

    status, text, calls = run("--install", "build", DECANT_DEPS="ignore")
    tap.equal((status, text, calls), (0, "", ""), "DECANT_DEPS=ignore believes")
    status, text, _ = run("build", "moon", dpkg=ALL_THERE)
    tap.ok(status == 2 and "no group 'moon'" in text, "a group that is not there is an error")
    for group in ("build", "check", "bench", "fuzz", "demo"):
        status, _, _ = run("build", group, dpkg=ALL_THERE)
        tap.equal(status, 0, f"group {group} is there")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
