# SPDX-License-Identifier: MIT
"""What decant promises of its speed, and whether the measured cases keep it."""

from stats import MIB, cheapest, cpu_ratio, fastest, ratio, speed_ratio

# Two runs of the very same loop differ by so much.
# The others write the same few MiB of memory, which stay in the cache, again and again.
FIO_MEMORY = "fio direct 4 MiB x 256"
NOISE = 0.03


class Verdict:
    def __init__(self, good, text):
        self.good = good
        self.text = text
        self.word = "ok    " if good else "MISSED"

    def __str__(self):
        return f"{self.word} {self.text}"

    def as_note(self):
        """Where waking the receiver up is most of what is measured."""
        self.word = "      " if self.good else "less  "
        return self


def at_most(what, value, goal, note=""):
    return Verdict(value <= goal, f"{what}: {value:.2f} (goal <= {goal:.2f}){note}")


def at_least(what, value, goal, note=""):
    return Verdict(value >= goal, f"{what}: {value:.2f} (goal >= {goal:.2f}){note}")


def stable_to_tcp(case):
    """Hot file to TCP, STABLE, 1 MiB and more."""
    decant = case.get("decant")
    reads = case.some("read+send")
    loops = case.some("read+send", "sendfile", "splice", "mmap+send")
    if not (decant and reads and case.sink == "tcp") or case.cold or case.piece < MIB:
        return []
    read, cheap, best = fastest(reads), cheapest(reads), fastest(loops)
    floor = case.get("sendfile")
    note = f"; sendfile, which copies nothing: {cpu_ratio(floor, cheap):.2f}" if floor else ""
    return [
        at_least(f"{case.name}: throughput vs {read.name}", speed_ratio(decant, read), 1 - NOISE),
        at_most(f"{case.name}: CPU per byte vs {cheap.name}", cpu_ratio(decant, cheap), 0.8, note),
        at_least(f"{case.name}: throughput vs best loop ({best.name})",
                 speed_ratio(decant, best), 0.9),
    ]


def small(case):
    """4 KiB: from decant_submit() until decant_wait() has told of SNAPSHOTTED."""
    decant = case.get("decant submit") or (case.at_once > 1 and case.get("decant"))
    pair = case.get("read+send 64 KiB")
    if not (decant and pair) or case.piece != 4096 or case.cold or case.sink == "pipe":
        return []
    note = (f"; {decant.each_us():.2f} us vs {pair.each_us():.2f} us, "
            f"CPU {cpu_ratio(decant, pair):.2f}")
    return [at_most(f"{case.name}: submit to SNAPSHOTTED vs pread+send",
                    ratio(decant.seconds, pair.seconds), 1.3, note)]


def disk(case):
    """What fio's best sequential job gets from the same disk."""
    decant, best = case.get("decant"), fastest(case.some("fio"))
    if not (decant and best):
        return []
    same, note = case.get(FIO_MEMORY), ""
    if same and same is not best:
        note = f"; vs one that writes 1 GiB of memory, too: {speed_ratio(decant, same):.2f}"
    return [at_least(f"{case.name}: throughput vs {best.name}", speed_ratio(decant, best), 0.9,
                     note)]


def chosen(case):
    """The planner's choice against the best route that it was allowed."""
    decant, best = case.get("decant"), fastest(case.some("route", kind="route"))
    if not (decant and best):
        return None
    value = speed_ratio(decant, best)
    forced = case.get("route " + decant.route)
    # Its route forced is the same program: what differs between them is noise.
    if forced:
        value = max(value, speed_ratio(forced, best))
    return at_least(f"{case.name}: planner took {decant.route}, best is {best.name[6:]}",
                    value, 0.9)


def verdicts(cases):
    found = [v.as_note() if case.sleeping else v for case in cases
             for check in (stable_to_tcp, small, disk) for v in check(case)]
    plans = [v for v in map(chosen, cases) if v]
    wrong = [v for v in plans if not v.good]
    if plans:
        found.append(Verdict(not wrong, f"planner within 10 % of the best allowed route: "
                                        f"{len(plans) - len(wrong)} of {len(plans)} cases"))
    return found + wrong
