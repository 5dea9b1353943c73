#!/usr/bin/env python3
"""Models as users give them, and what onnxruntime makes of some rows: writes *.onnx and *.csv next to this file.

Needs numpy, torch, scikit-learn, skl2onnx, onnx and onnxruntime. Used were torch 1.13.1 (Debian's python3-torch,
which has no CUDA in it), scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2 and onnxruntime 1.31.1.

- autoencoder: PyTorch, 4 standardised values to 2 and back;
- classifier: scikit-learn, a forest of 12 trees over 3 values as they are; its outputs are a label and two
  probabilities;
- distance: drawn by hand, the root of the sum of squares of any number of values, in double precision;
- integers, two_inputs, many: drawn by hand, such as are refused.

Each CSV has a row's values and then what the model says of it.
"""
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

HERE = Path(__file__).parent
random = np.random.default_rng(7)


def record(name, rows, output):
    """Writes the rows and the output number `output` of the model `name` for each of them, one row at a time."""
    session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"))
    given = session.get_inputs()[0]
    kind = np.float64 if given.type == "tensor(double)" else np.float32
    with open(HERE / f"{name}.csv", "w") as out:
        for row in rows:
            said = session.run(None, {given.name: row.astype(kind)[None]})[output]
            numbers = [f"{value:g}" for value in row] + [f"{value:.9g}" for value in np.ravel(said)]
            out.write(",".join(numbers) + "\n")


def autoencoder():
    """Four views of two numbers, each of deviation 1, rebuilt from two."""
    torch.manual_seed(7)
    hidden = torch.randn(4000, 2)
    mix = torch.tensor([[1.0, -1.0, 0.6, 0.0], [0.0, 0.0, 0.8, 1.0]])
    rows = hidden @ mix + 0.05 * torch.randn(4000, 4)
    net = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh(), torch.nn.Linear(2, 4))
    steps = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(1500):
        steps.zero_grad()
        torch.nn.functional.mse_loss(net(rows), rows).backward()
        steps.step()
    axes = {"row": {0: "rows"}, "rebuilt": {0: "rows"}}
    names = {"input_names": ["row"], "output_names": ["rebuilt"], "dynamic_axes": axes}
    torch.onnx.export(net.eval(), torch.zeros(1, 4), str(HERE / "autoencoder.onnx"), **names)
    rows = random.normal(0, 1.5, (40, 4)).round(3)
    record("autoencoder", rows, 0)


def classifier():
    """Odd is what is hot under pressure, or turns fast while cold."""
    rows = random.uniform([0, 0, 0], [100, 10, 3000], (4000, 3))
    odd = (rows[:, 0] > 70) & (rows[:, 1] > 7) | (rows[:, 0] < 20) & (rows[:, 2] > 2500)
    forest = RandomForestClassifier(n_estimators=12, max_depth=5, random_state=7).fit(rows, odd)
    kinds = [("row", FloatTensorType([None, 3]))]
    model = to_onnx(forest, initial_types=kinds, options={"zipmap": False}, target_opset=17)
    (HERE / "classifier.onnx").write_bytes(model.SerializeToString())
    asked = random.uniform([0, 0, 0], [100, 10, 3000], (60, 3)).round(2)
    record("classifier", asked, 1)


def drawn(name, nodes, inputs, outputs, constants=()):
    """Writes a model of these nodes."""
    graph = helper.make_graph(nodes, name, inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def by_hand():
    """Models that no library makes so small."""
    real, whole = TensorProto.DOUBLE, TensorProto.INT64
    tensor = helper.make_tensor_value_info
    node = helper.make_node
    squares = node("ReduceSumSquare", ["row"], ["squares"], axes=[1], keepdims=1)
    root = node("Sqrt", ["squares"], ["score"])
    row, score = tensor("row", real, ["n", "values"]), tensor("score", real, ["n", 1])
    drawn("distance", [squares, root], [row], [score])
    record("distance", random.normal(0, 3, (20, 5)).round(3), 0)
    same = node("Identity", ["row"], ["same"])
    drawn("integers", [same], [tensor("row", whole, [1, 2])], [tensor("same", whole, [1, 2])])
    two = [tensor(name, real, [1, 2]) for name in ("row", "other")]
    drawn("two_inputs", [node("Add", ["row", "other"], ["sum"])], two, [tensor("sum", real, [1, 2])])
    stack = node("Concat", ["row", "row"], ["twice"], axis=0)
    drawn("many", [stack], [tensor("row", real, [1, 2])], [tensor("twice", real, [2, 2])])


if __name__ == "__main__":
    autoencoder()
    classifier()
    by_hand()
