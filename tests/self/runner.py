#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tests/run on tests that are wrong, each in its own way."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("DECANT_SOURCE") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, shell script, passed, failed, skipped, what the log must say
CASES = [
    ("passes", "echo ok 1 - a; echo ok 2; echo 1..2", 2, 0, 0, ""),
    ("plan first", "echo 1..1; echo ok 1 - a", 1, 0, 0, ""),
    ("fails", "echo ok 1; echo not ok 2 - the floor; echo '# wet'; echo 1..2; exit 1",
     1, 1, 0, "| # wet"),
    ("hangs", "echo ok 1; sleep 100 & sleep 100", 1, 2, 0, "still running after 1 s"),
    ("no plan", "echo ok 1", 1, 1, 0, "printed no plan"),
    ("says nothing", "true", 0, 1, 0, "printed no plan"),
    ("short plan", "echo 1..3; echo ok 1; echo ok 2", 2, 1, 0, "planned 3 points, printed 2"),
    ("empty plan", "echo 1..0", 0, 1, 0, "planned 0"),
    ("too much", "echo 1..1; echo ok 1; echo ok 2", 2, 1, 0, "planned 1 points, printed 2"),
    ("exit status", "echo ok 1; echo 1..1; exit 7", 1, 1, 0, "exit status 7"),
    ("signal", "echo ok 1; echo 1..1; kill -SEGV $$", 1, 1, 0, "died of SIGSEGV"),
    ("bails out", "echo ok 1; echo 'Bail out! no floor'; exit 1", 1, 1, 0, "gave up: no floor"),
    ("todo", "echo 'not ok 1 - later # TODO'; echo 1..1", 0, 1, 0, "> later"),
    ("listed skip", "echo 'ok 1 - a # SKIP needs a moon'; echo 1..1", 0, 0, 1, "1 x needs a moon"),
    ("unlisted skip", "echo 'ok 1 - a # SKIP lazy'; echo 1..1", 0, 1, 0, "skips-allowed: lazy"),
    ("all skipped", "echo '1..0 # SKIP needs a moon'", 0, 0, 1, ""),
    ("all lazy", "echo '1..0 # SKIP lazy'", 0, 1, 0, "skips-allowed: lazy"),
    ("leaves a process", "sleep 77 & echo ok 1; echo 1..1", 1, 1, 0, "left behind: process"),
    ("leaves a file", "touch $TMPDIR/dropped; echo ok 1; echo 1..1", 1, 1, 0,
     "left behind: file dropped"),
    ("does not start", None, 0, 1, 0, "does not start"),
]

ROOT_CASES = [
    ("leaves a mount", "mkdir $TMPDIR/m && mount -t tmpfs none $TMPDIR/m; echo ok 1; echo 1..1",
     1, 2, 0, "left behind: mount"),
    ("leaves a loop device",
     "truncate -s 1M $TMPDIR/i && losetup -f $TMPDIR/i; echo ok 1; echo 1..1", 1, 2, 0,
     "left behind: loop device"),
    ("leaves a namespace", "ip netns add decant-left && echo ok 1; echo 1..1", 1, 1, 0,
     "network namespace decant-left"),
]

points = 0


def ok(good, name, text=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}", flush=True)
    if not good:
        print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)


