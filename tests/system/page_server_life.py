#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant page-server's life: how it begins and ends, killed or by a signal, full
disks, chains, TLS, and predumps that send their pages there."""

import json
import os
import re
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as criu  # noqa: E402
import page_client as wire  # noqa: E402
import tap  # noqa: E402
from page_client import PAGE, SLOW, Client, Server, pid, until  # noqa: E402

FULL = os.environ.get("DECANT_TEST_FULL") == "1"


def page(tag):
    return struct.pack("<Q", tag) * 512


def run(*command, limit=60, **more):
    done = subprocess.run([tap.DECANT, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=limit * SLOW, check=False, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def left(directory="srv"):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def looks_complete(directory="srv"):
    """Pagemaps under their own names, and no part of anything."""
    names = left(directory)
    return any(re.fullmatch(r"pagemap-.*\.img", n) for n in names)


# -------------------------------------------------------------------- begin


def command_line():
    status, _, err = run("page-server", "-D", "srv", "--listen", "0.0.0.0:0")
    tap.ok(status == 2 and "not loopback" in err, "another address than loopback: refused", err)
    server = Server("-D", "srv", "--insecure", listen="0.0.0.0:0")
    tap.ok(server.name.startswith("0.0.0.0:"), "  but with --insecure", server.name)
    server.end()
    tap.ok(Server("-D", "srv").name.startswith("127.0.0.1:"), "by default it is loopback")
    status, _, err = run("page-server", "-D", "srv", "--tls-cert", "x")
    tap.ok(status == 2 and "all three" in err, "TLS by halves: refused", err)
    status, _, err = run("page-server", "-D", "a/b/c")
    tap.ok(status == 1 and "a/b/c" in err, "a directory that cannot be: a sentence", err)
    status, _, err = run("predump", str(os.getpid()), "-D", "x", "--to", "tcp:192.0.2.1:1")
    tap.ok(status == 2 and "in plain" in err, "predump to another machine in plain: refused", err)


def signals():
    server = Server("-D", "srv")
    tap.equal(server.end(), 0, "SIGTERM without anybody there: it ends")
    tap.equal(left(), [], "  and leaves nothing")
    for sig in (signal.SIGTERM, signal.SIGINT):
        server = Server("-D", "srv")
        client = Client(server.port)
        client.open(pid(7))
        client.pages(pid(7), 0, page(1))
        server.p.send_signal(sig)
        tap.ok(until(lambda s=server: refused(s.port)), f"{sig.name}: nobody new is let in")
        client.pages(pid(7), 0x5000, page(2))
        tap.equal(client.close(), 0, "  who is there may end")
        tap.equal(server.p.wait(20 * SLOW), 0, "  then it ends, well")
        tap.equal(criu.pages_of("srv", 7), {0: page(1), 0x5000: page(2)}, "  every page")
        server.end()
        shutil.rmtree("srv")
    server = Server("-D", "srv")
    client = Client(server.port)
    client.open(pid(7))
    server.p.send_signal(signal.SIGTERM)
    until(lambda: refused(server.port))
    server.p.send_signal(signal.SIGTERM)
    tap.ok(client.broken(), "a second signal breaks off who is there")
    tap.equal(server.end(), 0, "  and it ends")
    tap.equal(left(), [], "  nothing is left")


def refused(port):
    try:
        c = Client(port, limit=1)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    c.s.close()
    return False


def once():
    server = Server("-D", "srv", "--once")
    Client(server.port).s.close()
    client = Client(server.port)
    client.open(pid(7))
    tap.equal(client.close(), 0, "--once: a probe of the port does not count")
    tap.equal(server.p.wait(20 * SLOW), 0, "  then it ends by itself, well")
    server.end()
    server = Server("-D", "srv", "--once")
    client = Client(server.port)
    client.open(pid(7))
    client.cut()
    tap.equal(server.p.wait(20 * SLOW), 1, "  after one that was cut: not well")
    server.end()
    server = Server("-D", "srv", "--limit", "8K")
    client = Client(server.port)
    client.open(pid(8))
    client.pages(pid(8), 0, page(1) + page(2))
    client.pages(pid(8), 0x5000, page(3))
    tap.ok(client.broken(), "--limit: what is more is broken off")
    tap.ok("limit" in server.told()["message"], "  and says why", server.lines[-1])
    server.end()
    server = Server("--discard")
    client = Client(server.port, 32)
    client.open(pid(8))
    client.pages(pid(8), 0, page(1) * 4096)
    tap.equal(client.close(), 0, "--discard: takes it all")
    tap.equal(server.told()["present_pages"], 4096, "  and counts")
    server.end()


# -------------------------------------------------------------------- killed


def killed_at(n, name=""):
    """One client, and a server that dies at its Nth system call; did it die?"""
    server = Server("-D", "srv", env={"DECANT_FAULT": f"{n}:{name}:kill"})
    status = one_image(server) if server.port else None
    if server.p.poll() is None and status == 0:
        server.end()
        return False
    died = until(lambda: server.p.poll() is not None, 5)
    server.end(signal.SIGKILL)
    if looks_complete() and criu.pages_of("srv", 7) != WANT:
        tap.ok(False, f"killed at call {n}: looks complete", left())
    # What is told to the client is there.
    if status == 0 and not looks_complete():
        tap.ok(False, f"killed at call {n}: was told to be stored, and is not", left())
    parts = [x for x in left() if x.endswith(".part")]
    if parts:
        code, _, err = run("page-server", "-D", "srv")
        if code != 1 or "killed" not in err:
            tap.ok(False, f"killed at call {n}: the next run does not say so", err)
        server = Server("-D", "srv", "--clean")
        server.end()
        if [x for x in left() if x.endswith(".part")]:
            tap.ok(False, f"killed at call {n}: --clean leaves some", left())
    shutil.rmtree("srv", ignore_errors=True)
    return died


def kills():
    """Everywhere, in steps; all of them where everything is tested."""
    server = Server("-D", "srv", env={"DECANT_FAULT": "1:no-such-call:kill"})
    server.end()
    n, step, died = 1, 1 if FULL else 7, 0
    before = tap.failed
    while n < 2000 and killed_at(n):
        died += 1
        n += step
    tap.ok(died > 10 and tap.failed == before,
           f"killed at {died} places: never looks complete when it is not", died)


def fault(n, name, how):
    return {"DECANT_FAULT": ":".join([str(n), name or "*"] + ([how] if how else []))}


WANT = {(i << 20) + k * PAGE: page(i) for i in range(4) for k in range(16)}


def one_image(server):
    """The status that a client is told; None: it was broken off."""
    try:
        client = Client(server.port, limit=10)
        client.open(pid(7))
        for i in range(4):
            client.pages(pid(7), i << 20, page(i) * 16)
        return client.close()
    except OSError:
        return None


def failed_at(n, how):
    """Something goes wrong in the server's Nth system call; did it?"""
    server = Server("-D", "srv", env=fault(n, "", how))
    status = one_image(server) if server.port else None
    code = server.end()
    if code not in (0, 1) or "did not end" in server.error:
        tap.ok(False, f"{how or 'error'} at call {n}: ends with {code}", server.error)
    if status == 0 and (not looks_complete() or criu.pages_of("srv", 7) != WANT):
        tap.ok(False, f"{how or 'error'} at call {n}: was told to be stored, and is not", left())
    if status != 0 and looks_complete() and criu.pages_of("srv", 7) != WANT:
        tap.ok(False, f"{how or 'error'} at call {n}: looks complete", left())
    shutil.rmtree("srv", ignore_errors=True)
    return status


