#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libfuse's passthrough_ll example, with its splices switched on, under every policy.
libfuse vmsplices the head of an answer and corrects it when the file was shorter:
what it wrote then shows in the pipe, natively.  copy-v1 breaks that; copy-v2 says
EINVAL, so that libfuse writes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

SLOW = int(os.environ.get("TAP_SLOW", "1"))
EXAMPLES = "/usr/share/doc/libfuse3-dev/examples"
SIZE = 3 * (1 << 20) + 4321   # the last read is a short one
# The policies under which a file comes back as it is, and those under which it cannot.
WAYS = [("legacy", "trace"), ("audit", "trace"), ("audit", "notify"), ("audit", "preload"),
        ("copy-v2", "trace"), ("copy-v2", "notify"), ("copy-v2", "preload"),
        ("copy-v2,nowait=kernel", "trace"), ("deny", "trace"), ("deny", "notify"),
        ("stable", "notify"), ("stable", "preload"), ("copy-v2,stable", "notify")]
BREAKS = [("copy-v1", "trace"), ("copy-v1", "notify"), ("copy-v1", "preload")]


def build():
    """The example as it is, but that it asks for splices."""
    with open(os.path.join(EXAMPLES, "passthrough_ll.c"), encoding="utf-8") as f:
        source = f.read()
    begin = "	struct lo_data *lo = (struct lo_data*) userdata;\n\n	if(conn->capable"
    want = ("	conn->want |= conn->capable & (FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |\n"
            "		FUSE_CAP_SPLICE_MOVE);\n")
    if begin not in source:
        tap.bail("passthrough_ll.c is another one")
    source = source.replace(begin, begin.replace("	if(", want + "	if("))
    with open("ll.c", "w", encoding="utf-8") as f:
        f.write(source)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    subprocess.run(["cc", "-w", "-D_GNU_SOURCE", f"-I{EXAMPLES}", "-o", "ll", "ll.c", *flags],
                   check=True)


class Mount:
    def __init__(self, *how):
        self.process = subprocess.Popen(
            [*how, "./ll", "-f", "-s", "-o", f"source={os.getcwd()}/source", "mnt"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20 * SLOW
        while not os.path.ismount("mnt"):
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                tap.bail("passthrough_ll does not mount")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", "mnt"], check=False, stderr=subprocess.DEVNULL)
        try:
            self.process.wait(20 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()


def copied(source, to, seconds):
    """In a process of its own, which may hang."""
    try:
        return subprocess.run(["cp", source, to], stdin=subprocess.DEVNULL, check=False,
                              stderr=subprocess.DEVNULL, timeout=seconds * SLOW).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def same(name, data):
    try:
        with open(name, "rb") as f:
            return f.read() == data
    except OSError:
        return False


def one(policy, mechanism, data, seconds=20):
    """(reading works, writing works, the report)"""
    for name in ("out", "source/new", "report"):
        if os.path.exists(name):
            os.unlink(name)
    how = ([tap.DECANT, "run", f"--policy={policy}", f"--mechanism={mechanism}",
            "--report=report", "--"] if mechanism else [])
    with Mount(*how):
        reads = copied("mnt/data", "out", seconds) and same("out", data)
        writes = copied("data", "mnt/new", seconds) and same("source/new", data)
    text = ""
    if os.path.exists("report"):
        with open("report", encoding="utf-8") as f:
            text = f.read()
    return reads, writes, text


# The file system and two that use it, under one supervisor: one reads, by which the file
# system makes calls that are caught, the other splices from it.
TOGETHER = """
import os, subprocess, sys, time
server = subprocess.Popen(["./ll", "-f", "-s", "-o",
                           f"source={os.getcwd()}/source,timeout=0,cache=never", "mnt"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not os.path.ismount("mnt") and server.poll() is None:
    time.sleep(0.02)
end = time.monotonic() + 2
reader = os.fork()
fd = os.open("mnt/data", os.O_RDONLY)
r, w = os.pipe()
while time.monotonic() < end:
    if reader == 0:
        os.pread(fd, 131072, 0)
    else:
        other = os.open("mnt/data", os.O_RDONLY)
        os.splice(other, w, 4096, offset_src=0)
        os.read(r, 4096)
        os.close(other)
if reader == 0:
    os._exit(0)
os.close(fd)
os.waitpid(reader, 0)
subprocess.run(["umount", "-l", "mnt"])
server.wait()
"""


def together(policy, mechanism):
    """Nobody waits for one who waits for him: the exit status, and the report."""
    command = [tap.DECANT, "run", f"--policy={policy}", f"--mechanism={mechanism}",
               "--report=report", "--", sys.executable, "-c", TOGETHER]
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        status = p.wait(30 * SLOW)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        status = "it hangs"
    subprocess.run(["umount", "-l", "mnt"], check=False, stderr=subprocess.DEVNULL)
    with open("report", encoding="utf-8") as f:
        return status, f.read()


def main():
    data = os.urandom(SIZE)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        os.mkdir("mnt")
        os.mkdir("source")
        build()
        for name in ("data", "source/data"):
            with open(name, "wb") as f:
                f.write(data)
        reads, writes, _ = one(None, None, data)
        tap.ok(reads and writes, "natively it reads and writes")
        for policy, mechanism in WAYS:
            reads, writes, text = one(policy, mechanism, data)
            tap.ok(reads and writes, f"{policy} by {mechanism}: reads and writes",
                   f"{reads} {writes}\n{text}")
            tap.ok("vmsplice at" in text, "  and uses vmsplice", text)
        for policy, mechanism in BREAKS:
            reads, _, text = one(policy, mechanism, data, 3)
            tap.ok(not reads and "vmsplice at" in text,
                   f"{policy} by {mechanism}: it cannot correct what it sent", text)
        _, _, text = one("audit", "trace", data)
        tap.ok("modifies the buffer after vmsplice" in text, "which the audit finds", text)
        tap.ok("EINVAL" in text, "  and that copy-v2 would answer EINVAL", text)
        for mechanism in ("trace", "notify"):
            status, text = together("audit", mechanism)
            tap.equal(status, 0, f"file system and users under one audit by {mechanism}")
            tap.ok("vmsplice at" in text and "  splice at" in text,
                   "  control: calls of both were seen", text)
        os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    tap.need_root()
    if not os.path.exists(os.path.join(EXAMPLES, "passthrough_ll.c")):
        tap.skip_all("libfuse3's examples are not installed")
    if not shutil.which("fusermount3") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        tap.skip_all("there is no /dev/fuse")
    sys.exit(main())
