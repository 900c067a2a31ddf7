#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cores of real programs, as other programs read them; and real programs under
load while cores are taken of them, as their clients see it.

DECANT_TEST_FULL=1: each is captured 100 times.  DECANT_TEST_ONLY=text: only the
parts whose name holds it.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap  # noqa: E402

LIB = os.path.join(tap.SOURCE, "tests", "lib")
VICTIMS = os.path.join(tap.BUILD, "tests", "victims")
FULL = os.environ.get("DECANT_TEST_FULL") == "1"
CAPTURES = 100 if FULL else 5
STRATEGIES = ["precopy", "fork", "stop", "auto"]
SLOW = int(os.environ.get("TAP_SLOW", "1"))


def die_with_us():
    """PR_SET_PDEATHSIG, so that nothing is left when this test is killed."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(*command, limit=60, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=limit * SLOW, check=False, **more)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def start(*command, **more):
    more.setdefault("stdout", subprocess.DEVNULL)
    more.setdefault("stderr", subprocess.STDOUT)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_us, **more)


def wait_for(what, condition, seconds=30):
    until = time.monotonic() + seconds * SLOW
    while not condition():
        if time.monotonic() > until:
            tap.bail(f"{what}: it does not come")
        time.sleep(0.02)


def stop(process):
    process.kill()
    process.wait()


def capture(pid, path, strategy="auto", by="decant"):
    """The text of what went wrong, or None."""
    if os.path.exists(path):
        os.unlink(path)
    if by == "gcore":
        status, text = run("gcore", "-o", path, str(pid))
        if status == 0:
            os.rename(f"{path}.{pid}", path)
    else:
        status, text = run(tap.DECANT, "core", str(pid), "-o", path, "--strategy", strategy,
                           "--max-pause", "10s", limit=30)
    return None if status == 0 else f"status {status}: {text}"


def gdb(script, program, core):
    return run("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-x",
               os.path.join(LIB, script), program, core)


# --------------------------------------------------- what debuggers say of it


def gdb_state(program, core):
    _, text = gdb("gdb_state.py", program, core)
    for line in text.splitlines():
        if line.startswith("STATE "):
            return json.loads(line[6:]), text
    return None, text


def victim(*words):
    process = start(os.path.join(VICTIMS, words[0]), *words[1:])
    time.sleep(0.4)
    return process


def known_to_old_gdb(name, value):
    """Before version 14 it takes the vector registers of every processor to lie
    where Intel has them, in the kernel's cores too; its own gcore does as well."""
    return not (value and "<unavailable>" in value and re.match(r"k\d|[xyz]mm\d", name))


def differences(ours, theirs):
    """What gdb says of two cores of the same stop; file names do not count."""
    found = []
    if sorted(ours["threads"]) != sorted(theirs["threads"]):
        return [f"threads {sorted(ours['threads'])} and {sorted(theirs['threads'])}"]
    for tid, thread in theirs["threads"].items():
        mine = ours["threads"][tid]
        for name, value in thread["registers"].items():
            got = mine["registers"].get(name)
            if got != value and known_to_old_gdb(name, got):
                found.append(f"thread {tid} {name}: {got}, not {value}"[:200])
        if mine["frames"] != thread["frames"]:
            found.append(f"thread {tid}: frames {mine['frames']}, not {thread['frames']}")
    for key in ("auxv", "libraries"):
        if ours[key] != theirs[key]:
            found.append(f"{key}:\n{ours[key]}, not\n{theirs[key]}")
    missing = set(re.findall(r"0x\S+ +0x\S+ +0x\S+ +0x\S+ +/\S+", theirs["mappings"]))
    missing -= set(re.findall(r"0x\S+ +0x\S+ +0x\S+ +0x\S+ +/\S+", ours["mappings"]))
    return found + [f"mapping {line} is missing" for line in sorted(missing)]


