#!/usr/bin/env python3
"""Local outlier factors by scikit-learn, for the test of `lof.rs`: writes lof.csv next to this file.

Needs numpy and scikit-learn (1.9.1 was used). Each line has a row and its factor with 10 neighbours among the
first 200 rows, which stand with 0.
"""
from pathlib import Path

import numpy as np
from sklearn.neighbors import LocalOutlierFactor

random = np.random.default_rng(5)
dense = random.normal(0, 1, (120, 3))
sparse = random.normal(25, 6, (80, 3))
window = np.vstack([dense, sparse]).round(3)
asked = np.vstack([random.normal(0, 2, (20, 3)), random.normal(25, 9, (20, 3)), random.uniform(-20, 60, (20, 3))])
asked = asked.round(3)
model = LocalOutlierFactor(n_neighbors=10, novelty=True).fit(window)
with open(Path(__file__).with_suffix(".csv"), "w") as out:
    out.write("x,y,z,factor\n")
    for row, factor in zip(np.vstack([window, asked]), [0.0] * 200 + list(-model.score_samples(asked))):
        out.write(",".join(f"{value:g}" for value in row) + f",{factor:.9g}\n")
