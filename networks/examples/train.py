"""Trains the small examples on data that scikit-learn carries, and exports them to ONNX.

    python networks/examples/train.py            # all, into networks/examples/

`README.md` beside this file states what comes out. Every example comes with its test samples (`*.samples.npy`) and the answers
(`*.answers.npy`: class numbers, or values for regressions).
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20261126


class Square(nn.Module):
    """The activation x²."""

    def forward(self, x):
        return x * x


class Standardize(nn.Module):
    """To zero mean and unit variance over the training set."""

    def __init__(self, samples):
        super().__init__()
        self.register_buffer("mean", torch.tensor(samples.mean(0)))
        self.register_buffer("deviation", torch.tensor(samples.std(0)))

    def forward(self, x):
        return (x - self.mean) / self.deviation


def fit(model, samples, answers, loss_of, epochs, rate):
    """Adam on the whole set, with a penalty on what enters each square: values stay small."""
    samples, answers = torch.from_numpy(samples), torch.from_numpy(answers)
    optimizer = torch.optim.Adam(model.parameters(), rate, weight_decay=1e-3)
    for _ in range(epochs):
        values, penalty = samples, 0.0
        for layer in model:
            if isinstance(layer, Square):
                penalty = penalty + values.square().mean()
            values = layer(values)
        loss = loss_of(values, answers) + 0.02 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def export(name, model, shape, folder):
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        model,
        (torch.zeros(2, *shape),),
        str(path),
        input_names=["sample"],
        output_names=["answer"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        external_data=False,
        dynamo=True,
    )
    finish(name, onnx.load(path), folder)


def finish(name, model, folder):
    """Writes the model without the exporter's notes, which carry stack traces and paths."""
    without_notes(model)
    model.graph.name = name
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / f"{name}.onnx")


def without_notes(message):
    for field, value in list(message.ListFields()):
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if not hasattr(value, "__len__") else value:
                without_notes(part)


def keep(name, samples, answers, folder):
    np.save(folder / f"{name}.samples.npy", samples.astype(np.float32))
    np.save(folder / f"{name}.answers.npy", answers)


def breast_cancer(folder):
    """30 measurements of a cell nucleus: benign or malignant, by an MLP and by logistic regression."""
    data = load_breast_cancer()
    x, y = data.data.astype(np.float32), data.target.astype(np.int64)
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.25, random_state=SEED, stratify=y)
    torch.manual_seed(SEED)
    model = nn.Sequential(Standardize(x), nn.Linear(30, 16), Square(), nn.Linear(16, 2))
    model = fit(model, x, y, F.cross_entropy, 400, 1e-2)
    right = (model(torch.from_numpy(test_x)).argmax(1).numpy() == test_y).mean()
    print(f"breast-cancer-mlp: {100 * right:.1f} % of {len(test_y)}")
    export("breast-cancer-mlp", model, (30,), folder)

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
    print(f"breast-cancer-logistic: {100 * model.score(test_x, test_y):.1f} % of {len(test_y)}")
    finish("breast-cancer-logistic", to_onnx(model, x[:1], options={"zipmap": False}), folder)
    keep("breast-cancer", test_x, test_y, folder)


def diabetes(folder):
    """Ten measurements of a patient: the disease's progress a year later, by ridge regression."""
    data = load_diabetes(scaled=False)
    x, y = data.data.astype(np.float32), data.target.astype(np.float32)
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.25, random_state=SEED)
    model = make_pipeline(StandardScaler(), Ridge()).fit(x, y)
    print(f"diabetes-ridge: R² {model.score(test_x, test_y):.3f} on {len(test_y)}")
    finish("diabetes-ridge", to_onnx(model, x[:1]), folder)
    keep("diabetes-ridge", test_x, test_y, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=Path(__file__).parent, type=Path)
    folder = parser.parse_args().out
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    breast_cancer(folder)
    diabetes(folder)


if __name__ == "__main__":
    main()