def debuggers(directory):
    program = os.path.join(VICTIMS, "victim-life")
    process = victim("victim-life", "still", "--n", "4")
    by_gcore = os.path.join(directory, "by-gcore")
    tap.none(list(filter(None, [capture(process.pid, by_gcore, by="gcore")])), "gcore takes a core")
    theirs, text = gdb_state(program, by_gcore)
    tap.ok(theirs and len(theirs["threads"]) == 5, "gdb reads it", text)
    for strategy in STRATEGIES:
        core = os.path.join(directory, "still")
        tap.none(list(filter(None, [capture(process.pid, core, strategy)])),
                 f"decant takes one by {strategy}")
        ours, text = gdb_state(program, core)
        if not tap.ok(ours, "gdb reads it", text):
            continue
        names = [f["name"] for t in ours["threads"].values() for f in t["frames"]]
        tap.ok({"still_inner", "still_outer", "still_run", "main"} <= set(names),
               "with the functions", names)
        tap.none(differences(ours, theirs), "threads, registers, locals, auxv, libraries and "
                                            "mappings as in gcore's")
        # The victim's shared memory has a file that nobody can open.
        tap.none([line for line in text.splitlines() if "warning" in line.lower() and not
                  re.search(r"\(deleted\)|reg-xstate/.* too small", line)],
                 "and warns of nothing")
        elfutils(core, program)
        lldb(core, program)
    # What was compared can differ.
    theirs["threads"][str(process.pid)]["registers"]["rip"] = "0x1"
    tap.ok(differences(ours, theirs), "control: another register is seen")
    stop(process)


def elfutils(core, program):
    status, text = run("eu-readelf", "--notes", core)
    tap.ok(status == 0 and not re.search(r"invalid|bad |cannot|corrupt|error", text, re.I),
           "eu-readelf --notes has no complaint", text[-2000:])
    status, text = run("eu-readelf", "-hl", core)
    tap.ok(status == 0 and "LOAD" in text, "nor about headers", text[-2000:])
    status, text = run("eu-stack", "--core", core, "-e", program)
    tap.ok("still_inner" in text and "still_outer" in text and text.count("TID ") == 5,
           "eu-stack walks all stacks", f"status {status}\n{text}")
    status, text = run("eu-unstrip", "-n", f"--core={core}")
    tap.ok(status == 0 and len(re.findall(r"[0-9a-f]{40}@", text)) >= 3,
           "eu-unstrip finds build ids", text)


def lldb(core, program):
    status, text = run("lldb", "-x", "-b", "-c", core, program, "-o", "thread backtrace all")
    tap.ok(status == 0 and "still_inner" in text and len(re.findall(r"thread #\d", text)) >= 5,
           "lldb walks all stacks", text[-3000:])


# ------------------------------------------------------------------ languages

PYTHON = """
import sys, threading, zlib
def python_inner(n):
    data = bytes(range(256)) * 64
    want = zlib.crc32(data)
    while True:
        copy = [data[i:i + 64] for i in range(0, len(data), 64)]
        if zlib.crc32(b"".join(copy)) != want:
            print("WRONG", flush=True)
        sys.stdout.write("." if n == 0 else "")
        n = (n + 1) % 2000
def python_outer(n):
    return python_inner(n)
threading.Thread(target=python_outer, args=(1,), daemon=True).start()
print("ready", flush=True)
python_outer(0)
"""

JAVA = """
public class Victim {
    static volatile boolean end;
    static long wrong;
    static long javaInner(long seed) {
        int[] data = new int[4096];
        for (int i = 0; i < data.length; i++)
            data[i] = (int) (seed * 31 + i);
        long sum = 0;
        for (int v : data)
            sum += v;
        long want = 0;
        for (int i = 0; i < data.length; i++)
            want += (int) (seed * 31 + i);
        return sum - want;
    }
    static void javaOuter(int n) {
        for (long seed = n; !end; seed++)
            if (javaInner(seed) != 0)
                wrong++;
    }
    public static void main(String[] args) throws Exception {
        Thread[] threads = new Thread[2];
        for (int i = 0; i < 2; i++) {
            int n = i;
            threads[i] = new Thread(() -> javaOuter(n), "worker-" + i);
            threads[i].start();
        }
        System.out.println("ready");
        while (!new java.io.File(args[0]).exists())
            Thread.sleep(5);
        end = true;
        for (Thread t : threads)
            t.join();
        System.out.println("wrong " + wrong);
    }
}
"""

NODE = """
const http = require('http'), crypto = require('crypto');
const body = crypto.randomBytes(3000).toString('hex');
const sum = crypto.createHash('sha1').update(body).digest('hex');
function nodeAnswer(request, response) {
    const copy = Buffer.from(body).toString();
    if (crypto.createHash('sha1').update(copy).digest('hex') !== sum)
        console.log('WRONG');
    response.end(copy);
}
http.createServer(nodeAnswer).listen(+process.argv[2], '127.0.0.1', () => console.log('ready'));
"""


