#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve: what it answers, over raw sockets, and names that must not be
reached."""

import gzip
import os
import re
import socket
import stat
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lib"))

from serving import Answer, Server, read_answer, rest_of, settle, write  # noqa: E402
import tap  # noqa: E402

SMALL = bytes(range(256)) * 4
LARGE = os.urandom(3_000_001)


def make_tree(root):
    os.mkdir(root)
    for name in ("sub", "list", "deep", "deep/er", "a b", ".hidden"):
        os.mkdir(os.path.join(root, name))
    write(f"{root}/small", SMALL)
    write(f"{root}/large.bin", LARGE)
    write(f"{root}/empty", b"")
    write(f"{root}/sub/index.html", b"<p>index</p>")
    write(f"{root}/style.css", b"body{color:red}" * 50)
    write(f"{root}/style.css.gz", gzip.compress(b"body{color:red}" * 50))
    write(f"{root}/old.txt", b"new")
    write(f"{root}/old.txt.gz", gzip.compress(b"old"))
    os.utime(f"{root}/old.txt.gz", (1e9, 1e9))
    write(f"{root}/deep/er/file", b"deep")
    write(f"{root}/a b/\u00e4<>&.txt", b"odd")
    write(f"{root}/.secret", b"secret")
    write(f"{root}/.hidden/file", b"secret")
    write(f"{root}/unreadable", b"secret")
    write(os.path.join(os.path.dirname(root), "outside"), b"outside")
    for i in (10, 9, 1):
        write(f"{root}/list/file{i}.txt", b"x" * i)
    os.mkdir(f"{root}/list/zdir")
    os.symlink("small", f"{root}/inside")
    os.symlink("../outside", f"{root}/outside")
    os.symlink("/etc/passwd", f"{root}/passwd")
    os.symlink("/proc/self/root", f"{root}/all")
    os.symlink("loop", f"{root}/loop")
    os.symlink("../../outside", f"{root}/deep/up")
    os.symlink("../small", f"{root}/deep/within")
    os.mkfifo(f"{root}/fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{root}/socket")
    if os.geteuid() == 0:
        os.mknod(f"{root}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))


# ------------------------------------------------------------------ answers

STATUSES = [
    ("/small", 200), ("/sub/", 200), ("/sub", 301), ("/list/", 200), ("/", 200),
    ("/inside", 200), ("/deep/within", 200), ("/deep/er/file", 200), ("/a%20b/", 200),
    ("/small/", 404), ("/nothing", 404), ("/nothing/", 404), ("/small/x", 404),
    ("/outside", 403), ("/passwd", 403), ("/all/etc/passwd", 403), ("/deep/up", 403),
    ("/fifo", 403), ("/socket", 404), ("/loop", 404),
    ("/.secret", 404), ("/.hidden/file", 404), ("/.hidden/", 404), ("/deep/../small", 400),
    ("/../outside", 400), ("/%2e%2e/outside", 400), ("/deep/%2e%2e/%2e%2e/outside", 400),
    ("/..%2foutside", 404), ("/small%00.txt", 400), ("/%", 400), ("/a" * 3000, 414),
    ("/" + "a" * 300, 404), ("http://other/small", 200), ("//small", 200), ("/./small", 200),
]


def check_statuses(server):
    wrong = []
    for target, status in STATUSES + ([("/null", 403)] if os.geteuid() == 0 else []):
        answer = server.get(target)
        if answer.status != status or not answer.whole or answer.rest:
            wrong.append(f"{target}: {answer.status}, not {status}")
        if b"secret" in answer.body or b"outside" == answer.body or b"root:" in answer.body:
            wrong.append(f"{target}: {answer.body!r}")
    tap.none(wrong, f"{len(STATUSES)} targets, each with its status")
    for target, want in ("/sub", "/sub/"), ("/a%20b?x=1", "/a%20b/?x=1"), ("//sub", "/sub/"):
        tap.equal(server.get(target)["location"], want, f"{target}: the way to the directory")


def check_bytes(server):
    tap.equal(server.get("/small").body, SMALL, "a small file")
    tap.equal(server.get("/large.bin").body, LARGE, "a large one")
    tap.equal(server.get("/large.bin").body, LARGE, "once more, when it is in demand")
    tap.equal(server.get("/empty").body, b"", "an empty one")
    tap.equal(server.get("/sub/").body, b"<p>index</p>", "an index")
    tap.equal(server.get("/a%20b/%C3%A4%3C%3E%26.txt").body, b"odd", "an odd name")
    answer = server.get("/small", method="HEAD")
    tap.ok(answer.length == len(SMALL) and answer.rest == b"", "HEAD: a length, and no body")
    answer = server.get("/list/", method="HEAD")
    tap.ok(answer.length > 500 and answer.rest == b"", "HEAD of a list, too")
    answer = server.get("/", method="OPTIONS")
    tap.ok(answer.status == 204 and "GET" in answer["allow"], "OPTIONS")
    answer = server.get("/small", "Content-Length: 3", method="POST")
    tap.ok(answer.status == 405 and "GET" in answer["allow"], "POST is not allowed")


RANGES = [
    ("bytes=0-0", [(0, 1)]), ("bytes=-5", [(-5, None)]), ("bytes=1000-", [(1000, None)]),
    ("bytes=1000-1999999", [(1000, 2000000)]), ("bytes=0-9999999", [(0, None)]),
    ("bytes=0-9,20-29", [(0, 10), (20, 30)]), ("bytes=2000000-2999999,0-99", [(2000000, 3000000),
                                                                             (0, 100)]),
    ("bytes=0-9,5-19", [(0, 20)]),
]


def parts_of(answer):
    """[(start, end, bytes)] of a multipart answer."""
    boundary = answer["content-type"].partition("boundary=")[2].encode()
    pieces = answer.body.split(b"\r\n--" + boundary)
    found = []
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        span = re.search(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)", head)
        found.append((int(span[1]), int(span[2]) + 1, body))
    return found if pieces[0] == b"" and pieces[-1] == b"--\r\n" else []


def check_ranges(server):
    wrong = []
    for field, spans in RANGES:
        answer = server.get("/large.bin", "Range: " + field)
        spans = [slice(a, b).indices(len(LARGE))[:2] for a, b in spans]
        if len(spans) == 1:
            (a, b), = spans
            good = answer.body == LARGE[a:b] and \
                answer["content-range"] == f"bytes {a}-{b - 1}/{len(LARGE)}"
        else:
            good = parts_of(answer) == [(a, b, LARGE[a:b]) for a, b in spans]
        if answer.status != 206 or not answer.whole or answer.rest or not good:
            wrong.append(f"{field}: {answer.status} {answer.fields}")
    tap.none(wrong, f"{len(RANGES)} ranges")
    answer = server.get("/small", "Range: bytes=5000-")
    tap.ok(answer.status == 416 and answer["content-range"] == f"bytes */{len(SMALL)}", "416")
    tap.equal(server.get("/small", "Range: lines=1-2").status, 200, "another unit is everything")
    tap.equal(server.get("/empty", "Range: bytes=0-").status, 416, "a range of nothing")
    answer = server.get("/small", "Range: bytes=0-3", method="HEAD")
    tap.equal(answer.status, 200, "HEAD knows no ranges")


def check_conditions(server, root):
    answer = server.get("/small")
    tag, date = answer["etag"], answer["last-modified"]
    tap.ok(tag[0] == '"' and date.endswith("GMT"), "validators")
    for field, status in [
            (f"If-None-Match: {tag}", 304), (f"If-None-Match: \"x\", W/{tag}", 304),
            ("If-None-Match: *", 304), ("If-None-Match: \"x\"", 200),
            (f"If-Modified-Since: {date}", 304),
            ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200),
            (f"If-Match: {tag}", 200), ("If-Match: \"x\"", 412),
            ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 412)]:
        got = server.get("/small", field)
        tap.ok(got.status == status and got.whole and not got.rest, f"{field}: {status}",
               f"{got.status} {got.fields}")
    tap.equal(server.get("/small", "Range: bytes=0-1", f"If-Range: {tag}").status, 206,
              "If-Range: the same")
    tap.equal(server.get("/small", "Range: bytes=0-1", "If-Range: \"x\"").status, 200,
              "If-Range: another")
    tap.equal(server.get("/small", "Range: bytes=0-1", f"If-Range: {date}").status, 206,
              "If-Range: the date")
    write(f"{root}/changing", b"a")
    first = server.get("/changing")["etag"]
    write(f"{root}/changing", b"b")
    second = server.get("/changing")
    tap.ok(first != second["etag"] and second.body == b"b", "a change is another tag")
    tap.ok(first.startswith("W/"), "right after a change the tag is weak")
    write(f"{root}/next", b"c")
    os.rename(f"{root}/next", f"{root}/changing")
    tap.equal(server.get("/changing").body, b"c", "what was replaced is seen at once")
    os.unlink(f"{root}/changing")
    tap.equal(server.get("/changing").status, 404, "and what is gone")


def check_encodings(server):
    answer = server.get("/style.css", "Accept-Encoding: gzip")
    tap.ok(answer["content-encoding"] == "gzip" and
           gzip.decompress(answer.body) == b"body{color:red}" * 50, "a compressed form")
    tap.ok(answer["content-type"].startswith("text/css") and
           answer["vary"] == "Accept-Encoding", "  has the file's own type, and varies")
    plain = server.get("/style.css")
    tap.ok(plain["content-encoding"] is None and plain["vary"] == "Accept-Encoding" and
           plain["etag"] != answer["etag"], "without it, the file, with another tag")
    tap.equal(server.get("/style.css", "Accept-Encoding: zstd").body, plain.body,
              "a form that is not there")
    tap.equal(server.get("/old.txt", "Accept-Encoding: gzip").body, b"new",
              "a form that is older is not sent")


def check_kept(server):
    s = server.connect()
    for _ in range(50):
        s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
        if read_answer(s).body != SMALL:
            break
    else:
        tap.ok(True, "50 requests on one connection")
    s.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n" * 500 +
              b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n" * 2 +
              b"HEAD /small HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n"
              b"Connection: close\r\n\r\nGET /small HTTP/1.1\r\nHost: x\r\n\r\n")
    data, bodies = rest_of(s), []
    s.close()
    while data:
        answer = Answer(data, len(bodies) == 502)
        bodies.append(answer.body)
        data = answer.rest
    tap.ok(bodies[:502] == [SMALL] * 500 + [LARGE] * 2 and len(bodies) == 504,
           "504 requests at once, answered in order, until the close", f"{len(bodies)} bodies")
    s = server.connect()
    s.sendall(b"GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = read_answer(s)
    tap.ok(answer["connection"] == "keep-alive" and answer.body == SMALL, "HTTP/1.0 may be kept")
    s.close()
    answer = Answer(server.raw("GET /small HTTP/1.0\r\n\r\n"))
    tap.ok(answer["connection"] == "close" and answer.body == SMALL, "and is closed otherwise")
    answer = Answer(server.raw("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n", half_close=True))
    tap.equal(answer.body, LARGE, "a client that has closed its half gets all")
    s = server.connect()
    for c in b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n":
        s.sendall(bytes([c]))
    tap.equal(read_answer(s).body, SMALL, "byte by byte")
    s.close()


REFUSED = [
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("NONSENSE\r\n\r\n", 400), ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    ("GET /" + "a" * 20000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 70000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 5000 + "\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400), ("\x16\x03\x01\n\n", 400),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET / HTTP/1.1\r\n\r\n", 405),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
]


def check_refused(server):
    wrong = []
    for text, status in REFUSED:
        answer = Answer(server.raw(text))
        if answer.status != status or not answer.whole or answer.rest or \
                answer["connection"] != "close":
            wrong.append(f"{text[:40]!r}: {answer.status} {answer.rest[:40]!r}")
    tap.none(wrong, f"{len(REFUSED)} requests after which nothing is believed")


# ------------------------------------------------------------------ options


def check_options(root, directory):
    with Server(root, "--no-listing", "--hidden", "--follow", "--no-precompressed") as server:
        tap.equal(server.get("/list/").status, 403, "--no-listing")
        tap.equal(server.get("/sub/").status, 200, "  an index is none")
        tap.equal(server.get("/.secret").body, b"secret", "--hidden")
        tap.equal(server.get("/outside").body, b"outside", "--follow")
        tap.equal(server.get("/all/etc/passwd").status, 404, "  but no magic links")
        tap.ok(not server.get("/style.css", "Accept-Encoding: gzip")["content-encoding"],
               "--no-precompressed")
    with Server(f"{root}/large.bin") as server:
        answer = server.get("/")
        tap.ok(answer.status == 302 and answer["location"] == "/large.bin", "one file: / is it")
        tap.equal(server.get("/large.bin").body, LARGE, "  the file")
        tap.equal([server.get(t).status for t in ("/small", "/large.bin/", "/..", "/sub/")],
                  [404, 404, 400, 404], "  nothing else")
    types = os.path.join(directory, "types")
    write(types, b"application/x-mine bin css\n")
    with Server(root, "--types", types) as server:
        tap.equal(server.get("/style.css")["content-type"], "application/x-mine", "--types")


def check_listing(server):
    page = server.get("/list/").body.decode()
    names = re.findall(r'href="\./([^"]*)"', page)
    tap.equal(names, ["zdir/", "file1.txt", "file9.txt", "file10.txt"], "a list, in order")
    page = server.get("/list/?sort=size&reverse").body.decode()
    tap.equal(re.findall(r'href="\./([^"]*)"', page),
              ["zdir/", "file10.txt", "file9.txt", "file1.txt"], "by size, the largest first")
    page = server.get("/").body.decode()
    names = re.findall(r'href="\./([^"]*)"', page)
    tap.ok("inside" in names and "a%20b/" in names, "links within are listed")
    tap.equal([n for n in names if n.strip("/") in
               ("outside", "passwd", "all", "loop", "fifo", "socket", "null", ".secret",
                ".hidden")], [], "what is refused is not")
    page = server.get("/a%20b/").body.decode()
    tap.ok("\u00e4&lt;&gt;&amp;.txt" in page and "%C3%A4%3C%3E%26.txt" in page, "names are escaped")
    tap.ok("default-src 'none'" in server.get("/list/")["content-security-policy"],
           "no page of ours runs anything")


def main():
    with tempfile.TemporaryDirectory() as directory:
        root = os.path.join(directory, "www")
        make_tree(root)
        settle()
        with Server(root) as server:
            for check in check_statuses, check_bytes, check_ranges, check_encodings, check_kept, \
                    check_refused, check_listing:
                check(server)
            check_conditions(server, root)
            tap.equal(len(server.workers()), 1, "one worker, all the time")
            tap.equal(server.stop(), 0, "it ends")
            tap.equal(server.said().count("\n"), 2, "and has said nothing else")
        check_options(root, directory)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
