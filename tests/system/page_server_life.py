#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant page-server's life: how it begins and ends, chains, TLS, and predumps that
send their pages there."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import criu_images as criu  # noqa: E402
import page_client as wire  # noqa: E402
import tap  # noqa: E402
from page_client import (  # noqa: E402
    PAGE, SLOW, Client, Server, Victim, left, page, pid, run, until)


# -------------------------------------------------------------------- begin


def command_line():
    status, _, err = run("page-server", "-D", "srv", "--listen", "0.0.0.0:0")
    tap.ok(status == 2 and "not loopback" in err, "another address than loopback: refused", err)
    server = Server("-D", "srv", "--insecure", listen="0.0.0.0:0")
    tap.ok(server.name.startswith("0.0.0.0:"), "  but with --insecure", server.name)
    server.end()
    server = Server("-D", "srv")
    tap.ok(server.name.startswith("127.0.0.1:"), "by default it is loopback")
    server.end()
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
    told = server.told()
    tap.equal((told["present_pages"], told["bytes"]), (4096, 4096 * PAGE + 3 * 32), "  and counts")
    server.end()


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
    tap.equal(client.open(pid(7)), 3, "  OPEN2 says so, too, and that it is the last")
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
    tap.equal(client.open(pid(8)), 3, "  another server goes on with it")
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
    with Victim() as target:
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


def predumps():
    server = Server("-D", "srv", "--chain")
    to = f"tcp:127.0.0.1:{server.port}"
    with Victim() as target:
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
            status, _, err = run("predump", str(target.pid), "-D", "again", "--to", to, "--final")
            tap.equal(status, 0, "predump --final to the same chain " + err)
            last = sorted(map(int, left()))[-1]
            told = [server.told() for _ in range(last - 4)][-1]
            tap.ok(told["parent_pages"] > told["present_pages"], "  goes on with it", told)
            status, out, err = run("images", f"srv/{last}", "check")
            tap.equal(status, 0, "  every page is in the chain " + err)
            tap.ok(not [n for n in left("img/4") if n.startswith("pages")], "  and no page")
    server.end()
    with Victim("quiet") as target:
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


def main():
    tap.need_root()
    for what in (command_line, signals, once, chain, tls, predumps):
        if sys.argv[1:] and what.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            what()
            os.chdir("/")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
