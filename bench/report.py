#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tables, verdicts and a chart of what the benchmark measured.

	bench/report.py RESULTS.json [--svg FILE] [--verdicts] [--markdown]
"""

import argparse
import sys

import chart
import goals
import stats


def table(case):
    print(f"\n{case.name}  ({case.transfers} transfers of {size(case.piece)}, "
          f"{case.rounds()} rounds)")
    print(f"  {'':26} {'GB/s':>7} {'best':>7} {'CPU ns/KiB':>11} {'least':>7} {'us each':>11}")
    last = None
    for mover in case.movers:
        if last not in (None, mover.kind):
            print()
        last = mover.kind
        cpu = f"{mover.cpu_ns():11.1f} {mover.cpu_ns_min():7.1f}" if any(mover.cpu) else " " * 19
        print(f"  {mover.name:26} {mover.speed():7.2f} {mover.speed_max():7.2f} {cpu} "
              f"{mover.each_us():11.2f}{note(mover)}")


def note(mover):
    told = []
    if mover.kind == "decant":
        told.append("by " + mover.route)
    if any(mover.snapshot):
        told.append(f"SNAPSHOTTED after {mover.snapshot_us():.2f} us")
    return "  " + ", ".join(told) if told else ""


def size(n):
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= factor:
            return f"{n / factor:g} {unit}"
    return f"{n} bytes"


# What a page has room for: the name of a column, and who is in it.
COLUMNS = [
    ("sendfile", lambda c: c.get("sendfile")),
    ("splice", lambda c: c.get("splice")),
    ("mmap+send", lambda c: c.get("mmap+send")),
    ("read+send, best", lambda c: stats.fastest(c.some("read+")) or c.get("send")),
    ("decant", lambda c: c.get("decant")),
]


def markdown(cases):
    print("| GB/s (CPU ns/KiB) | " + " | ".join(name for name, _ in COLUMNS) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    for case in cases:
        cells = []
        for name, pick in COLUMNS:
            mover = pick(case)
            text = f"{mover.speed():.2f} ({mover.cpu_ns():.0f})" if mover else ""
            cells.append(f"**{text}** {mover.route}" if mover and name == "decant" else text)
        print(f"| {case.name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results")
    parser.add_argument("--svg")
    parser.add_argument("--verdicts", action="store_true", help="no tables")
    parser.add_argument("--markdown", action="store_true", help="one table, for a page")
    args = parser.parse_args()
    machine, cases = stats.load(args.results)
    print(f"decant {machine['decant']}, {machine['date']}: {machine['cpu']}, "
          f"{machine['cpus']} CPUs, {size(machine['memory_bytes'])}, "
          f"Linux {machine['kernel']}; GB = 10^9 bytes; medians")
    if args.markdown:
        print()
        markdown(cases)
    elif not args.verdicts:
        for case in cases:
            table(case)
    found = goals.verdicts(cases)
    print("\nGoals" if found else "\nNo case for a goal was measured")
    for verdict in found:
        print(f"  {verdict}")
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as file:
            file.write(chart.draw(machine, cases))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError: # of less, or head
        sys.exit(1)
