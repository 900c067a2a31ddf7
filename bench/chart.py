# SPDX-License-Identifier: MIT
"""The chart: throughput and CPU time of the main cases, as SVG by hand.

It has no background, so that it can be read in the dark too."""

from stats import fastest

# One colour for each kind of mover; they differ in lightness too.
SERIES = [
    ("sendfile", "#8c8c94", lambda c: c.get("sendfile")),
    ("splice", "#b7a36a", lambda c: c.get("splice")),
    ("mmap+send", "#7d9ec0", lambda c: c.get("mmap+send")),
    ("read+send (best)", "#c27a5e", lambda c: fastest(c.some("read+send"))),
    ("decant, STABLE", "#1f9e7a", lambda c: c.get("decant")),
]

GROUPS = [
    ("file-tcp hot ext4 64 KiB", "64 KiB"),
    ("file-tcp hot ext4 1 MiB", "1 MiB"),
    ("file-tcp hot ext4 1 GiB", "1 GiB"),
    ("file-tcp hot ext4 1 MiB, 16 at once", "16 x 1 MiB"),
    ("file-tcp hot tmpfs 1 MiB", "1 MiB, tmpfs"),
    ("file-tcp cold ext4 1 MiB", "1 MiB, cold"),
    ("file-tcp cold ext4 1 GiB", "1 GiB, cold"),
]

WIDTH, LEFT, TOP, PANEL, GAP = 960, 56, 76, 210, 76
BAR, GROUP_GAP = 20, 24

# Grey is read on any ground; who tells of a colour scheme gets more contrast.
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #747c86; }
.title { font-size: 17px; font-weight: 600; }
.panel { font-size: 13px; font-weight: 600; }
.value { font-size: 9.5px; text-anchor: middle; }
.group { text-anchor: middle; }
.tick { text-anchor: end; }
.soft { opacity: .8; }
line { stroke: #747c86; stroke-opacity: .3; }
@media (prefers-color-scheme: light) { text { fill: #24292f; } }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }
"""


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text(x, y, words, css=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}">{escape(words)}</text>'


def step(top):
    """A round distance of at most five lines."""
    unit = 1.0
    while top / unit > 5:
        for factor in (2, 2.5, 2):
            unit *= factor
            if top / unit <= 5:
                break
    return unit


def panel(cases, y, title, value, unit):
    out = [text(LEFT, y - 14, title, "panel")]
    numbers = {(n, s): value(m) for n, (case, _) in enumerate(cases)
               for s, (_, _, pick) in enumerate(SERIES) if (m := pick(case))}
    top = max(numbers.values(), default=1) * 1.08
    group = (WIDTH - LEFT - 10) / max(len(cases), 1)
    bar = min(BAR, (group - GROUP_GAP / 2) / len(SERIES))
    tick = 0.0
    while tick <= top:
        at = y + PANEL - tick / top * PANEL
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(text(LEFT - 6, at + 4, f"{tick:g}", "tick soft"))
        tick += step(top)
    out.append(text(WIDTH - 10, y - 14, unit, "tick soft"))
    for n, (_, label) in enumerate(cases):
        middle = LEFT + group * (n + 0.5)
        out.append(text(middle, y + PANEL + 18, label, "group"))
        for s, (_, colour, _) in enumerate(SERIES):
            if (n, s) not in numbers:
                continue
            number = numbers[n, s]
            high = number / top * PANEL
            x = middle + (s - len(SERIES) / 2) * bar
            out.append(f'<rect x="{x + 1:.1f}" y="{y + PANEL - high:.1f}" width="{bar - 2:.1f}" '
                       f'height="{high:.1f}" rx="2" fill="{colour}"/>')
            shown = f"{number:.1f}" if number < 100 else f"{number:.0f}"
            out.append(text(x + bar / 2, y + PANEL - high - 4, shown, "value"))
    return out


def legend(y):
    out, x = [], LEFT
    for name, colour, _ in SERIES:
        out.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" fill="{colour}"/>')
        out.append(text(x + 18, y, name))
        x += 44 + 8 * len(name)
    return out


def draw(machine, cases):
    by_name = {c.name: c for c in cases}
    shown = [(by_name[name], label) for name, label in GROUPS if name in by_name]
    height = TOP + 2 * PANEL + GAP + 60
    where = (f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel'].split('-')[0]}, "
             "loopback; medians")
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" height="{height}" role="img">',
           "<title>A file sent over TCP: throughput and CPU time</title>",
           f"<style>{STYLE}</style>",
           text(LEFT, 24, "A file sent over TCP", "title"), text(LEFT + 210, 24, where, "soft")]
    out += legend(46)
    out += panel(shown, TOP + 10, "Throughput", lambda m: m.speed(), "GB/s, more is better")
    out += panel(shown, TOP + PANEL + GAP, "CPU time of the sending side",
                 lambda m: m.cpu_ns(), "ns per KiB, less is better")
    return "\n".join(out + ["</svg>", ""])
