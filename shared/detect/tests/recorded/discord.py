"""Records the left matrix profile by stumpy of whole numbers: discord.csv, which discord.rs is compared with.

usage: pip install stumpy==1.14.1 && python discord.py > discord.csv
"""
import numpy as np
import stumpy

LENGTH = 10

random = np.random.default_rng(11)
rows = np.arange(400)
wave = 3000 * np.sin(rows / 4.0) + 1000 * np.sin(rows / 17.0)
wave[300:306] *= -1.0
values = np.rint(wave + 600 * random.standard_normal(len(rows)))
# Subsequences may be exactly LENGTH rows apart, not less.
stumpy.config.STUMPY_EXCL_ZONE_DENOM = LENGTH / (LENGTH - 1.5)
nearest = stumpy.stump(values, LENGTH).left_I_


def normal(start):
    part = values[start : start + LENGTH]
    return (part - part.mean()) / part.std()


print("value,distance")
for end, value in enumerate(values):
    start = end - LENGTH + 1
    known = start >= 0 and nearest[start] >= 0
    distance = np.linalg.norm(normal(start) - normal(nearest[start])) if known else None
    print(f"{int(value)},{'' if distance is None else repr(float(distance))}")
