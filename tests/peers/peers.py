#!/usr/bin/env python3
"""Other libraries' algorithms on the rows that ours get: one run of one of them, a line of figures on stdout.

    peers.py list                          prints which peers there are: work, peer
    peers.py speed PEER WORK FOLDER SECONDS  prints work, peer, rows a second

Rows are scored and learned. dSalmon takes blocks of rows, with its loop over them in C++; River and PySAD take one
row each. Counted is time that the process had a processor, for others may want the core as well. What a library wants rows to be made into (dictionaries, a range of [0, 1]) is made before the clock starts.
"""

import itertools
import sys
import time
import warnings

import numpy as np

# Blocks for dSalmon, and how often the clock is read for the others.
BLOCK = 2_048
ROUND = 16
# Rows before the clock starts, so that windows are full; slow peers get as few as that takes.
WARM_UP = 4_096
WARM_UP_SLOW = 320


def unit(rows):
    """Rows in [0, 1], for libraries that know no scale."""
    return np.clip((rows + 6.0) / 18.0, 0.0, 1.0)


def same(rows):
    return rows


def dsalmon(make, scale=same):
    def peer(rows):
        from dSalmon import outlier

        model, rows = make(outlier), scale(rows)
        starts = itertools.cycle(range(0, len(rows) - BLOCK + 1, BLOCK))
        blocks = [np.ascontiguousarray(rows[at : at + BLOCK]) for at in range(0, len(rows) - BLOCK + 1, BLOCK)]
        model.fit_predict(np.ascontiguousarray(rows[:WARM_UP]))

        def go():
            model.fit_predict(blocks[next(starts) // BLOCK])
            return BLOCK

        return go

    return peer


def river(make, warm_up=WARM_UP_SLOW, scale=same):
    def peer(rows):
        import river.anomaly

        model = make(river.anomaly)
        names = [f"v{index}" for index in range(rows.shape[1])]
        dicts = itertools.cycle([dict(zip(names, map(float, row))) for row in scale(rows)])

        def go(count=ROUND):
            for row in itertools.islice(dicts, count):
                model.score_one(row)
                model.learn_one(row)
            return count

        go(warm_up)
        return go

    return peer


def pysad(make, warm_up=WARM_UP_SLOW, scale=same, round=ROUND):
    def peer(rows):
        import pysad.models

        model = make(pysad.models)
        rows = itertools.cycle(list(scale(rows)))

        def go(count=round):
            for row in itertools.islice(rows, count):
                model.fit_score_partial(row)
            return count

        # It scores no row before it has seen one.
        model.fit_partial(next(rows))
        go(warm_up)
        return go

    return peer


PEERS = {
    ("rcf1", "pysad"): pysad(lambda it: it.RobustRandomCutForest(num_trees=30, shingle_size=8, tree_size=256)),
    ("rcf10", "dsalmon"): dsalmon(lambda it: it.SWRRCT(window=256, n_estimators=50, n_jobs=1)),
    ("rcf10", "pysad"): pysad(lambda it: it.RobustRandomCutForest(num_trees=50, tree_size=256)),
    ("hst", "dsalmon"): dsalmon(lambda it: it.HSTrees(window=250, n_estimators=25, max_depth=15, n_jobs=1), unit),
    ("hst", "pysad"): pysad(
        lambda it: it.HalfSpaceTrees([0.0] * 10, [1.0] * 10, window_size=250, num_trees=25, max_depth=15),
        warm_up=1_024,
        scale=unit,
    ),
    ("hst", "river"): river(lambda it: it.HalfSpaceTrees(n_trees=25, height=15, window_size=250), scale=unit),
    ("lof", "dsalmon"): dsalmon(lambda it: it.SWLOF(window=256, k=10)),
    ("lof", "river"): river(lambda it: it.LocalOutlierFactor(n_neighbors=10)),
    ("knn", "dsalmon"): dsalmon(lambda it: it.SWKNN(window=1000, k=10)),
    ("loda", "pysad"): pysad(lambda it: it.LODA(num_bins=10, num_random_cuts=100), warm_up=WARM_UP),
    ("loda", "dsalmon"): dsalmon(lambda it: it.LODA(window=512, n_projections=100, n_bins=10, n_jobs=1)),
    ("svm", "river"): river(lambda it: it.OneClassSVM(), warm_up=WARM_UP),
    ("iforest", "pysad"): pysad(
        # A window is fitted at once when it is full: a round is a window.
        lambda it: it.IForestASD(window_size=2048, n_estimators=50, max_samples=128),
        warm_up=2_048,
        round=2_048,
    ),
}


def speed(work, name, folder, seconds):
    values = 1 if work == "rcf1" else 10
    rows = np.fromfile(f"{folder}/rows_{values}.f64").reshape(-1, values)
    go = PEERS[work, name](rows)
    started, done, taken = time.process_time(), 0, 0.0
    while taken < seconds:
        done += go()
        taken = time.process_time() - started
    print(f"{work}\t{name}\t{done / taken:.0f}\t")


def main(args):
    match args:
        case ["list"]:
            for work, name in PEERS:
                print(f"{work}\t{name}")
        case ["speed", name, work, folder, seconds]:
            warnings.simplefilter("ignore")
            speed(work, name, folder, float(seconds))
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])
