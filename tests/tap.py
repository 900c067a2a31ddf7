# SPDX-License-Identifier: MIT
"""Test points in TAP, for tests that are Python scripts.

    sys.path.insert(0, ...the directory of this file...)
    import tap
    tap.ok(1 + 1 == 2, "sums are right")
    sys.exit(tap.done())
"""

import os
import sys

SOURCE = os.environ.get("DECANT_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("DECANT_BUILD") or os.path.join(SOURCE, "build")
DECANT = os.environ.get("DECANT") or os.path.join(BUILD, "decant")

points = 0
failed = 0


def diag(text):
    """Comments for whoever reads the log."""
    for line in str(text).splitlines():
        print("#", line, flush=True)


def ok(good, name, why=""):
    """One point; why is said when it fails."""
    global points, failed
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}", flush=True)
    if not good:
        failed += 1
        diag(why)
    return bool(good)


def equal(got, wanted, name):
    return ok(got == wanted, name, f"got    {got!r}\nwanted {wanted!r}")


def none(found, name):
    """A check that lists what is wrong: nothing may be listed."""
    return ok(not found, name, "\n".join(map(str, found)))


def skip(name, why):
    global points
    points += 1
    print(f"ok {points} - {name} # SKIP {why}", flush=True)


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def need_root():
    if os.geteuid() != 0:
        skip_all("needs root")


def bail(why):
    print(f"Bail out! {why}", flush=True)
    sys.exit(1)


def done():
    print(f"1..{points}", flush=True)
    return 1 if failed else 0
