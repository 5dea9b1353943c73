#!/usr/bin/env python3
"""Where River's drift tests find changes in files of the Numenta Anomaly Benchmark: writes textbook.csv next to this
file, which tests/textbook.rs compares ours with.

usage: pip install river==0.26.1 scipy==1.17.1 && python textbook.py DATA, with DATA the folder above nab/

A line is a test, a file and the rows (from 0) at which it found a change. River's classes start anew after a change.
`adwin_window` is the window beneath its ADWIN, which doesn't; behind a colon are the rows that it kept.
HDDM wants values in [0, 1]: `_binary` has 1 for a value above the one in the middle of the sorted file, `_scaled` the
place of a value between the file's least and largest. `_warnings` are the rows from which on there was a warning. `kswin` compares the newest 30 rows with all 70 before them by SciPy's exact
test at 0.005 (River draws 30 of the 70 at random).
"""
import sys
from pathlib import Path

from river import drift
from river._river_rust.drift import AdaptiveWindowing
from scipy.stats import ks_2samp

FILES = [
    "artificialWithAnomaly/art_daily_jumpsup",
    "realAWSCloudwatch/ec2_cpu_utilization_ac20cd",
    "realAWSCloudwatch/rds_cpu_utilization_cc0c53",
    "realAdExchange/exchange-3_cpc_results",
    "realKnownCause/ambient_temperature_system_failure",
    "realKnownCause/nyc_taxi",
    "realTraffic/speed_7578",
    "realTweets/Twitter_volume_AAPL",
]


def rows_of(test, values):
    for row, value in enumerate(values):
        test.update(value)
        if test.drift_detected:
            yield f"{row}"


def warnings_of(test, values):
    before = False
    for row, value in enumerate(values):
        test.update(value)
        now = test.warning_detected and not test.drift_detected
        if now and not before:
            yield f"{row}"
        before = now


def window(values):
    adwin = AdaptiveWindowing(delta=0.002, clock=32, max_buckets=5, min_window_length=5, grace_period=10)
    for row, value in enumerate(values):
        if adwin.update(value):
            yield f"{row}:{int(adwin.get_width())}"


def kswin(values):
    start = 0
    for row in range(len(values)):
        if row + 1 - start >= 100:
            seen = values[row - 99 : row + 1]
            found = ks_2samp(seen[70:], seen[:70])
            if found.pvalue <= 0.005 and found.statistic > 0.1:
                start = row + 1
                yield f"{row}"


def tests(values):
    yield "adwin", rows_of(drift.ADWIN(), values)
    yield "adwin_window", window(values)
    yield "page_hinkley", rows_of(drift.PageHinkley(), values)
    for mode in ["up", "down"]:
        yield f"page_hinkley_{mode}", rows_of(drift.PageHinkley(mode=mode), values)
    yield "kswin", kswin(values)
    middle = sorted(values)[len(values) // 2]
    binary = [float(value > middle) for value in values]
    low, high = min(values), max(values)
    scaled = [(value - low) / (high - low) for value in values]
    yield "page_hinkley_scaled", rows_of(drift.PageHinkley(threshold=5.0), scaled)
    yield "hddm_a_warnings", warnings_of(drift.binary.HDDMA(two_sided_test=True), binary)
    yield "hddm_w_warnings", warnings_of(drift.binary.HDDMW(two_sided_test=True), binary)
    for name, of in [("binary", binary), ("scaled", scaled)]:
        yield f"hddm_a_{name}", rows_of(drift.binary.HDDMA(two_sided_test=True), of)
        yield f"hddm_a_up_{name}", rows_of(drift.binary.HDDMA(), of)
        yield f"hddm_w_{name}", rows_of(drift.binary.HDDMW(two_sided_test=True), of)
        yield f"hddm_w_up_{name}", rows_of(drift.binary.HDDMW(), of)


data = Path(sys.argv[1]) / "nab/data"
with open(Path(__file__).with_suffix(".csv"), "w") as out:
    out.write("test,file,rows\n")
    for file in FILES:
        lines = (data / f"{file}.csv").read_text().splitlines()[1:]
        values = [float(line.split(",")[1]) for line in lines]
        for name, found in tests(values):
            out.write(f"{name},{file},{' '.join(found)}\n")
