"""Rows a second of our drift tests and of River's, on the same values and by turns, so that both see the same load of
the machine: for each the median and the spread (half of the middle half over the median), and the median of the
turns' ratios against its goal. Run by `./dev bench drift`.
"""
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from river import drift

# Test, River's class, rows of a lap (about a millisecond) and how many times as fast ours is to be.
PEERS = [
    ("ADWIN", drift.ADWIN, 4800, 2),
    ("Page-Hinkley", drift.PageHinkley, 1440, 50),
    ("KSWIN", drift.KSWIN, 8, 100),
]
ROWS = 14_400
SECONDS_MIN = 0.2


def river(make, lap, values):
    """The median of laps, as ours tells: what else runs on the machine stops a few of them only."""
    test, rates, until = make(), [], time.perf_counter() + SECONDS_MIN
    while time.perf_counter() < until:
        for start in range(0, len(values), lap):
            part = values[start : start + lap]
            started = time.perf_counter()
            for value in part:
                test.update(value)
            seconds = time.perf_counter() - started
            rates.append(len(part) / seconds)
            if started + seconds > until:
                break
    return statistics.median(rates)


def ours(names, path):
    command = ["cargo", "bench", "--locked", "-q", "-p", "oddwatch-drift", "--bench", "tests", "--", *names]
    environment = os.environ | {"ODDWATCH_BENCH_VALUES": path, "ODDWATCH_BENCH_ROUNDS": "1"}
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: float(rows) for name, rows in re.findall(r"^(\S+) +(\d+) rows/s", out, re.MULTILINE)}


def middle(rates):
    low, median, high = statistics.quantiles(rates, n=4)
    return f"{median:>13,.0f} ±{50 * (high - low) / median:3.0f} %"


turns = int(sys.argv[1])
noise = random.Random(1)
values = [(0.3 if row < ROWS / 2 else 0.6) + 0.1 * noise.random() for row in range(ROWS)]
rates = {}
with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    file.write("\n".join(map(repr, values)))
    file.flush()
    for turn in range(turns):
        print(f"bench: turn {turn + 1} of {turns}", file=sys.stderr)
        for name, make, lap, _ in PEERS:
            rates.setdefault(name, []).append((ours([name], file.name)[name], river(make, lap, values)))
    rest = ours([], file.name)

print(f"{'test':14} {'ours, rows/s':>20} {'River, rows/s':>20} {'ratio':>8} {'goal':>6}")
for name, _, _, goal in PEERS:
    mine, peer = zip(*rates[name])
    ratio = statistics.median(our / its for our, its in rates[name])
    verdict = "met" if ratio >= goal else "NOT met"
    print(f"{name:14} {middle(mine):>20} {middle(peer):>20} {ratio:>7.1f}x {goal:>5}x {verdict}")
for name in sorted(set(rest) - set(rates)):
    print(f"{name:14} {rest[name]:>13,.0f}")
