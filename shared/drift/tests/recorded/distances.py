#!/usr/bin/env python3
"""SciPy's two-sample distances of made-up values, for textbook.rs: writes distances.csv next to this file.

usage: pip install scipy==1.17.1 && python distances.py

Each line has a value with three digits and, from the 80th on, what SciPy says of the newest 16 of them: the
Kolmogorov-Smirnov statistic and exact p-value against the 48 before, and the Wasserstein-1 distance from the first
64 (of a value with the same digits).
"""
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

random = np.random.default_rng(3)
values = random.normal(0, 1, 200)
values[110:] += 1.5
values[150:] = np.rint(values[150:])
values = values.round(3)
with open(Path(__file__).with_suffix(".csv"), "w") as out:
    out.write("value,ks,p_value,wasserstein\n")
    for row, value in enumerate(values):
        line = f"{value:g},,,"
        if row + 1 >= 80:
            newest = values[row - 15 : row + 1]
            ks = ks_2samp(newest, values[row - 63 : row - 15], method="exact")
            distance = wasserstein_distance(newest, values[:64])
            line = f"{value:g},{ks.statistic:.12g},{ks.pvalue:.12g},{distance:.12g}"
        out.write(line + "\n")