def captures(name, pids, directory, interval=0.05):
    """Capture one of pids() after the other; the last core remains."""
    core = os.path.join(directory, "core")
    failed = []
    began = time.monotonic()
    for i in range(CAPTURES):
        alive = pids()
        why = capture(alive[i % len(alive)], core, STRATEGIES[i % len(STRATEGIES)])
        if why:
            failed.append(f"capture {i} ({STRATEGIES[i % len(STRATEGIES)]}): {why}")
        time.sleep(interval)
    tap.none(failed, f"{name}: {CAPTURES} cores are taken")
    tap.diag(f"{name}: {(time.monotonic() - began) / CAPTURES * 1000:.0f} ms each")
    return core


def said(process):
    process.kill()
    text = process.communicate()[0].decode("utf-8", "replace")
    return text


def python3(directory):
    process = start("/usr/bin/python3", "-c", PYTHON, stdout=subprocess.PIPE)
    tap.ok(process.stdout.readline() == b"ready\n", "python3 runs")
    core = captures("python3", lambda: [process.pid], directory)
    tap.ok(process.poll() is None, "python3 lives")
    _, text = gdb("gdb_python.py", os.path.realpath("/usr/bin/python3"), core)
    names = re.findall(r"^PYTHON (\S+)$", text, re.M)
    tap.ok(names[-3:] == ["python_inner", "python_outer", "<module>"] or
           names[-4:-1] == ["python_inner", "python_outer", "<module>"],
           "its own frames are read from the core", f"{names}\n{text[-1500:]}")
    text = said(process)
    tap.ok("WRONG" not in text and text.count(".") > 0, "it computed right", text[-300:])


def java(directory):
    source = os.path.join(directory, "Victim.java")
    end = os.path.join(directory, "end")
    with open(source, "w", encoding="utf-8") as file:
        file.write(JAVA)
    process = start("java", "-Xmx64m", "-Xss512k", "-XX:-UsePerfData", source, end,
                    stdout=subprocess.PIPE)
    tap.ok(process.stdout.readline() == b"ready\n", "a JVM runs")
    core = captures("JVM", lambda: [process.pid], directory)
    tap.ok(process.poll() is None, "it lives")
    program = os.path.realpath(shutil.which("java"))
    status, text = run("jhsdb", "jstack", "--exe", program, "--core", core)
    tap.ok("worker-0" in text and "javaOuter" in text, "jhsdb shows its threads",
           f"status {status}\n{text[-3000:]}")
    with open(end, "w", encoding="utf-8"):
        pass
    try:
        text = process.communicate(timeout=30 * SLOW)[0].decode()
    except subprocess.TimeoutExpired:
        text = "it does not end"
    tap.ok(process.returncode == 0 and "wrong 0" in text, "it computed right, and ended", text)
    if process.poll() is None:
        stop(process)


# ----------------------------------------------------------------- under load


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Load:
    """A client, run again and again until it is told to end."""

    def __init__(self, command, wrong, **more):
        self.command, self.wrong, self.more = command, wrong, more
        self.end = threading.Event()
        self.errors, self.runs = [], 0
        self.thread = threading.Thread(target=self.go)
        self.thread.start()

    def go(self):
        while not self.end.is_set() or not self.runs:
            try:
                status, text = run(*self.command, **self.more)
            except subprocess.TimeoutExpired:
                status, text = -1, "it hangs"
            self.runs += 1
            if status != 0 or re.search(self.wrong, text):
                self.errors.append(f"run {self.runs}, status {status}: {text[-600:]}")

    def judge(self, name):
        self.end.set()
        self.thread.join()
        tap.none(self.errors, f"{name}: its client saw no error in {self.runs} runs")


def connects(address):
    try:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as s:
            s.connect(address)
    except OSError:
        return False
    return True


def redis(directory):
    at = os.path.join(directory, "redis.sock")
    server = start("redis-server", "--port", "0", "--unixsocket", at, "--save", "",
                   "--appendonly", "no", "--dir", directory)
    wait_for("redis-server", lambda: connects(at))
    load = Load(["redis-benchmark", "-s", at, "-q", "-n", "40000", "-c", "20", "-r", "20000", "-d",
                 "300", "-t", "set,get,lpush,lpop"], r"(?i)error|reset|closed")
    core = captures("redis-server", lambda: [server.pid], directory)
    load.judge("redis-server")
    tap.ok(server.poll() is None, "it lives")
    status, text = run("gdb", "-nx", "-batch", "-ex", "thread apply all bt 5",
                       os.path.realpath("/usr/bin/redis-server"), core)
    tap.ok(text.count("#0 ") >= 4 or text.count("#0  ") >= 4, "gdb shows its threads",
           f"status {status}\n{text[-1500:]}")
    stop(server)


