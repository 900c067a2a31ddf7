#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""decant serve against nginx, each on one CPU with the client on another: requests a
second, CPU time of a request, throughput and CPU of a large file, thousands of kept
connections; and nginx and smbd with the shim against themselves with sendfile off.

    bench/serve.py [--quick] [--only NAME,...] [--dir DIR] [--json FILE] BUILD

Names: 1k 64k 1m few large herd shim-64k shim-1m smbd.

nginx runs with sendfile on, and with sendfile off and large buffers; with
open_file_cache, too, but only for comparison: it answers with a file that was
replaced up to a minute ago, and decant serve never does.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
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


class Failed(Exception):
    pass


def tree(pid):
    """A process and all that its threads have started."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
            pids += [p for child in f.read().split() for p in tree(int(child))]
    return pids


class Server:
    def __init__(self, name, command, port, cpu=SERVER_CPU):
        self.name, self.port = name, port
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(command, preexec_fn=on_cpu(cpu), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        process_group=0)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > until or self.process.poll() is not None:
                    self.stop()
                    raise Failed(f"{name} does not begin") from None
                time.sleep(0.05)
        time.sleep(0.5)
        self.processes = tree(self.process.pid)

    def cpu_seconds(self):
        total = 0
        for pid in self.processes:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0])
        return total / 1e9

    def private_bytes(self):
        with open(f"/proc/{self.processes[-1]}/smaps_rollup", encoding="ascii") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Private_")) * KIB

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            # Its group is its own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def decant_server(build, directory):
    port = free_port()
    return Server("decant", [os.path.join(build, "decant"), "serve", "-q", "--workers", "1",
                             "--log", "none", "--listen", f"127.0.0.1:{port}",
                             os.path.join(directory, "www")], port)


def nginx_server(name, words, directory, under=()):
    nginx = shutil.which("nginx", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if not nginx:
        raise Failed("nginx is not installed")
    port, short = free_port(), name.replace(" ", "-")
    conf = os.path.join(directory, f"{short}.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(CONF.format(dir=directory, name=short, port=port, words=words,
                            user="user root;" if os.geteuid() == 0 else ""))
    return Server(name, [*under, nginx, "-p", directory, "-c", conf], port)


class Servers:
    """Started when the first case needs them."""

    def __init__(self, build, directory):
        self.build, self.directory, self.all = build, directory, []

    def get(self):
        if not self.all:
            self.all.append(decant_server(self.build, self.directory))
            for name, words in NGINX.items():
                self.all.append(nginx_server(name, words, self.directory))
        return self.all

    def by_name(self, name):
        return next(s for s in self.get() if s.name == name)

    def stop(self):
        for s in self.all:
            s.stop()


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
        raise Failed(f"{server.name}: {text}")
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
        raise Failed(f"{server.name}: not all of {path} came")
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


class Herd:
    """Kept connections, and requests on them at a rate."""

    def __init__(self, build, server, n, path):
        before = server.private_bytes()
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            [os.path.join(build, "bench", "decant-bench-herd"), str(server.port), str(n), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=on_cpu(CLIENT_CPU))
        self.line()
        self.each = (server.private_bytes() - before) / n

    def line(self):
        line = self.process.stdout.readline().split()
        if not line:
            raise Failed("the herd died")
        return line

    def ask(self, rate, seconds):
        """99th percentile in ms"""
        self.process.stdin.write(f"{rate} {seconds}\n")
        self.process.stdin.flush()
        return float(self.line()[2]) / 1e3

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def herd(build, servers, n, rounds, seconds):
    """Of each (bytes of memory a connection, 99th percentiles at half of nginx's load)."""
    on, off, _ = NGINX
    servers = [s for s in servers if s.name in ("decant", on, off)]
    herds = [Herd(build, s, n, "1k") for s in servers]
    rows = {s.name: [] for s in servers}
    try:
        # What the slower nginx does with few connections, halved.
        rate = min(wrk(s, "1k", 1, 32)[0] for s in servers if s.name != "decant") / 2
        for h in herds:
            h.ask(rate / 2, 0.2)
        for _ in range(rounds):
            for s, h in zip(servers, herds):
                rows[s.name].append(h.ask(rate, seconds))
    finally:
        for h in herds:
            h.close()
    for s, h in zip(servers, herds):
        print(f"  herd  x{n:<5} {s.name:<20} {h.each:>6.0f} bytes each; at {rate:.0f}/s 99%: "
              f"{min(rows[s.name]):.2f} ms, median {statistics.median(rows[s.name]):.2f}")
    return {s.name: (h.each, rows[s.name]) for s, h in zip(servers, herds)}


# --------------------------------------------------- programs under the shim


SMB_CONF = """
[global]
    interfaces = 127.0.0.1/8
    bind interfaces only = yes
    smb ports = {port}
    server role = standalone server
    disable netbios = yes
    disable spoolss = yes
    load printers = no
    map to guest = Bad User
    guest account = root
    use sendfile = {sendfile}
    aio read size = 0
    log file = {dir}/log
    private dir = {dir}
    lock directory = {dir}
    state directory = {dir}
    cache directory = {dir}
    pid directory = {dir}
    ncalrpc dir = {dir}/ncalrpc
    usershare path =
[files]
    path = {files}
    guest ok = yes
    read only = yes
"""


def stable(build):
    return [os.path.join(build, "decant"), "run", "--policy=stable", "--mechanism=preload",
            "--report=/dev/null", "--"]


def shim_nginx(build, directory, path, rounds, seconds):
    on, off, _ = NGINX
    servers = [nginx_server("nginx with the shim", NGINX[on], directory, stable(build)),
               nginx_server("nginx without sendfile", NGINX[off], directory)]
    try:
        return requests(servers, path, rounds, seconds, 32)
    finally:
        for s in servers:
            s.stop()


def smb_server(build, directory, name, sendfile, shim):
    own, port = os.path.join(directory, name.replace(" ", "-")), free_port()
    os.makedirs(os.path.join(own, "ncalrpc"), exist_ok=True)
    conf = os.path.join(own, "conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(SMB_CONF.format(port=port, dir=own, sendfile="yes" if sendfile else "no",
                                files=os.path.join(directory, "www")))
    smbd = shutil.which("smbd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if not smbd or not shutil.which("smbclient"):
        raise Failed("samba or smbclient is not installed")
    if os.geteuid() != 0:
        raise Failed("smbd needs root")
    return Server(name, [*(stable(build) if shim else []), smbd, "--foreground",
                         "--no-process-group", f"--configfile={conf}"], port)


def smb_get(server, size):
    """bytes a second"""
    began = time.monotonic()
    # pylint: disable=subprocess-popen-preexec-fn
    done = subprocess.run(["smbclient", "//127.0.0.1/files", "-p", str(server.port), "-N", "-d0",
                           "-c", "get large /dev/null"], preexec_fn=on_cpu(CLIENT_CPU),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failed(f"{server.name}: {done.stdout.strip()}")
    return size / (time.monotonic() - began)


def smbd(build, directory, size, rounds):
    servers = []
    try:
        servers.append(smb_server(build, directory, "smbd with the shim", True, True))
        servers.append(smb_server(build, directory, "smbd with sendfile", True, False))
        servers.append(smb_server(build, directory, "smbd without sendfile", False, False))
        rows = {s.name: [] for s in servers}
        for _ in range(rounds):
            for s in servers:
                rows[s.name].append((smb_get(s, size),))
    finally:
        for s in servers:
            s.stop()
    for name, of in rows.items():
        print(f"  smbd        {name:<22} {best(of, 0, True) / GIB:>7.2f} GiB/s")
    return rows


# ----------------------------------------------------------------- verdicts


def speed(rows, one, other, at=0):
    return best(rows[one], at, True) / best(rows[other], at, True)


def of_requests(path, rows):
    on, off, cached = NGINX
    if path == "few":
        late = {name: best(of, 2, False) for name, of in rows.items()}
        yield at_most("99th percentile with few connections vs nginx",
                      late["decant"] / min(late[on], late[off]), 1.0)
        return
    cpu = best(rows[off], 1, False) / best(rows["decant"], 1, False)
    busy = max(of[0] * of[1] for of in rows["decant"]) / 1e6
    note = f"; for one of its CPU seconds: {cpu:.2f}; it was busy for {min(busy, 1):.0%}"
    if path == "1k":
        yield at_least("1 KiB, requests/s vs nginx",
                       min(speed(rows, "decant", on), speed(rows, "decant", off)), 1.3,
                       f"; vs open_file_cache, which may be a minute late: "
                       f"{speed(rows, 'decant', cached):.2f}{note}")
        return
    name = {"64k": "64 KiB", "1m": "1 MiB"}[path]
    yield at_least(f"{name}, requests/s vs nginx, sendfile off", speed(rows, "decant", off), 1.1,
                   note)
    yield at_least(f"{name}, requests/s vs nginx, sendfile on", speed(rows, "decant", on), 1.0)


def of_large(rows):
    on, off, _ = NGINX
    yield at_least("large file, throughput vs the better nginx",
                   min(speed(rows, "decant", on), speed(rows, "decant", off)), 1.0)
    cheap = {name: best(of, 1, False) for name, of in rows.items()}
    yield at_most("large file, CPU vs nginx, sendfile off", cheap["decant"] / cheap[off], 0.9,
                  f"; nginx with sendfile on, which copies nothing: {cheap[on] / cheap[off]:.2f}")


def of_herd(rows):
    on, off, _ = NGINX
    yield at_most("memory of a kept connection, bytes", rows["decant"][0], 2048,
                  f"; nginx: {min(rows[on][0], rows[off][0]):.0f}")
    yield at_most("99th percentile of kept connections at half load vs nginx",
                  min(rows["decant"][1]) / min(*rows[on][1], *rows[off][1]), 1.0)


def of_shim(what, rows):
    shim, *native, without = rows
    note = "".join(f"; its own sendfile: {speed(rows, name, without):.2f}" for name in native)
    yield at_least(f"{what} with the shim vs itself without sendfile",
                   speed(rows, shim, without), 1.0, note)


# -------------------------------------------------------------------- running


def make_files(directory, large_size):
    www = os.path.join(directory, "www")
    os.mkdir(www)
    for name, size in ("1k", KIB), ("64k", 64 * KIB), ("1m", MIB), ("large", large_size):
        with open(os.path.join(www, name), "wb") as f:
            for at in range(0, size, MIB):
                f.write(os.urandom(min(MIB, size - at)))
    # What was just written is about to be written again, as far as decant knows.
    time.sleep(11)


def cases(args, directory, servers):
    """Name, what measures it, what judges it."""
    rounds, seconds = (3, 1) if args.quick else (5, 3)
    size = (256 << 20) if args.quick else GIB
    build, n = args.build, 2000 if args.quick else 10000
    for path in "1k", "64k", "1m":
        yield (path, lambda path=path: requests(servers.get(), path, rounds, seconds, 32),
               lambda rows, path=path: of_requests(path, rows))
    yield ("few", lambda: requests(servers.get(), "1k", rounds, seconds, 2),
           lambda rows: of_requests("few", rows))
    yield "large", lambda: large(servers.get(), size, rounds), of_large
    yield "herd", lambda: herd(build, servers.get(), n, rounds, seconds), of_herd
    for path in "64k", "1m":
        yield (f"shim-{path}",
               lambda path=path: shim_nginx(build, directory, path, rounds, seconds),
               lambda rows, path=path: of_shim(f"nginx, {path},", rows))
    yield ("smbd", lambda: smbd(build, directory, size, rounds),
           lambda rows: of_shim("smbd", rows))


def measure(args, directory):
    make_files(directory, (256 << 20) if args.quick else GIB)
    servers, numbers, found = Servers(args.build, directory), {}, []
    try:
        for name, run, judge in cases(args, directory, servers):
            if args.only and name not in args.only.split(","):
                continue
            try:
                numbers[name] = run()
                found += judge(numbers[name])
            except (Failed, OSError) as e:
                print(f"  {name}: left out: {e}")
    finally:
        servers.stop()
    return numbers, found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="cases by their names, with commas in between")
    parser.add_argument("--dir")
    parser.add_argument("--json")
    parser.add_argument("build")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    if len(os.sched_getaffinity(0)) < 2 or not shutil.which("wrk"):
        print("serve: needs two CPUs, nginx and wrk: left out")
        return 0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("decant serve and nginx, each on one CPU, and their client on another", flush=True)
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
