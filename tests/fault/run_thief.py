#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A program that becomes somebody else while its supervisor stands in the middle of
its call: killed, its number given to a bystander; another image; other descriptors.
Nothing is done to who comes after, wherever the supervisor stood.  Stopped there by
DECANT_FAULT, in a pid namespace, where numbers can be chosen."""

import concurrent.futures
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
THIEF = os.path.join(tap.BUILD, "tests/programs/program-thief")
DEEDS = ["recycle", "exec", "swap"]

# Where it stands: before the Nth call of this name.  How: of vmsplice, or of sendfile.
NOTIFY = {
    "write": ["1:notif_id_valid", "2:notif_id_valid", "2:pidfd_open", "2:pidfd_getfd",
              "1:process_vm_readv", "2:process_vm_readv", "2:number", "1:notif_send"],
    "read": ["2:pidfd_getfd", "3:notif_id_valid", "1:procmap_query", "1:number", "1:pwrite",
             "1:notif_send"],
    "full": ["2:pidfd_getfd", "3:poll"],
    "copy": ["2:pidfd_getfd", "3:pidfd_getfd", "1:process_vm_readv", "1:pwrite",
             "1:notif_id_valid", "3:notif_id_valid"],
    "pos": ["2:pidfd_getfd", "3:pidfd_getfd", "1:notif_id_valid", "1:lseek"],
}
TRACE = {
    "write": ["1:ptrace", "2:ptrace", "2:pidfd_open", "1:pidfd_getfd", "1:ptrace_syscall"],
    "full": ["1:pidfd_getfd", "1:process_vm_readv", "2:ptrace", "3:ptrace", "1:ptrace_syscall"],
    "read": ["2:ptrace", "1:pidfd_getfd"],
}


def stood(mechanism, how, where, deed):
    """What the program says, and how it ended."""
    policy = "stable" if how in ("copy", "pos") else "copy-v2"
    env = dict(os.environ, DECANT_FAULT=where + ":stop")
    command = ["timeout", "-k", "1", str(30 * SLOW), "unshare", "-pf", "--mount-proc",
               "sh", "-c", '"$@"; exit $?', "-", tap.DECANT, "run", f"--policy={policy}",
               f"--mechanism={mechanism}", "--", THIEF, deed, how]
    p = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       stdin=subprocess.DEVNULL, text=True, check=False)
    return p.stdout.strip().splitlines()[:1], p.returncode


def rows():
    for mechanism, table in (("notify", NOTIFY), ("trace", TRACE)):
        for how, places in table.items():
            for deed in DEEDS:
                for where in places:
                    yield mechanism, how, where, deed


def main():
    tap.need_root()
    came = {}
    bad = []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = {pool.submit(stood, *row): row for row in rows()}
        for job in concurrent.futures.as_completed(jobs):
            row = jobs[job]
            said, status = job.result()
            what, _, rest = (said[0] if said else "nothing").partition(" ")
            # One whose thread is killed by us at the end is killed: that is its status.
            if rest != "ok" or (row[3] != "swap" and what != "not-stopped" and status != 0):
                bad.append(f"{' '.join(row)}: {said} {status}")
            key = (row[0], row[3], what)
            came[key] = came.get(key, 0) + 1
            if os.environ.get("VERBOSE"):
                print("#", *row, said, status, flush=True)
    for mechanism in ("notify", "trace"):
        for deed in DEEDS:
            tap.none([b for b in bad if b.startswith(mechanism) and f" {deed}:" in b],
                     f"{mechanism}, {deed}: nothing is done to who comes after")
    tap.diag(came)
    tap.ok(came.get(("notify", "recycle", "same-number"), 0) > 10,
           "control, notify: the number was another's in the middle of a call")
    tap.ok(came.get(("notify", "exec", "became"), 0) > 10,
           "control, notify: the image was another in the middle of a call")
    tap.ok(came.get(("trace", "recycle", "held"), 0) > 5 and
           ("trace", "recycle", "same-number") not in came,
           "trace: a number is held as long as we act on it")
    tap.ok(came.get(("trace", "exec", "held"), 0) > 5 and ("trace", "exec", "became") not in came,
           "trace: a new image stands until we have waited for it")
    for mechanism in ("notify", "trace"):
        tap.ok(came.get((mechanism, "swap", "became"), 0) > 5,
               f"control, {mechanism}: descriptors and memory were others in the middle")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
