"""Records what scikit-learn says of some rankings: writes ranking.csv (the rows) and figures.csv (what it says)
beside itself. Needs `pip install scikit-learn` (1.9.1 was used)."""

import csv
import random
from pathlib import Path

from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

HERE = Path(__file__).parent
FLAGGED = 0.5


def cases():
    dice = random.Random(7)
    for name, rows, share, lift, digits in [
        ("clear", 120, 0.1, 0.5, 6),
        ("weak", 120, 0.2, 0.1, 6),
        ("reversed", 80, 0.3, -0.4, 6),
        ("ties", 150, 0.1, 0.3, 1),
        ("many ties", 150, 0.5, 0.2, 0),
        ("rare", 200, 0.01, 0.4, 6),
    ]:
        labels = [int(dice.random() < share) for _ in range(rows)]
        labels[3] = 1
        scores = [round(min(1.0, max(0.0, dice.random() * 0.6 + 0.2 + lift * label)), digits) for label in labels]
        yield name, labels, scores


with open(HERE / "ranking.csv", "w", newline="") as rows, open(HERE / "figures.csv", "w", newline="") as figures:
    rows, figures = csv.writer(rows, lineterminator="\n"), csv.writer(figures, lineterminator="\n")
    rows.writerow(["case", "label", "score"])
    figures.writerow(["case", "roc_auc", "average_precision", "precision", "recall", "f1"])
    for name, labels, scores in cases():
        rows.writerows([name, label, score] for label, score in zip(labels, scores))
        flags = [int(score >= FLAGGED) for score in scores]
        said = [roc_auc_score(labels, scores), average_precision_score(labels, scores)]
        said += [measure(labels, flags) for measure in (precision_score, recall_score, f1_score)]
        figures.writerow([name, *map(repr, map(float, said))])
