#!/usr/bin/env python3
"""Scores of peers on a labelled set, for tests/labelled/peers.rs: writes peers.csv next to this file.

usage: pip install scikit-learn==1.9.1 river==0.26.1 pyod==3.6.7 krcf==0.4.0 isotree==0.6.1 pandas && python peers.py [DATA]

DATA is the folder with the ADBench set, `multivariate/annthyroid.csv`. A peer sees each row after all before
it, standardised by those. Batch models are fitted anew every 100 rows, to as many rows as ours look back at.
Each column has the scores' ranks among rows 1,000 to 2,399, in which equal scores are equal.
"""
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from isotree import IsolationForest as ExtendedIsolationForest
from krcf import RandomCutForest
from pyod.models.loda import LODA
from river.anomaly import HalfSpaceTrees
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

FIRST, END, EVERY = 1000, 2400, 100

data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ODDWATCH_DATA", "../shared/data"))
raw = pd.read_csv(data / "multivariate/annthyroid.csv").drop(columns=["time", "label"])[:END]
past = raw.expanding()
rows = ((raw - past.mean().shift(1)) / past.std().shift(1).clip(lower=1e-9)).fillna(0.0)
rows = rows.clip(-1e6, 1e6).to_numpy()
SIZE = rows.shape[1]


def refitted(window, fit):
    """The scores by what `fit` makes of the last rows, every so many."""
    scores = []
    for start in range(FIRST, END, EVERY):
        score = fit(rows[max(0, start - window) : start])
        scores.extend(score(rows[start : start + EVERY]))
    return scores


def streamed(score, learn):
    """The scores by what scores and then learns each row."""
    scores = []
    for row in rows:
        scores.append(score(row))
        learn(row)
    return scores[FIRST:]


def random_cut_forest():
    model = RandomCutForest(
        {"dimensions": SIZE, "shingle_size": 1, "num_trees": 50, "sample_size": 256, "random_seed": 1}
    )
    return streamed(lambda row: model.score(row.tolist()), lambda row: model.update(row.tolist()))


def half_space_trees():
    model = HalfSpaceTrees(n_trees=25, height=10, window_size=250, seed=1)
    # As ours, they see three deviations to each side.
    named = lambda row: {str(i): float(np.clip(0.5 + z / 6, 0, 1)) for i, z in enumerate(row)}
    return streamed(lambda row: model.score_one(named(row)), lambda row: model.learn_one(named(row)))


def isolation_forest(window):
    model = IsolationForest(n_estimators=100, max_samples=128, random_state=1).fit(window)
    return lambda asked: -model.score_samples(asked)


def extended_isolation_forest(window):
    # Directions are drawn as in the paper, without regard to the deviations at a node.
    plain = {"standardize_data": False, "random_seed": 1, "nthreads": 1}
    model = ExtendedIsolationForest(ndim=SIZE, ntrees=100, sample_size=128, **plain)
    return model.fit(window).predict


def loda(window):
    np.random.seed(1)
    model = LODA(n_bins=20, n_random_cuts=100).fit(window)
    return model.decision_function


def mahalanobis(window):
    return EmpiricalCovariance().fit(window).mahalanobis


def pca(window):
    model = PCA(n_components=2).fit(window)
    return lambda asked: ((asked - model.inverse_transform(model.transform(asked))) ** 2).sum(axis=1)


def knn(window):
    model = NearestNeighbors(n_neighbors=10).fit(window)
    return lambda asked: model.kneighbors(asked)[0].mean(axis=1)


def lof(window):
    model = LocalOutlierFactor(n_neighbors=10, novelty=True).fit(window)
    return lambda asked: -model.score_samples(asked)


def one_class_svm():
    model = SGDOneClassSVM(nu=0.1, learning_rate="constant", eta0=0.02)
    near = lambda row: 3.0 - np.abs(np.clip(row, -3, 3)).reshape(1, -1)
    outside = lambda row: np.log1p(np.maximum(np.abs(row) - 3.0, 0.0)).sum()
    model.partial_fit(near(rows[0]))
    return streamed(
        lambda row: -model.decision_function(near(row))[0] + outside(row),
        lambda row: model.partial_fit(near(row)),
    )


table = pd.DataFrame(
    {
        "random_cut_forest": random_cut_forest(),
        "half_space_trees": half_space_trees(),
        "isolation_forest": refitted(2560, isolation_forest),
        "extended_isolation_forest": refitted(2560, extended_isolation_forest),
        "loda": refitted(512, loda),
        "mahalanobis": refitted(1000, mahalanobis),
        "pca": refitted(1000, pca),
        "knn": refitted(1000, knn),
        "lof": refitted(256, lof),
        "one_class_svm": one_class_svm(),
    }
)
table.round(12).rank(method="min").astype(int).to_csv(Path(__file__).with_suffix(".csv"), index=False)
