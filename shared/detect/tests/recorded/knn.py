"""Distances of the nearest neighbours by scikit-learn: knn.csv, which knn.rs is compared with.

usage: pip install scikit-learn==1.9.1 && python knn.py > knn.csv

Each line has a row, and the mean and the largest distance of its 7 nearest among the first 150 rows, which stand
with 0.
"""
import numpy as np
from sklearn.neighbors import NearestNeighbors

WINDOW, NEIGHBOURS = 150, 7

random = np.random.default_rng(3)
near = random.normal(0, 1, (100, 4))
window = np.vstack([near, random.normal(8, 3, (50, 4))]).round(3)
asked = np.vstack([random.normal(0, 2, (30, 4)), random.uniform(-10, 20, (30, 4))]).round(3)
# Our distances are per value.
distances = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(window).kneighbors(asked)[0] / np.sqrt(4)
print("a,b,c,d,mean,kth")
for row in window:
    print(",".join(f"{value:g}" for value in row) + ",0,0")
for row, near in zip(asked, distances):
    print(",".join(f"{value:g}" for value in row) + f",{near.mean():.9g},{near[-1]:.9g}")