def run(directory, cases, *args, **env):
    """tests/run on a build directory that declares these cases."""
    rows = []
    for name, script, *_ in cases:
        limit = 1 if name == "hangs" else 20
        command = ["/bin/sh", "-c", script] if script else ["/nonexistent"]
        rows.append({"name": name, "cmd": command, "env": {}, "suite": [], "timeout": limit,
                     "workdir": None, "is_parallel": not name.endswith("alone")})
    os.makedirs(os.path.join(directory, "meson-info"), exist_ok=True)
    with open(os.path.join(directory, "meson-info", "intro-tests.json"), "w") as file:
        json.dump(rows, file)
    with open(os.path.join(directory, "skips"), "w") as file:
        file.write("# a comment\n: needs a moon$  # some have none\n")
    environment = {k: v for k, v in os.environ.items() if k != "DECANT_MUST_RUN"}
    done = subprocess.run(
        [os.path.join(SOURCE, "tests", "run"), "--skips", os.path.join(directory, "skips"),
         *args, directory],
        env=dict(environment, **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=50, check=False)
    return done.returncode, done.stdout


def last(text):
    return text.splitlines()[-1] if text else ""


def check_cases(directory, cases):
    for case in cases:
        name, _, passed, failed, skipped, says = case
        status, text = run(directory, [case])
        wanted = f"{passed} passed, {failed} failed, {skipped} skipped"
        good = last(text) == wanted and says in text
        good = good and status == (0 if passed and not failed else 1)
        ok(good, f"{name}: {wanted}", f"status {status}\n{text}")


def check_sums(directory):
    status, text = run(directory, CASES)
    sums = [sum(case[i] for case in CASES) for i in (2, 3, 4)]
    wanted = "{} passed, {} failed, {} skipped".format(*sums)
    ok(last(text) == wanted and status == 1, "the last line adds all of them up", text)
    ok(len(re.findall(r"^\d+ passed,", text, re.M)) == 1, "and is there once", text)
    status, text = run(directory, [c for c in CASES if "lazy" in c[5]], DECANT_MUST_RUN="0")
    ok(last(text) == "0 passed, 0 failed, 2 skipped", "DECANT_MUST_RUN=0 lets skips pass", text)
    ok(status == 1, "though a run in which nothing passed is a failure", text)
    status, text = run(directory, CASES, "-k", "plan first")
    ok(last(text) == "1 passed, 0 failed, 0 skipped" and status == 0, "-k chooses", text)
    status, text = run(directory, [])
    ok(status == 1 and "no test ran" in text, "no tests are a failure", text)
    result = os.path.join(directory, "result")
    _, text = run(directory, CASES[:1], "--result", result)
    with open(result) as file:
        ok(file.read() == last(text) + "\n", "--result has the last line", text)


def check_order(directory):
    """Two at a time; those that are to be alone are."""
    mark = os.path.join(directory, "running")
    script = (": > {0}.$N; sleep 0.4; ls {0}.* | wc -l > {0}-$N; sleep 0.2; rm {0}.$N;"
              "echo ok 1; echo 1..1").format(mark)
    cases = [(name, f"N={i}; {script}") for i, name in enumerate(("a", "b alone", "c", "d alone"))]
    began = time.monotonic()
    status, text = run(directory, cases)
    seen = [int(open(f"{mark}-{i}").read()) for i in range(4)]
    ok(status == 0 and seen[1] == seen[3] == 1, "a test that is to be alone is", f"{seen}\n{text}")
    ok(seen[0] == seen[2] == 2, "others run two at a time", f"{seen}\n{text}")
    ok(time.monotonic() - began < 20, "without waiting for long")


def check_signals(directory):
    """What the caller of the runner ignores, a test does not."""
    script = ("grep -q '^SigIgn:.*[13579bdf]$' /proc/self/status && echo not ok 1 || echo ok 1;"
              "echo 1..1")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ignored = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    ok(ignored.stdout.startswith("not ok"), "control: an ignored signal is inherited")
    status, text = run(directory, [("signals", script)])
    signal.signal(signal.SIGHUP, before)
    ok(status == 0, "a test has SIGHUP as it should be", text)


def main():
    with tempfile.TemporaryDirectory() as directory:
        check_cases(directory, CASES)
        if os.geteuid() == 0:
            check_cases(directory, ROOT_CASES)
        else:
            for case in ROOT_CASES:
                ok(True, f"{case[0]} # SKIP needs root")
        check_sums(directory)
        check_order(directory)
        check_signals(directory)
    print(f"1..{points}")


if __name__ == "__main__":
    sys.exit(main())