def errors():
    before, bad = tap.failed, 0
    for how, step in (("", 1), ("short", 1)):
        for n in range(1, 400 if FULL else 140, 1 if FULL else 3 * step):
            bad += failed_at(n, how) != 0
    tap.ok(tap.failed == before and bad > 10,
           f"an error at each call, {bad} of them the image's end: nothing looks complete", bad)
    with victim("quiet") as target:
        server = Server("-D", "srv", "--timeout", "5s")
        calls = ("sendmsg", "recvmsg", "poll", "getfl", "setfl", "splice", "mmap", "malloc")
        good = 0
        for name in calls:
            for n in (1, 2, 3, 7) if not FULL else range(1, 40):
                for how in ("", "short") if name in ("sendmsg", "recvmsg", "splice") else ("",):
                    mode = "vmsplice" if name == "splice" else "read"
                    status, _, err = run(
                        "predump", str(target.pid), "-D", "img", "--mode", mode, "--to",
                        f"tcp:127.0.0.1:{server.port}",
                        env={**os.environ, **fault(n, name, how)})
                    good += status == 0
                    if status not in (0, 1) or (status == 1) == os.path.exists("img/inventory.img"):
                        tap.ok(False, f"{name} {how or 'fails'} in a client, call {n}: {status}",
                               err)
                    shutil.rmtree("img", ignore_errors=True)
        tap.ok(tap.failed == before, f"the same in a client, {good} images all the same")
        tap.equal(server.end(), 0, "  the server ends well")
        complete = sum(1 for line in server.lines if line.get("complete"))
        tap.equal(complete, good, "  and has as many")


