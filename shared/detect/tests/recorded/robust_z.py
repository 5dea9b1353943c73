"""Medians and median absolute deviations of a sliding window by pandas: robust_z.csv, which robust_z.rs is
compared with.

usage: pip install pandas==3.1.1 && python robust_z.py > robust_z.csv

Each line has a value, and median and MAD of the last 32 values with it.
"""
import numpy as np
import pandas as pd

WINDOW = 32

random = np.random.default_rng(4)
values = pd.Series(random.standard_t(3, 300).round(3))
values[150:155] += 40
window = values.rolling(WINDOW, min_periods=1)
mad = window.apply(lambda x: np.median(np.abs(x - np.median(x))), raw=True)
print("value,median,mad")
for line in zip(values, window.median(), mad):
    print(",".join(f"{number:.12g}" for number in line))
