#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The README's commands run, their output looks as it shows it, and its program
compiles and does what it says.

Blocks marked "console" are run in one shell, in an empty directory: lines that
start with "$ " are commands, what follows them is (part of) their output, "..."
stands for lines left out.  Blocks marked "sh" are not run, "c" is compiled.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tap  # noqa: E402

LIMIT = 60 * int(os.environ.get("TAP_SLOW", "1"))
PORT = "9000"


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.S | re.M)


def commands(block):
    """(command, lines of output that are shown)."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and line and line != "...":
            found[-1][1].append(line)
    return found


def shape(line):
    """What of a line of output is the same on every machine: its first cell,
    without numbers; or None where the line goes on with the one before."""
    if line.startswith("    "):
        return None
    cell = re.split(r" {2,}|: ", line.strip())[0]
    cell = re.sub(r"[0-9a-f]{16,}", "H", cell)
    return re.sub(r"\d[\d.]*( [KMG]i?B| [mnu]?s)?(/s)?", "N", cell)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def script(pairs):
    """One shell script; the output of each command between marks.  What runs in
    the background is waited for until it listens."""
    lines = ["exec 2>&1"]
    for number, (command, _) in enumerate(pairs):
        lines.append(f"echo; echo '@{number}'")
        if command.endswith("&"):
            lines.append(f"{{ {command[:-1]}; }} >background 2>&1 &")
            lines.append("for i in {1..200}; do grep -q listening background && break; "
                         "sleep 0.05; done; cat background")
        else:
            lines.append(command)
        lines.append(f"status=$?; echo; echo '@status {number}' $status")
    lines.append("wait; echo; echo @background; cat background")
    return "\n".join(lines)


def run(pairs, directory):
    """[(status, output)], and what the background said."""
    text = script(pairs).replace(PORT, free_port())
    env = dict(os.environ, NO_COLOR="1", XDG_CACHE_HOME=directory,
               PATH=os.path.dirname(tap.DECANT) + ":" + os.environ["PATH"])
    done = subprocess.run(["timeout", "-k", "5", str(LIMIT), "bash", "-c", text], cwd=directory,
                          env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    results = []
    for number in range(len(pairs)):
        found = re.search(rf"^@{number}\n(.*?)^@status {number} (\d+)$", done.stdout, re.S | re.M)
        results.append((int(found[2]), found[1]) if found else (-1, done.stdout))
    return results, done.stdout.partition("@background\n")[2]


def unlike(shown, output):
    """Lines that are shown and of whose kind there is none."""
    real = {shape(line) for line in output.splitlines()}
    return [line for line in shown if shape(line) is not None and shape(line) not in real]


def check_commands(text):
    pairs = [pair for block in blocks(text, "console") for pair in commands(block)]
    tap.ok(len(pairs) > 5, "the README has commands", f"{len(pairs)} of them")
    with tempfile.TemporaryDirectory() as directory:
        results, late = run(pairs, directory)
    for (command, shown), (status, output) in zip(pairs, results):
        # A refusal is shown as one.
        refused = any(re.match(r"no route |decant: (?!listening)", line) for line in shown)
        tap.equal(status, 1 if refused else 0, command)
        tap.none(unlike(shown, output + late), "  its output is as shown")
    tap.ok(unlike(["no such   line"], results[0][1]), "control: output that is not there is seen")
    tap.equal(run([("decant copy absent new", [])], ".")[0][0][0], 1,
              "control: a command that fails is seen")


def check_program(text):
    programs = blocks(text, "c")
    tap.equal(len(programs), 1, "the README has a program")
    with tempfile.TemporaryDirectory() as directory:
        source, program = os.path.join(directory, "x.c"), os.path.join(directory, "x")
        with open(source, "w", encoding="utf-8") as file:
            file.write(programs[0])
        done = subprocess.run(
            ["gcc", "-Wall", "-Wextra", "-Werror", "-I" + os.path.join(tap.SOURCE, "include"),
             source, "-o", program, "-L" + tap.BUILD, "-ldecant", "-Wl,-rpath," + tap.BUILD,
             "-Wl,--allow-shlib-undefined"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if not tap.ok(done.returncode == 0, "  which compiles", done.stdout):
            return
        done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False)
        tap.equal(done.returncode, 0, "  and runs")
        tap.diag(done.stdout)
        with open(source, "rb") as file:
            data = file.read()
        done = subprocess.run(f"'{program}' <'{source}' | cat", shell=True, timeout=LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        tap.equal(done.stdout, data, "  and moves the bytes")


def check_links(text):
    paths = re.findall(r"\]\(([^)#:]+)\)", text)
    tap.ok(len(paths) > 3, "the README names other files")
    tap.none([p for p in paths if not os.path.exists(os.path.join(tap.SOURCE, p))],
             "  which exist")


def main():
    with open(os.path.join(tap.SOURCE, "README.md"), encoding="utf-8") as file:
        text = file.read()
    check_commands(text)
    check_program(text)
    check_links(text)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
