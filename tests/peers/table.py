#!/usr/bin/env python3
"""The table of `scripts/peers.sh`: for each work and peer the median rows a second, how far the rounds lie apart
((most - least) / median), and how many times a peer's rows ours are.

    table.py WORKS FOUND   both as printed by `peers works` and the runs
"""

import collections
import statistics
import sys

works, found = sys.argv[1:]
speeds, sizes = collections.defaultdict(list), {}
for line in open(found):
    work, who, speed, size = line.rstrip("\n").split("\t")
    speeds[work, who].append(float(speed))
    sizes[work, who] = int(size) if size else None


def told(key):
    speed = speeds[key]
    median = statistics.median(speed)
    spread = f"±{100 * (max(speed) - min(speed)) / median / 2:.0f} %" if len(speed) > 1 else "once"
    size = sizes[key]
    return median, f"{median:,.0f}", spread, f"{size:,}" if size else ""


head = ("", "rows/s", "", "bytes", "model is", "verdict is", "goal")
print("{:14} {:>12} {:>7} {:>12} {:>9} {:>10} {:>5}".format(*head))
for line in open(works):
    work, goal, name = line.rstrip("\n").split("\t")
    peers = [who for other, who in speeds if other == work and who not in ("model", "verdict")]
    if (work, "model") not in speeds:
        continue
    print(name)
    ours = [told((work, who)) for who in ("model", "verdict")]
    for who, (_, speed, spread, size) in zip(("ours: model", "ours: verdict"), ours):
        print(f"  {who:12} {speed:>12} {spread:>7} {size:>12}")
    medians = [(told((work, who)), who) for who in peers]
    for (median, speed, spread, size), who in sorted(medians, reverse=True):
        ratios = [f"{mine[0] / median:.1f} x" for mine in ours]
        fastest = max(medians)[1] == who
        wanted = f"{float(goal):.0f} x" if fastest else ""
        print(f"  {who:12} {speed:>12} {spread:>7} {size:>12} {ratios[0]:>9} {ratios[1]:>10} {wanted:>5}")
