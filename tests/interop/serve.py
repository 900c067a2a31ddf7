#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve and the clients that people have: curl, wget, wrk, a browser."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import LIMIT, Server, settle, write  # noqa: E402
import tap  # noqa: E402

MEDIA = """<!doctype html><title>no</title><body><audio id=a preload=auto></audio><script>
const a = document.getElementById('a');
a.onloadedmetadata = () => { a.currentTime = a.duration * 0.9; };
a.onseeked = () => { document.body.append('seeked to ' + Math.round(a.currentTime)); };
a.onerror = () => { document.body.append('failed: ' + a.error.message); };
a.src = 'tone.wav';
</script>"""


def run(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT * 3,
                          check=False)


def check_curl(server, root, directory):
    url, out = f"http://127.0.0.1:{server.port}", f"{directory}/out"
    with open(f"{root}/big", "rb") as f:
        big = f.read()

    def got():
        with open(out, "rb") as f:
            return f.read()

    curl = ["curl", "-sS", "-m", str(LIMIT)]
    run(*curl, "-o", out, f"{url}/big")
    tap.ok(got() == big, "curl: a file")
    run(*curl, "-o", out, "-r", "1000000-1999999", f"{url}/big")
    tap.ok(got() == big[1000000:2000000], "curl: a range")
    write(out, big[:1234567])
    run(*curl, "-o", out, "-C", "-", f"{url}/big")
    tap.ok(got() == big, "curl: resumed")
    done = run(*curl, "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", f"{url}/big",
               f"{url}/big")
    tap.equal(done.stdout, b"1 0 ", "curl: one connection for two")
    done = run(*curl, "--compressed", f"{url}/text.txt")
    tap.equal(done.stdout, b"text " * 1000, "curl: compressed")
    run(*curl, "-o", out, "-R", f"{url}/big")
    done = run(*curl, "-o", f"{out}.2", "-z", out, "-w", "%{http_code}", f"{url}/big")
    tap.equal(done.stdout, b"304", "curl: not again what has not changed")
    done = run(*curl, "--etag-save", f"{out}.tag", f"{url}/text.txt")
    done = run(*curl, "--etag-compare", f"{out}.tag", "-w", "%{http_code}", f"{url}/text.txt")
    tap.equal(done.stdout, b"304", "curl: nor by its tag")
    done = run(*curl, "-L", "-w", "%{http_code} %{url_effective}", "-o", "/dev/null", f"{url}/dir")
    tap.equal(done.stdout.decode(), f"200 {url}/dir/", "curl: to the directory")
    done = run(*curl, "-Z", *[w for i in range(20) for w in ("-o", f"{out}.{i}", f"{url}/big")])
    same = sum(filecmp.cmp(f"{root}/big", f"{out}.{i}", False) for i in range(20))
    tap.equal(same, 20, "curl: twenty at a time")


def check_wget(server, root, directory):
    url = f"http://127.0.0.1:{server.port}"
    mirror = f"{directory}/mirror"
    done = run("wget", "-q", "-r", "-np", "-nH", "-T", str(LIMIT), "-t", "1", "-P", mirror,
               "--reject-regex", r"\?", f"{url}/tree/")
    missing = []
    for path, _, files in os.walk(f"{root}/tree"):
        for name in files:
            theirs = os.path.join(mirror, os.path.relpath(os.path.join(path, name), root))
            if not os.path.exists(theirs) or \
                    not filecmp.cmp(os.path.join(path, name), theirs, False):
                missing.append(theirs)
    tap.none(missing, "wget: a tree, by its lists" + done.stderr.decode())
    with open(f"{root}/big", "rb") as f:
        write(f"{directory}/big", f.read()[:777777])
    run("wget", "-q", "-c", "-T", str(LIMIT), "-P", directory, f"{url}/big")
    tap.ok(filecmp.cmp(f"{root}/big", f"{directory}/big", False), "wget: continued")


def check_wrk(server):
    for name in ("small", "big"):
        done = run("wrk", "-t1", "-c50", "-d1", "--timeout", str(LIMIT),
                   f"http://127.0.0.1:{server.port}/{name}")
        text = done.stdout.decode()
        requests = re.search(r"(\d+) requests in", text)
        tap.ok(requests and int(requests[1]) > 0 and "Non-2xx" not in text and
               "Socket errors" not in text, f"wrk: {name}, without an error", text)


def check_browser(server, directory):
    chromium = shutil.which("chromium")
    if not chromium:
        tap.skip("a browser", "chromium is not installed")
        return
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-dev-shm-usage", "--disable-background-networking",
               f"--user-data-dir={directory}/profile"]

    # It writes to what it takes for its user's directories.
    os.environ.update(HOME=directory, TMPDIR=directory, XDG_CACHE_HOME=f"{directory}/cache",
                      XDG_CONFIG_HOME=f"{directory}/config")

    def page(path, *more):
        return run("timeout", "-k", "5", str(LIMIT * 2), *command, *more, "--dump-dom",
                   f"http://127.0.0.1:{server.port}/{path}").stdout.decode()

    text = page("tree/")
    tap.ok("sub dir/" in text and "Changed" in text and 'href="./a%20%26%20b.txt"' in text,
           "a browser: a list", text[-300:])
    text = page("media.html", "--virtual-time-budget=20000", "--autoplay-policy=no-user-gesture-"
                                                            "required")
    tap.ok("seeked to" in text, "a browser: plays, and seeks by ranges", text[-300:])


def main():
    with tempfile.TemporaryDirectory() as directory:
        root, log = f"{directory}/www", f"{directory}/log"
        os.makedirs(f"{root}/tree/sub dir/deeper")
        os.mkdir(f"{root}/dir")
        write(f"{root}/small", b"small" * 200)
        write(f"{root}/big", os.urandom(5_000_003))
        write(f"{root}/text.txt", b"text " * 1000)
        run("gzip", "-k", f"{root}/text.txt")
        for name in ("a & b.txt", "sub dir/c d", "sub dir/deeper/\u00e4", "e+f;g"):
            write(f"{root}/tree/{name}", name.encode())
        write(f"{root}/media.html", MEDIA.encode())
        with wave.open(f"{root}/tone.wav", "wb") as tone:
            tone.setparams((2, 2, 48000, 0, "NONE", "NONE"))
            tone.writeframes(bytes(48000 * 4 * 120))
        settle()
        with Server(root, log=log, workers=2) as server:
            check_curl(server, root, directory)
            check_wget(server, root, directory)
            check_wrk(server)
            check_browser(server, directory)
            tap.equal(server.stop(), 0, "it ends")
        with open(log, encoding="ascii") as f:
            ranges = re.findall(r'"GET /tone\.wav HTTP/1\.1" 206 ', f.read())
        if shutil.which("chromium"):
            tap.ok(len(ranges) >= 2, "the browser asked for ranges", f"{len(ranges)}")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
