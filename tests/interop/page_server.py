#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CRIU's page server takes what decant sends, decant's takes what CRIU sends, plain
and in TLS; and CRIU's crit reads what is stored."""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as images  # noqa: E402
import tap  # noqa: E402
from page_client import PAGE, SLOW, Server, until  # noqa: E402

VICTIM = """
import mmap, os, sys, time
m = mmap.mmap(-1, 16 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(4096):
    if i % 7:
        m[i * 4096:i * 4096 + 8] = (i * 2654435761 & (1 << 60) - 1).to_bytes(8, "little")
os.setsid()
open("ready", "w").close()
time.sleep(1000)
"""

PRELOAD = os.path.join(tap.BUILD, "tests", "programs", "criu-maps.so")
CRIU = {**os.environ, "LD_PRELOAD": PRELOAD}


STARTED = []


def criu(*command, **more):
    p = subprocess.Popen(["criu", *command], env=CRIU, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    STARTED.append(p)
    return p


def header_bytes():
    """CRIU 4.2 made it longer."""
    text = subprocess.run(["criu", "--version"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    version = re.search(r"Version: (\d+)\.(\d+)", text)
    return 32 if version and (int(version[1]), int(version[2])) >= (4, 2) else 24


def log(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return "".join(line for line in f if "Error" in line or "Warn" in line)[-2000:]


class Victim:
    def __init__(self):
        null = subprocess.DEVNULL
        self.p = subprocess.Popen([sys.executable, "-c", VICTIM], stdin=null, stdout=null,
                                  stderr=null, close_fds=True)
        self.pid = self.p.pid
        until(lambda: os.path.exists("ready"))
        os.unlink("ready")

    def memory(self, addresses):
        with open(f"/proc/{self.pid}/mem", "rb") as f:
            return {a: os.pread(f.fileno(), PAGE, a) for a in addresses}

    def end(self):
        self.p.kill()
        self.p.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    want = f":{port:04X} "
    with open("/proc/net/tcp", encoding="ascii") as f:
        return any(want in line.split(maxsplit=2)[1] + " " and " 0A " in line for line in f)


def certificates():
    def openssl(*command):
        subprocess.run(["openssl", *command], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj",
            "/CN=test")
    with open("names", "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", *key, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=127.0.0.1")
    openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "own.pem", "-days", "2", "-extfile", "names")


OURS = ["--tls-cert", "own.pem", "--tls-key", "own.key", "--tls-ca", "ca.pem"]


def theirs():
    here = os.getcwd()
    return ["--tls", "--tls-cacert", f"{here}/ca.pem", "--tls-cert", f"{here}/own.pem",
            "--tls-key", f"{here}/own.key", "--tls-no-cn-verify"]


def crit_reads(directory, name):
    done = subprocess.run(["crit", "show", f"{directory}/{name}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0 and "PE_PRESENT" in done.stdout, done.stdout[-2000:]


def same(victim, directory, what):
    pages = images.pages_of(directory, victim.pid) if "srv" in directory else \
        criu_pages(directory, victim.pid)
    now = victim.memory(pages)
    wrong = [hex(a) for a in pages if pages[a] != now[a]]
    tap.ok(len(pages) > 3500 and len(wrong) < 16, f"  its {len(pages)} pages{what}", wrong[:20])


def criu_pages(directory, pid):
    """As CRIU before 4.2 writes it: only one count."""
    head, *entries = images.records(f"{directory}/pagemap-{pid}.img", images.COMMON,
                                    images.PAGEMAP)
    pages_id, out, offset = dict(head)[1], {}, 0
    with open(f"{directory}/pages-{pages_id}.img", "rb") as f:
        data = f.read()
    for each in map(dict, entries):
        for i in range(each.get(5) or each[2]):
            out[each[1] + i * PAGE] = data[offset:offset + PAGE]
            offset += PAGE
    return out


def we_send(victim, name, tls):
    port = free_port()
    os.mkdir(name)
    server = criu("page-server", "-D", name, "--address", "127.0.0.1", "--port", str(port), "-v4",
                  "-o", "log", *(theirs() if tls else []))
    if not until(lambda: listens(port) or server.poll() is not None) or server.poll() is not None:
        tap.ok(False, f"criu page-server{tls and ', TLS' or ''} runs", log(f"{name}/log"))
        return
    done = subprocess.run([tap.DECANT, "predump", str(victim.pid), "-D", name + "-here", "--to",
                           f"tcp:127.0.0.1:{port}", *(OURS if tls else []),
                           *(["--header", str(header_bytes())] if tls else [])],
                          stderr=subprocess.PIPE, text=True, timeout=60 * SLOW, check=False)
    tap.ok(done.returncode == 0, f"predump to criu page-server{tls and ', TLS' or ''}",
           done.stderr)
    tap.equal(server.wait(20 * SLOW), 0, "  which ends well")
    if done.returncode:
        return
    same(victim, name, ", as CRIU stored them")
    good, out = crit_reads(name, f"pagemap-{victim.pid}.img")
    tap.ok(good, "  crit reads them", out)


def they_send(victim, name, tls, more=()):
    server = Server("-D", name, *(OURS if tls else []))
    os.mkdir(name + "-there")
    dump = criu("dump", "-t", str(victim.pid), "-D", name + "-there", "--page-server", "--address",
                "127.0.0.1", "--port", str(server.port), "-R", "-v4", "-o", "log",
                *(theirs() if tls else []), *more)
    status = dump.wait(60 * SLOW)
    what = f"criu dump --page-server{tls and ', TLS' or ''}"
    tap.ok(status == 0, what, log(f"{name}-there/log"))
    if status == 0:
        told = server.told()
        tap.ok(told["complete"] and told["pagemaps"] == 1, "  stored", told)
        tap.equal(told["header_bytes"], header_bytes(), "  with the header of its version")
        same(victim, name, "")
        good, out = crit_reads(name, f"pagemap-{victim.pid}.img")
        tap.ok(good, "  crit reads them", out)
    server.end()


def main():
    tap.need_root()
    if not shutil.which("criu"):
        tap.skip_all("criu is not installed")
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        certificates()
        victim = Victim()
        try:
            for tls in (False, True):
                we_send(victim, f"cs{int(tls)}", tls)
                they_send(victim, f"srv{int(tls)}", tls)
            tap.ok(os.path.exists(f"/proc/{victim.pid}/maps"), "the process runs on")
            tap.none(glob.glob("srv*/*.part"), "nothing unfinished is left")
        finally:
            for p in STARTED:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            victim.end()
        os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
