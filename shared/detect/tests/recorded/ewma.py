"""Exponentially weighted means and deviations by pandas: ewma.csv, which ewma.rs is compared with.

usage: pip install pandas==3.1.1 && python ewma.py > ewma.csv

Each line has a value, and the mean and deviation with it. The first HORIZON rows count equally, then the newest
counts 1 / HORIZON.
"""
import numpy as np
import pandas as pd

HALF_LIFE = 20
HORIZON = round(HALF_LIFE / np.log(2))

random = np.random.default_rng(2)
values = pd.Series((np.sin(np.arange(400) / 30) + random.uniform(-1, 1, 400)).round(4))


def weighted(numbers):
    first = numbers.expanding().mean()[:HORIZON]
    # What stands at the horizon is where the exponential weights begin.
    later = pd.concat([first[-1:], numbers[HORIZON:]]).ewm(alpha=1 / HORIZON, adjust=False).mean()
    return pd.concat([first, later[1:]])


mean = weighted(values)
deviation = np.sqrt((weighted(values**2) - mean**2).clip(lower=0))
print("value,mean,deviation")
for line in zip(values, mean, deviation):
    print(",".join(f"{number:.12g}" for number in line))
