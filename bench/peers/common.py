"""What all harnesses share: images, the network in the clear, our own figures, ratios."""

import gzip
import json
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ROOT / "networks"
# A result whose error exceeds this part of the logits' range is no result.
LARGEST_ERROR = 0.05


class Absent(Exception):
    """The peer is not installed, or cannot run what was asked for."""


def images(count):
    """The first `count` shipped test images, repeated beyond 1,000, as float64 of shape (count, 1, 28, 28) in [0, 1]."""
    with gzip.open(NETWORKS / "data/test-images.idx3.gz") as file:
        data = file.read()
    _, number, height, width = struct.unpack(">IIII", data[:16])
    pixels = np.frombuffer(data[16:], np.uint8).reshape(number, 1, height, width) / 255.0
    return pixels[np.arange(count) % number]


def onnx_path(network):
    return NETWORKS / f"{network}.onnx"


def in_the_clear(network, batch):
    """The logits that the ONNX file gives."""
    model = ReferenceEvaluator(onnx.load(onnx_path(network)))
    return model.run(None, {model.input_names[0]: batch.astype(np.float32)})[0]


def layers(network):
    """The network as a list of ("affine", matrix, bias) and ("square",): convolutions as dense matrices, found by running unit vectors."""
    graph = onnx.load(onnx_path(network)).graph
    values = {t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
    found, shape, scale = [], (1, 28, 28), (1.0, 0.0)
    for node in graph.node:
        if node.op_type == "Sub":
            scale = (scale[0], scale[1] - float(values[node.input[1]]))
        elif node.op_type == "Div":
            divisor = float(values[node.input[1]])
            scale = (scale[0] / divisor, scale[1] / divisor)
        elif node.op_type == "Conv":
            matrix, bias, shape = dense_convolution(node, values, shape)
            found.append(("affine", matrix * scale[0], bias + matrix.sum(axis=1) * scale[1]))
            scale = (1.0, 0.0)
        elif node.op_type == "Gemm":
            found.append(("affine", values[node.input[1]], values[node.input[2]]))
        elif node.op_type == "Mul":
            found.append(("square",))
        elif node.op_type != "Reshape":
            raise Absent(f"{network}: the harness knows no {node.op_type}")
    return found


def dense_convolution(node, values, shape):
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weight, bias = values[node.input[1]], values[node.input[2]]
    (stride, _), pad = attributes["strides"], attributes["pads"][0]
    maps, _, kernel, _ = weight.shape
    _, height, width = shape
    rows = (height + 2 * pad - kernel) // stride + 1
    matrix = np.zeros((maps, rows, rows, height, width))
    for y in range(rows):
        for x in range(rows):
            for i in range(kernel):
                for j in range(kernel):
                    at = (y * stride + i - pad, x * stride + j - pad)
                    if 0 <= at[0] < height and 0 <= at[1] < width:
                        matrix[:, y, x, at[0], at[1]] = weight[:, 0, i, j]
    matrix = matrix.reshape(maps * rows * rows, height * width)
    return matrix, np.repeat(bias, rows * rows), (maps, rows, rows)


def ours(adyton, network, batch, encrypted, threads, repeat):
    """Evaluation by the real processes: the layout for one image, or the batch size whose time per image is lowest."""
    command = [
        str(adyton), "bench", "--network", network, "--threads", str(threads), "--repeat", str(repeat), "--json",
        "--model-privacy", "encrypted" if encrypted else "plain",
        "--objective", "latency" if batch == 1 else "throughput",
    ]
    if batch > 1:
        command += [word for groups in (1, 4, 8) for word in ("--groups", str(groups))]
    try:
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    except FileNotFoundError as error:
        raise SystemExit(f"there is no {adyton}: cargo build --release -p adyton-cli -p adyton-enclave -p adyton-host") from error
    best = min(json.loads(output)["results"], key=lambda result: result["per_image_ms"])
    return {
        "seconds_per_image": best["per_image_ms"] / 1e3,
        "batch": best["batch"],
        "wall_seconds": best["wall_seconds"],
        "memory_mib": best["host_peak_rss_mib"],
        "log_n": best["log_n"],
    }


def fastest(work, rounds):
    """The shortest of several runs, in seconds, and the last result."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return best, result


def judge(logits, expected):
    """Largest error as part of the range of the logits, and the share of labels that agree."""
    logits, expected = np.asarray(logits), np.asarray(expected)
    error = np.abs(logits - expected).max() / (expected.max() - expected.min())
    agree = (logits.argmax(axis=1) == expected.argmax(axis=1)).mean()
    return float(error), float(agree)