def client_killed():
    server = Server("-D", "srv")
    client = Client(server.port)
    client.open(pid(7))
    client.pages(pid(7), 0, page(1) * 64)
    client.say(wire.ADD_F, pages=64, vaddr=1 << 20, dst=pid(7), flags=wire.PRESENT)
    client.raw(page(2) * 5)
    tap.ok(until(lambda: any(n.endswith(".part") for n in left())), "a client within its pages")
    client.cut()
    tap.ok(not server.told()["complete"], "  is cut off: the server says so", server.lines)
    tap.equal(left(), [], "  nothing is left")
    server.end()


def disk_full():
    os.mkdir("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", "small"],
                      check=False).returncode:
        tap.skip("a full disk", "no file system can be mounted here")
        return
    try:
        server = Server("-D", "small/srv")
        client = Client(server.port)
        client.open(pid(7))
        other = Client(server.port)
        other.open(pid(8))
        other.pages(pid(8), 0, page(8))
        try:
            for i in range(64):
                client.pages(pid(7), i << 20, page(i) * 64)
            status = client.close()
        except OSError:
            status = -1
        tap.ok(status != 0, "a full disk: the client hears that it was not stored", status)
        told = server.told()
        tap.ok(not told["complete"] and "space" in told["message"], "  the server says why", told)
        tap.ok(not looks_complete("small/srv"), "  nothing looks complete")
        tap.equal(other.close(), 0, "  another one ends well")
        tap.equal(criu.pages_of("small/srv", 8), {0: page(8)}, "  every page of it")
        tap.equal([n for n in left("small/srv") if "7" in n.split(".")[0].split("-")], [],
                  "  nothing of the first is left")
        server.end()
    finally:
        subprocess.run(["umount", "small"], check=False)


# -------------------------------------------------------------------- chains


def chain():
    server = Server("-D", "srv", "--chain")
    client = Client(server.port)
    client.open(pid(7))
    client.pages(pid(7), 0, page(1) + page(2) + page(3))
    client.close()
    tap.equal(server.told()["image"], 1, "chain: the first image")
    bad = Client(server.port)
    bad.parent(pid(7))
    bad.cut()
    server.told()
    client = Client(server.port)
    tap.equal(client.parent(pid(7)), 1, "  the second has a parent")
    tap.equal(client.open(pid(7)), 1, "  OPEN2 says so, too")
    client.hole(pid(7), 0, 1)
    client.pages(pid(7), PAGE, page(9))
    tap.equal(client.open(pid(8)), 0, "  another process has none")
    client.close()
    image = server.told()["image"]
    tap.equal(criu.pages_of(f"srv/{image}", 7), {0: page(1), PAGE: page(9)}, "  every page of it")
    tap.equal(os.readlink(f"srv/{image}/parent"), "../1", "  one that was cut off is no parent")
    server.end()
    server = Server("-D", "srv", "--chain")
    client = Client(server.port)
    tap.equal(client.open(pid(8)), 1, "  another server goes on with it")
    client.close()
    server.end()
    status, out, err = run("images", f"srv/{image}", "check")
    tap.equal(status, 0, "  images check finds nothing: " + out.splitlines()[-1] + err)


