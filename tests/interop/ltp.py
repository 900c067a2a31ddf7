#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""LTP's tests of vmsplice, splice, tee, sendfile and copy_file_range under every
policy and mechanism: what they say natively, but for what the policy itself says.

LTP is sought in $LTPROOT, /opt/ltp and $PATH.  To have just these tests, in
LTP's tree: make autotools && ./configure --prefix=/opt/ltp --disable-metadata,
and make install in testcases/kernel/syscalls/{vmsplice,splice,tee,sendfile,
copy_file_range}.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
FULL = os.environ.get("DECANT_TEST_FULL") == "1"
PATTERNS = ["vmsplice0*", "splice0*", "tee0*", "sendfile0*", "copy_file_range0*"]
# Seconds long, and little of it is in the calls: under some of the ways only.
LONG = re.compile(r"copy_file_range|sendfile09")
LONG_WAYS = [("audit", "trace"), ("stable", "notify"), ("stable", "preload")]
TIMED_OUT = "hangs"
WAYS = [(policy, mechanism)
        for policy in ("legacy", "warn", "audit", "copy-v1", "copy-v2", "copy-v1,nowait=kernel",
                       "copy-v2,nowait=kernel", "deny")
        for mechanism in ("trace", "notify", "preload")] + [
    (policy, mechanism) for policy in ("stable", "copy-v2,stable")
    for mechanism in ("notify", "preload")]


def differs(policy, test):
    """What a policy makes of a test that passes natively: None, as it was."""
    words = policy.split(",")
    if "copy-v1" in words and test == "vmsplice01":
        return TIMED_OUT  # it writes more than fits and only then reads: as upstream saw
    if "deny" in words and test.startswith("vmsplice"):
        return "fails"
    return None


def where():
    for root in (os.environ.get("LTPROOT"), "/opt/ltp"):
        if root and os.path.exists(os.path.join(root, "testcases/bin/vmsplice01")):
            return os.path.join(root, "testcases/bin")
    found = shutil.which("vmsplice01")
    return found and os.path.dirname(found)


def run(command, directory, seconds):
    """(status or TIMED_OUT, output); nobody is left behind."""
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True,
                               env={**os.environ, "TMPDIR": directory, "LTP_COLORIZE_OUTPUT": "0"})
    try:
        out, _ = process.communicate(timeout=seconds)
        status = process.returncode
    except subprocess.TimeoutExpired:
        status = TIMED_OUT
        for pid in members(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        out, _ = process.communicate()
    return status, out.decode(errors="replace")


def members(session):
    """LTP's tests give each child a process group of its own, but no session."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == session:
                yield int(name)
        except ProcessLookupError:
            pass


def results(out):
    """How often each kind of result was said."""
    return {word: len(re.findall(rf"\b{word}\b", out))
            for word in ("TPASS", "TFAIL", "TBROK", "TCONF")}


def wanted_results(test, policy):
    """Those of the native run; where rings are refused, what is tried with them is not said."""
    if "stable" not in policy.split(",") or test.name != "splice07":
        return test.results
    ring = len(re.findall(r"TPASS.*io uring", test.out))
    return {**test.results, "TPASS": test.results["TPASS"] - ring,
            "TCONF": test.results["TCONF"] + splice07_rings(test.out)}


def splice07_rings(out):
    """How often the test makes a ring: as the source once, and as the sink of each other."""
    sources = {line.split(" on ")[1].split(" -> ")[0] for line in out.splitlines()
               if "TPASS" in line and " on " in line and " -> " in line}
    return len(sources)


class Native:
    def __init__(self, path, directory):
        self.path = path
        self.name = os.path.basename(path)
        self.status, out = run([path], directory, 120 * SLOW)
        self.results = results(out)
        self.out = out


def expected(test, policy, got, out):
    wanted = differs(policy, test.name)
    if wanted == TIMED_OUT:
        return got == TIMED_OUT
    if wanted == "fails":
        return got not in (0, TIMED_OUT) and ("ENOSYS" in out or "TCONF" in out)
    return got == test.status and results(out) == wanted_results(test, policy)


def one_way(tests, policy, mechanism, directory):
    bad, ran = [], 0
    for test in tests:
        if LONG.match(test.name) and not FULL and (policy, mechanism) not in LONG_WAYS:
            continue
        hangs = differs(policy, test.name) == TIMED_OUT
        command = [tap.DECANT, "run", f"--policy={policy}", f"--mechanism={mechanism}",
                   "--report=" + os.path.join(directory, "report"), "--", test.path]
        got, out = run(command, directory, (3 if hangs else 120) * SLOW)
        ran += 1
        if not expected(test, policy, got, out):
            bad.append(f"{test.name}: {got} instead of {differs(policy, test.name) or test.status}"
                       f", {results(out)} instead of {test.results}\n{out[-1500:]}")
    tap.ok(ran and not bad, f"{policy} by {mechanism}: {ran} tests as they have to be",
           "\n".join(bad))


def main():
    path = where()
    if not path:
        tap.skip_all("LTP is not installed")
    names = sorted(name for pattern in PATTERNS for name in glob.glob(os.path.join(path, pattern))
                   if os.access(name, os.X_OK))
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        tests = [Native(name, directory) for name in names]
        passing = [test for test in tests if test.status == 0]
        for test in tests:
            if test.status != 0:
                tap.diag(f"{test.name} does not pass natively ({test.status}): "
                         f"{test.out[-400:]}")
        tap.ok({f"vmsplice0{i}" for i in (1, 2, 3, 4)} <= {test.name for test in passing},
               f"natively {len(passing)} of {len(tests)} pass")
        for policy, mechanism in WAYS:
            one_way(passing, policy, mechanism, directory)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
