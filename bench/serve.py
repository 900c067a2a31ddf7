#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve against nginx, each on one CPU with wrk on another: requests a
second, CPU time of a request, throughput and CPU of a large file, memory of idle
connections.

    bench/serve.py [--quick] [--dir DIR] [--json FILE] BUILD

nginx runs with sendfile on, and with sendfile off and large buffers; with
open_file_cache, too, but only for comparison: it answers with a file that was
replaced up to a minute ago, and decant serve never does.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from goals import at_least, at_most

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SERVER_CPU, CLIENT_CPU = 0, 1
CONF = """
daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.err; {user}
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off; tcp_nopush on; tcp_nodelay on; keepalive_timeout 300;
    keepalive_requests 1000000000; reset_timedout_connection on; {words}
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/www; }}
}}
"""
NGINX = {
    "nginx sendfile on": "sendfile on; sendfile_max_chunk 2m;",
    "nginx sendfile off": "sendfile off; output_buffers 2 128k;",
    "nginx open_file_cache": "sendfile on; open_file_cache max=1000 inactive=60s; "
                             "open_file_cache_valid 60s;",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_cpu(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


class Server:
    def __init__(self, name, command, port):
        self.name, self.port = name, port
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(command, preexec_fn=on_cpu(SERVER_CPU),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > until or self.process.poll() is not None:
                    sys.exit(f"bench: {name} does not begin")
                time.sleep(0.05)
        time.sleep(0.2)
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as f:
            self.worker = int(f.read().split()[0])

    def cpu_seconds(self):
        total = 0
        for task in os.listdir(f"/proc/{self.worker}/task"):
            with open(f"/proc/{self.worker}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def private_bytes(self):
        with open(f"/proc/{self.worker}/smaps_rollup", encoding="ascii") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Private_")) * KIB

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def start_all(build, directory):
    port = free_port()
    servers = [Server("decant", [os.path.join(build, "decant"), "serve", "-q", "--workers", "1",
                                 "--log", "none", "--listen", f"127.0.0.1:{port}",
                                 os.path.join(directory, "www")], port)]
    nginx = shutil.which("nginx", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    for i, (name, words) in enumerate(NGINX.items()):
        port, conf = free_port(), os.path.join(directory, f"conf{i}")
        with open(conf, "w", encoding="ascii") as f:
            f.write(CONF.format(dir=directory, name=f"n{i}", port=port, words=words,
                                user="user root;" if os.geteuid() == 0 else ""))
        servers.append(Server(name, [nginx, "-p", directory, "-c", conf], port))
    return servers


# ------------------------------------------------------------------- cases


def wrk(server, path, seconds, connections):
    """(requests a second, CPU us each, 99th percentile in ms)"""
    before = server.cpu_seconds()
    # pylint: disable=subprocess-popen-preexec-fn
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency",
                           f"http://127.0.0.1:{server.port}/{path}"], check=True,
                          stdout=subprocess.PIPE, text=True,
                          preexec_fn=on_cpu(CLIENT_CPU)).stdout
    cpu = server.cpu_seconds() - before
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"bench: {server.name}: {text}")
    n = int(re.search(r"(\d+) requests in", text)[1])
    late = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}[late[2]]
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), cpu / max(n, 1) * 1e6,
            float(late[1]) * unit)


def best(rows, at, largest):
    values = [row[at] for row in rows]
    return max(values) if largest else min(values)


def requests(servers, path, rounds, seconds, connections):
    """Interleaved; of each the best run, for what is left out is other work."""
    rows = {s.name: [] for s in servers}
    for _ in range(rounds):
        for s in servers:
            rows[s.name].append(wrk(s, path, seconds, connections))
    for name, of in rows.items():
        print(f"  {path:>5} x{connections:<3} {name:<22} {best(of, 0, True):>9.0f}/s "
              f"{best(of, 1, False):>8.1f} us CPU, 99%: {best(of, 2, False):.2f} ms")
    return rows


def download(server, path, size):
    """(bytes a second, CPU seconds), by one client that throws all away."""
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {CLIENT_CPU})
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        buffer, got = bytearray(MIB), 0
        while n := s.recv_into(buffer):
            got += n
        os._exit(0 if got > size else 1)
    before, began = server.cpu_seconds(), time.monotonic()
    _, status = os.waitpid(pid, 0)
    took = time.monotonic() - began
    if status:
        sys.exit(f"bench: {server.name}: not all of {path} came")
    return size / took, server.cpu_seconds() - before


