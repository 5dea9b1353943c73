"""A one-class support vector machine learned by scikit-learn, row by row: one_class_svm.csv, which
one_class_svm.rs is compared with.

usage: pip install scikit-learn==1.9.1 && python one_class_svm.py > one_class_svm.csv

Each line has a row of features, and how far it was beyond the hyperplane of all rows before it. With these
numbers scikit-learn's steps are ours: it shrinks weights by eta0 * nu, we by RATE * WIDTH.
"""
import numpy as np
from sklearn.linear_model import SGDOneClassSVM

random = np.random.default_rng(9)
rows = (3.0 - np.abs(np.clip(random.normal(0, 1.2, (600, 3)), -3, 3))).round(3)
model = SGDOneClassSVM(nu=0.05, learning_rate="constant", eta0=0.02, shuffle=False)
print("a,b,c,beyond")
for number, row in enumerate(rows):
    # Nothing is learned yet: weights and offset are 0.
    beyond = 0.0 if number == 0 else -model.decision_function([row])[0]
    print(",".join(f"{value:g}" for value in row) + f",{beyond:.12g}")
    model.partial_fit([row])