# ---------------------------------------------------------------------- TLS


def certificates():
    """ca.pem, and NAME.pem with NAME.key signed by it; other-ca.pem is nobody's."""
    def openssl(*command):
        subprocess.run(["openssl", *command], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "other-ca"):
        openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2",
                "-subj", f"/CN={ca}")
    with open("names", "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
                f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")


def tls_options(name, ca="ca"):
    return ["--tls-cert", f"{name}.pem", "--tls-key", f"{name}.key", "--tls-ca", f"{ca}.pem"]


def context(name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations("ca.pem")
    if name:
        c.load_cert_chain(f"{name}.pem", f"{name}.key")
    return c


def tls_refused(port, name):
    try:
        client = Client(port, context=context(name), limit=5)
        client.say(wire.OPEN2, dst=pid(7))
        return client.s.recv(1) == b""
    except OSError:
        return True


def tls():
    certificates()
    server = Server("-D", "srv", *tls_options("server"), "--timeout", "5s", listen="0.0.0.0:0")
    client = Client(server.port, 32, context("client"))
    client.open(pid(7))
    client.pages(pid(7), 0, b"".join(page(i) for i in range(1000)))
    tap.equal(client.close(), 0, "TLS: another implementation is understood")
    tap.equal(criu.pages_of("srv", 7), {i * PAGE: page(i) for i in range(1000)}, "  every page")
    server.told()
    for name, why in (("stranger", "NOT trusted"), (None, "ertificate")):
        tap.ok(tls_refused(server.port, name), f"  {name or 'no certificate'}: refused")
        told = server.told()
        tap.ok(not told["complete"] and why in told["message"], "  and the server says why", told)
    plain = Client(server.port)
    plain.say(wire.OPEN2, dst=pid(9))
    tap.ok(plain.broken(), "  a plain client is refused")
    server.told()
    # The end of TLS itself is an end, a cut is none.
    client = Client(server.port, 32, context("client"))
    client.open(pid(9))
    client.s.shutdown(2)
    tap.ok("cut" in server.told()["message"], "  a connection that is cut is no end",
           server.lines[-1])
    with victim() as target:
        to = f"tcp:127.0.0.1:{server.port}"
        for more, good in ((tls_options("client"), True), ([], False),
                           (tls_options("client", "other-ca"), False),
                           (tls_options("stranger"), False),
                           ([*tls_options("client"), "--tls-name", "elsewhere"], False),
                           ([*tls_options("client"), "--tls-name", "localhost"], True),
                           ([*tls_options("client"), "--tls-name", "-"], True)):
            shutil.rmtree("img", ignore_errors=True)
            status, _, err = run("predump", str(target.pid), "-D", "img", "--to", to, *more)
            tap.ok((status == 0) == good, f"  predump {' '.join(more)}: "
                   f"{'stored' if good else 'refused'}", err)
            tap.ok(good or not os.path.exists("img/inventory.img"), "  nothing looks complete")
    server.end()


# ------------------------------------------------------------------ predumps

VICTIM = """
import mmap, sys, time
m = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(2048):
    m[i * 4096:i * 4096 + 8] = i.to_bytes(8, "little")
print(open("/proc/self/maps").read().count("\\n"), flush=True)
n = 0
while not sys.argv[1:]:
    n += 1
    m[(n * 37 % 2048) * 4096 + 8] = n & 255
    time.sleep(0.001)
time.sleep(1000)
"""


class victim:
    def __init__(self, *arg):
        self.p = subprocess.Popen([sys.executable, "-c", VICTIM, *arg], stdout=subprocess.PIPE)
        self.p.stdout.readline()
        self.pid = self.p.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()

    def memory(self, addresses):
        with open(f"/proc/{self.pid}/mem", "rb") as f:
            return {a: os.pread(f.fileno(), PAGE, a) for a in addresses}


def predumps():
    server = Server("-D", "srv", "--chain")
    to = f"tcp:127.0.0.1:{server.port}"
    with victim() as target:
        status, out, err = run("predump", str(target.pid), "-D", "img", "--to", to, "--rounds",
                               "4", "--json")
        if "cannot be tracked" in err or "soft-dirty" in err:
            tap.skip("rounds", err.strip())
        else:
            tap.equal(status, 0, "predump --rounds 4 to a chain " + err)
            told = [server.told() for _ in range(4)]
            tap.ok(all(t["complete"] for t in told), "  four images arrive", told)
            tap.ok(all(t["parent_pages"] > t["present_pages"] for t in told[1:]),
                   "  the later ones have what was written since", told)
            tap.ok(json.loads(out.splitlines()[-1])["chain"][3]["parent_pages"] ==
                   told[3]["parent_pages"], "  both sides count the same", out)
            status, out, err = run("images", "srv/4", "check")
            tap.equal(status, 0, "  every page is in the chain " + err)
            tap.ok(os.path.exists("img/4/inventory.img"), "  the inventory stays here", left("img"))
            tap.ok(not [n for n in left("img/4") if n.startswith("pages")], "  and no page")
    server.end()
    with victim("quiet") as target:
        server = Server("-D", "one")
        for name, more in (("read", ["--mode", "read"]), ("vmsplice", ["--mode", "vmsplice"])):
            status, _, err = run("predump", str(target.pid), "-D", name, "--to",
                                 f"tcp:127.0.0.1:{server.port}", *more)
            tap.equal(status, 0, f"a process that stands still, --mode {name} {err}")
            pages = criu.pages_of("one", target.pid)
            now = target.memory(pages)
            # Its stack and what time.sleep() writes may change.
            wrong = [hex(a) for a in pages if pages[a] != now[a]]
            tap.ok(len(pages) > 2048 and len(wrong) < 16, f"  its {len(pages)} pages", wrong)
        server.end(signal.SIGKILL)
        status, _, err = run("predump", str(target.pid), "-D", "gone", "--to",
                             f"tcp:127.0.0.1:{server.port}")
        tap.ok(status == 1 and "refused" in err, "nobody listens: a sentence", err)
        tap.ok(not os.path.exists("gone/inventory.img"), "  nothing looks complete", left("gone"))
        tap.ok(os.path.exists(f"/proc/{target.pid}"), "  the process runs on")


def predump_cut():
    """The server dies within an image."""
    with victim("quiet") as target:
        for n in (1, 2, 5, 20):
            server = Server("-D", "srv", env={"DECANT_FAULT": f"{n}:recvmsg:kill"})
            begin = time.monotonic()
            status, _, err = run("predump", str(target.pid), "-D", f"img{n}", "--to",
                                 f"tcp:127.0.0.1:{server.port}")
            tap.ok(status == 1 and "page server" in err, f"the server dies at its {n}. message: "
                   "a sentence", err)
            tap.ok(time.monotonic() - begin < 30 * SLOW, "  at once")
            tap.ok(not os.path.exists(f"img{n}/inventory.img"), "  nothing looks complete")
            tap.ok(not looks_complete(), "  nor there", left())
            server.end()
            shutil.rmtree("srv", ignore_errors=True)
        tap.ok(os.path.exists(f"/proc/{target.pid}"), "  the process runs on")


def main():
    tap.need_root()
    for what in (command_line, signals, once, kills, errors, client_killed, disk_full, chain, tls, predumps,
                 predump_cut):
        if sys.argv[1:] and what.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            what()
            os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