def large(servers, size, rounds):
    rows = {s.name: [] for s in servers}
    for _ in range(rounds):
        for s in servers:
            rows[s.name].append(download(s, "large", size))
    for name, of in rows.items():
        print(f"  large       {name:<22} {best(of, 0, True) / GIB:>7.2f} GiB/s "
              f"{best(of, 1, False) / size * GIB:>8.3f} CPU s/GiB")
    return rows


def idle(server, n):
    """Bytes of the server's own memory for each connection that waits."""
    before, held = server.private_bytes(), []
    for i in range(n):
        s = socket.socket()
        s.bind((f"127.0.0.{2 + i % 4}", 0))
        s.connect(("127.0.0.1", server.port))
        s.sendall(b"GET /1k HTTP/1.1\r\nHost: x\r\n\r\n")
        held.append(s)
    for s in held:
        s.recv(65536)
    each = (server.private_bytes() - before) / n
    for s in held:
        s.close()
    return each


# ----------------------------------------------------------------- verdicts


def verdicts(rows, of_large, each, half):
    on, off, cached = list(NGINX)

    def ratio(path, other, at=0):
        return best(rows[path]["decant"], at, True) / best(rows[path][other], at, True)

    yield at_least("1 KiB, requests/s vs nginx", min(ratio("1k", on), ratio("1k", off)), 1.3,
                   f"; vs open_file_cache, which may be a minute late: {ratio('1k', cached):.2f}")
    for path, name in ("64k", "64 KiB"), ("1m", "1 MiB"):
        yield at_least(f"{name}, requests/s vs nginx, sendfile off", ratio(path, off), 1.1)
        yield at_least(f"{name}, requests/s vs nginx, sendfile on", ratio(path, on), 1.0)
    fast = {name: best(of, 0, True) for name, of in of_large.items()}
    yield at_least("1 GiB, throughput vs the better nginx",
                   fast["decant"] / max(fast[on], fast[off]), 1.0)
    yield at_most("1 GiB, CPU vs nginx, sendfile off",
                  best(of_large["decant"], 1, False) / best(of_large[off], 1, False), 0.9)
    yield at_most("memory of an idle connection, bytes", each, 2048)
    late = {name: best(of, 2, False) for name, of in half.items()}
    yield at_most("99th percentile with few connections vs nginx",
                  late["decant"] / min(late[on], late[off]), 1.0)


def make_files(directory, large_size):
    www = os.path.join(directory, "www")
    os.mkdir(www)
    for name, size in ("1k", KIB), ("64k", 64 * KIB), ("1m", MIB), ("large", large_size):
        with open(os.path.join(www, name), "wb") as f:
            for at in range(0, size, MIB):
                f.write(os.urandom(min(MIB, size - at)))
    # What was just written is about to be written again, as far as decant knows.
    time.sleep(11)


def measure(args, directory):
    rounds, seconds = (2, 1) if args.quick else (5, 3)
    size = (256 << 20) if args.quick else GIB
    make_files(directory, size)
    servers = start_all(args.build, directory)
    try:
        rows = {path: requests(servers, path, rounds, seconds, 32) for path in ("1k", "64k", "1m")}
        half = requests(servers, "1k", rounds, seconds, 2)
        of_large = large(servers, size, rounds)
        each = idle(servers[0], 1000 if args.quick else 10000)
        print(f"  idle        decant                 {each:.0f} bytes a connection")
    finally:
        for s in servers:
            s.stop()
    found = list(verdicts(rows, of_large, each, half))
    return {"requests": rows, "few": half, "large": of_large, "idle_bytes": each}, found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir")
    parser.add_argument("--json")
    parser.add_argument("build")
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2 or not shutil.which("wrk"):
        print("serve: needs two CPUs, nginx and wrk: left out")
        return 0
    import resource  # pylint: disable=import-outside-toplevel
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("decant serve and nginx, each on one CPU, and wrk on another")
    with tempfile.TemporaryDirectory(dir=args.dir) as directory:
        os.chmod(directory, 0o755)
        numbers, found = measure(args, directory)
    for verdict in found:
        print(verdict)
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump({**numbers, "verdicts": [{"good": v.good, "text": v.text} for v in found]}, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