def children_of(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                rest = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(rest[1]) == pid and rest[0] not in "ZX":
            found.append(int(name))
    return found


def postgres(_):
    """It does not run as root, and its user cannot reach our own directory."""
    with tempfile.TemporaryDirectory(prefix="decant-postgres-", dir="/var/tmp") as directory:
        postgres_in(directory)


def postgres_in(directory):
    programs = "/usr/lib/postgresql/15/bin"
    data = os.path.join(directory, "data")
    user = [] if os.geteuid() else ["setpriv", "--reuid=postgres", "--regid=postgres",
                                    "--clear-groups"]
    os.makedirs(data)
    shutil.chown(data, "postgres")
    os.chmod(directory, 0o777)
    status, text = run(*user, f"{programs}/initdb", "-D", data, "-A", "trust", "--no-sync",
                       cwd="/")
    tap.ok(status == 0, "initdb", text)
    server = start(*user, f"{programs}/postgres", "-D", data, "-k", directory, "-c",
                   "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "fsync=off", cwd="/")
    wait_for("postgres", lambda: run(f"{programs}/pg_isready", "-q", "-h", directory)[0] == 0)
    client = [f"{programs}/pgbench", "-h", directory, "-U", "postgres", "postgres"]
    status, text = run(*client, "-i", "-q", "-s", "1")
    tap.ok(status == 0, "pgbench -i", text)
    load = Load([*client, "-c", "6", "-j", "2", "-T", "2" if not FULL else "10"],
                r"(?i)error|fatal|abort|failed transactions: [1-9]")
    time.sleep(0.3)

    def pids():
        """The postmaster, the processes that it always has, and a client's."""
        return [server.pid, *children_of(server.pid)[:6]]

    captures("PostgreSQL", pids, directory, 0.1)
    load.judge("PostgreSQL")
    tap.ok(server.poll() is None, "it lives")
    server.send_signal(signal.SIGINT)
    try:
        tap.equal(server.wait(30 * SLOW), 0, "and ends when told to")
    except subprocess.TimeoutExpired:
        stop(server)
        tap.ok(False, "and ends when told to")


def nginx(directory):
    port = free_port()
    with open(os.path.join(directory, "page"), "wb") as file:
        file.write(os.urandom(20000))
    os.chmod(directory, 0o755)
    config = os.path.join(directory, "nginx.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""daemon off; pid {directory}/pid; error_log {directory}/log; user root;
            worker_processes 2; events {{ worker_connections 200; }}
            http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {directory}; }} }}""")
    server = start("nginx", "-c", config, "-p", directory)
    wait_for("nginx", lambda: connects(("127.0.0.1", port)))
    load = Load(["wrk", "-t", "1", "-c", "20", "-d", "2s" if not FULL else "10s",
                 f"http://127.0.0.1:{port}/page"], r"Socket errors|Non-2xx")
    captures("nginx", lambda: [server.pid, *children_of(server.pid)], directory)
    load.judge("nginx")
    tap.ok(server.poll() is None and len(children_of(server.pid)) == 2, "it lives")
    server.terminate()
    server.wait()


def node(directory):
    port = free_port()
    program = os.path.join(directory, "victim.js")
    with open(program, "w", encoding="utf-8") as file:
        file.write(NODE)
    server = start("node", program, str(port), stdout=subprocess.PIPE)
    tap.ok(server.stdout.readline() == b"ready\n", "node runs")
    load = Load(["wrk", "-t", "1", "-c", "10", "-d", "2s" if not FULL else "10s",
                 f"http://127.0.0.1:{port}/"], r"Socket errors|Non-2xx")
    captures("node", lambda: [server.pid], directory)
    load.judge("node")
    tap.ok(server.poll() is None, "it lives")
    text = said(server)
    tap.ok("WRONG" not in text, "it computed right", text)


PARTS = [debuggers, python3, java, redis, postgres, nginx, node]


def main():
    tap.need_root()
    only = os.environ.get("DECANT_TEST_ONLY", "")
    for part in PARTS:
        if only not in part.__name__:
            continue
        directory = tempfile.mkdtemp(prefix="core-", dir=os.environ.get("TMPDIR"))
        began = time.monotonic()
        try:
            part(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        tap.diag(f"{part.__name__}: {time.monotonic() - began:.1f} s")
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
