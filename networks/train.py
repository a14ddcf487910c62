"""Trains the shipped networks on MNIST and exports them to ONNX with PyTorch's own exporter.

    python networks/train.py --data networks/mnist            # all four, into networks/
    python networks/train.py --data networks/mnist --only mlp

`networks/README.md` states what comes out. Every activation is a square, so what homomorphic evaluation must carry grows
with the values between the layers: training penalizes large values there and large logits, at no cost in accuracy.
Seeds are fixed and algorithms deterministic; another PyTorch version or CPU may still round differently and end a few
images apart.
"""

import argparse
import gzip
import math
import struct
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 20261123


class Square(nn.Module):
    """The activation x²."""

    def forward(self, x):
        return x * x


class Standardize(nn.Module):
    """From pixels in [0, 1] to zero mean and unit variance over MNIST's training set."""

    def forward(self, x):
        return (x - 0.1307) / 0.3081


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), Square(), nn.Linear(128, 10))


def cryptonets():
    return nn.Sequential(
        nn.Conv2d(1, 5, kernel_size=5, stride=2, padding=1),
        Square(),
        nn.Flatten(),
        nn.Linear(845, 100),
        Square(),
        nn.Linear(100, 10),
    )


def e2dm():
    return nn.Sequential(
        Standardize(),
        nn.Conv2d(1, 4, kernel_size=7, stride=3),
        Square(),
        nn.Flatten(),
        nn.Linear(256, 64),
        Square(),
        nn.Linear(64, 10),
    )


def lenet5():
    # Without normalization, four squares in a row carry no signal at the start; it folds into the layer before.
    return nn.Sequential(
        Standardize(),
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.BatchNorm2d(6),
        Square(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.BatchNorm2d(16),
        Square(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.BatchNorm1d(120),
        Square(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84),
        Square(),
        nn.Linear(84, 10),
    )


# Builder, epochs, peak learning rate.
RECIPES = {
    "mlp": (mlp, 40, 2e-3),
    "cryptonets": (cryptonets, 60, 2e-3),
    "e2dm": (e2dm, 60, 2e-3),
    "lenet5": (lenet5, 8, 2e-3),
}


def read_idx(path):
    """An idx file (optionally gzip-compressed) of unsigned bytes."""
    path = Path(path)
    raw = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    zero, kind, rank = struct.unpack(">HBB", raw[:4])
    if zero != 0 or kind != 8:
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(folder, part):
    """Images as f32 in [0, 1], NCHW, and labels."""
    images = read_idx(Path(folder) / f"{part}-images-idx3-ubyte")
    labels = read_idx(Path(folder) / f"{part}-labels-idx1-ubyte")
    pixels = torch.from_numpy(images.copy()).float().div(255).unsqueeze(1)
    return pixels, torch.from_numpy(labels.copy()).long()


def distort(images, generator):
    """Each image turned by up to 10°, scaled by up to 10 % and shifted by up to 2 pixels."""
    n = len(images)
    angle, scale, dx, dy = (torch.rand(4, n, generator=generator) * 2 - 1).unbind(0)
    angle, scale = angle * math.radians(10), 1 + 0.1 * scale
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = torch.stack([cos, -sin, dx * 4 / 28, sin, cos, dy * 4 / 28], dim=1)
    grid = F.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def forward_with_penalty(model, images):
    """Logits, and the mean square of what enters each activation (and of the logits)."""
    values, penalty = images, 0.0
    for layer in model:
        if isinstance(layer, Square):
            penalty = penalty + values.square().mean()
        values = layer(values)
    return values, 0.02 * penalty + 0.002 * values.square().mean()


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def train(name, train_set, test_set):
    build, epochs, peak = RECIPES[name]
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = build()
    for layer in model:  # half the usual start: squares of small values keep the first steps tame
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            with torch.no_grad():
                layer.weight.mul_(0.5)
    images, labels = train_set
    batch = 128
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps)
    for epoch in range(epochs):
        model.train()
        start, total = time.time(), 0.0
        order = torch.randperm(len(images), generator=generator)
        # The last epochs see images as they are.
        plain = epoch >= epochs - 3
        for chosen in order.split(batch):
            if len(chosen) < batch:
                continue
            seen = images[chosen]
            logits, penalty = forward_with_penalty(
                model, seen if plain else distort(seen, generator)
            )
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.02) + penalty
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(
            f"{name} epoch {epoch + 1}/{epochs}: loss {total / (len(images) // batch):.4f},"
            f" test accuracy {100 * accuracy(model, *test_set):.2f} %, {time.time() - start:.0f} s",
            flush=True,
        )
    return model.eval()


def report(name, model, test_set):
    """Accuracy on the test set and the range of what enters each activation, and of the logits."""
    images, labels = test_set
    print(f"{name}: {100 * accuracy(model, images, labels):.2f} % of {len(images)} test images")
    with torch.no_grad():
        values = images
        for layer in model:
            before, values = values, layer(values)
            if isinstance(layer, Square):
                print(f"  before a square: |x| up to {before.abs().max():.2f}, rms {before.square().mean().sqrt():.2f}")
        print(f"  logits: {values.min():.2f} to {values.max():.2f}")


def without_notes(message):
    """Drops documentation and metadata: the exporter notes stack traces and paths of the machine it ran on."""
    for field, value in list(message.ListFields()):
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if not hasattr(value, "__len__") else value:
                without_notes(part)


def export(name, model, folder):
    path = folder / f"{name}.onnx"
    batch = torch.export.Dim("batch", min=1)
    torch.onnx.export(
        model,
        (torch.zeros(2, 1, 28, 28),),
        str(path),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        external_data=False,
        dynamo=True,
    )
    exported = onnx.load(path)
    without_notes(exported)
    exported.graph.name = name
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with MNIST's four idx files")
    parser.add_argument("--out", default=Path(__file__).parent, type=Path)
    parser.add_argument("--only", choices=sorted(RECIPES), action="append")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in one order
    train_set, test_set = load(arguments.data, "train"), load(arguments.data, "t10k")
    for name in arguments.only or RECIPES:
        model = train(name, train_set, test_set)
        report(name, model, test_set)
        export(name, model, arguments.out)


if __name__ == "__main__":
    main()
