"""Random networks: what the import makes of them against onnxruntime.

    pip install numpy onnx onnxruntime
    python testing/onnx-oracle/differential.py [--seeds 0:600] [--keep FOLDER] [--store FOLDER] [--functions]

A seed determines a network: its operators, shapes, paddings, weights and operator set. Each is run on three samples by onnxruntime (graph
optimizations off) and, through `cargo run -p adyton-compiler --example run_models`, by the import's network in f64; the largest
difference must stay below 1e-4 of the largest value. Refusals count as failures: everything generated is meant to be supported.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
OPSETS = range(11, 25)
MAX_SQUARES = 4


class Builder:
    """A graph under construction: the value at its end, with that value's shape."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.choice(OPSETS))
        self.nodes, self.constants, self.inputs = [], {}, []
        self.squares, self.linear = 0, 0

    def name(self, prefix="t"):
        return f"{prefix}{len(self.nodes)}_{len(self.constants)}"

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def weights(self, *shape, scale=1.0):
        return self.constant((self.rng.uniform(-1, 1, shape) * scale).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def input(self, shape):
        name = f"x{len(self.inputs)}"
        self.inputs.append((name, list(shape)))
        return name

    def add(self, kind, *inputs, outputs=1, domain="", **attributes):
        names = [f"{kind.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def int(self, low, high):
        """Between low and high, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, *choices):
        return choices[self.int(0, len(choices) - 1)]

    def flip(self):
        return bool(self.int(0, 1))

    def model(self, outputs):
        inits = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch" if i == 0 and s[0] == 1 else s[0], *s[1:]]) for i, (n, s) in enumerate(self.inputs)]
        outs = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in outputs]
        for out in outs:
            out.ClearField("type")
        graph = helper.make_graph(self.nodes, "random", inputs, outs, inits)
        sets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            sets.append(helper.make_opsetid("ai.onnx.ml", 3))
        return helper.make_model(graph, opset_imports=sets, ir_version=min(10, 7 if self.opset < 15 else 9))


def window(b, spatial, transposed=False, pool=False):
    """Attributes of a random window over `spatial` that fits."""
    rank = len(spatial)
    kernel = [b.int(1, min(3, s)) for s in spatial]
    attributes = {"kernel_shape": kernel}
    if b.flip():
        attributes["strides"] = [b.int(1, 2) for _ in spatial]
    if not pool or b.opset >= 19:
        dilation = [b.int(1, 2) if (k - 1) * 2 + 1 <= s else 1 for k, s in zip(kernel, spatial)]
        if b.flip():
            attributes["dilations"] = dilation
    style = b.int(0, 3)
    if style == 0:
        attributes["pads"] = [b.int(0, max(0, k - 1)) for k in kernel * 2]
    elif style == 1 and not transposed:
        attributes["auto_pad"] = b.pick("SAME_UPPER", "SAME_LOWER", "VALID")
        if attributes["auto_pad"] != "VALID":
            attributes.pop("dilations", None)
    return attributes


# Each takes the builder, the value and its shape, and gives both for what it appends (or None where it does not apply).


def conv(b, x, s):
    if len(s) not in (3, 4):
        return None
    group = b.pick(*[g for g in (1, 2, s[1]) if s[1] % g == 0])
    maps = group * b.int(1, 2)
    a = window(b, s[2:])
    w = b.weights(maps, s[1] // group, *a["kernel_shape"])
    inputs = [x, w] + ([b.weights(maps)] if b.flip() else [])
    return b.add("Conv", *inputs, group=group, **a)


def conv_transpose(b, x, s):
    if len(s) not in (3, 4) or np.prod(s) > 300:
        return None
    group = b.pick(*[g for g in (1, 2, s[1]) if s[1] % g == 0])
    maps = b.int(1, 2)
    a = window(b, s[2:], transposed=True)
    if "strides" in a and b.flip():
        a["output_padding"] = [b.int(0, st - 1) for st in a["strides"]]
    covered = [(n - 1) * st + (k - 1) * d + 1 for n, st, k, d in zip(s[2:], a.get("strides", [1] * 2), a["kernel_shape"], a.get("dilations", [1] * 2))]
    if "pads" in a and any(c - p - q < 1 for c, p, q in zip(covered, a["pads"], a["pads"][len(s) - 2 :])):
        a.pop("pads")
    w = b.weights(s[1], maps, *a["kernel_shape"])
    inputs = [x, w] + ([b.weights(maps * group)] if b.flip() else [])
    return b.add("ConvTranspose", *inputs, group=group, **a)


def average_pool(b, x, s):
    if len(s) not in (3, 4):
        return None
    a = window(b, s[2:], pool=True)
    a["count_include_pad"] = b.int(0, 1)
    if "auto_pad" not in a and "dilations" not in a:
        a["ceil_mode"] = b.int(0, 1) if b.opset >= 19 else 0
        if "pads" in a:
            a["ceil_mode"] = 0
    return b.add("AveragePool", x, **a)


def global_average_pool(b, x, s):
    return b.add("GlobalAveragePool", x) if len(s) in (3, 4) and b.int(0, 3) == 0 else None


def batch_norm(b, x, s):
    if len(s) < 2:
        return None
    c = s[1]
    variance = b.constant(b.rng.uniform(0.5, 2, c).astype(np.float32))
    return b.add("BatchNormalization", x, b.weights(c), b.weights(c), b.weights(c), variance, epsilon=float(b.pick(1e-5, 1e-3)))


def gemm(b, x, s):
    if len(s) != 2:
        return None
    n = b.int(1, 8)
    trans = b.int(0, 1)
    w = b.weights(*((n, s[1]) if trans else (s[1], n)), scale=1.5 / np.sqrt(s[1]))
    inputs = [x, w] + b.pick([], [b.weights(n)], [b.weights(1, n)], [b.weights()])
    return b.add("Gemm", *inputs, transB=trans, alpha=float(b.pick(1.0, 0.5)), beta=float(b.pick(1.0, 2.0)))


def matmul(b, x, s):
    if len(s) < 2:
        return None
    scale = 1.5 / np.sqrt(s[-1])
    if b.flip() or len(s) < 3:
        return b.add("MatMul", x, b.weights(s[-1], b.int(1, 6), scale=scale))
    return b.add("MatMul", b.weights(b.int(1, 4), s[-2]), x)


def einsum(b, x, s):
    if len(s) != 3 or b.opset < 12:
        return None
    if b.flip():
        return b.add("Einsum", x, equation="bij->bji")
    return b.add("Einsum", x, b.weights(s[-1], b.int(1, 4)), equation="bij, jk -> bik")


def pad(b, x, s):
    mode = b.pick("constant", "edge", "reflect")
    # Never along the batch axis.
    begin = [0] + [b.int(0, min(2, n - 1)) for n in s[1:]]
    end = [0] + [b.int(0, min(2, n - 1)) for n in s[1:]]
    inputs = [x, b.ints(*begin, *end)]
    if mode == "constant" and b.flip():
        inputs.append(b.constant(np.float32(0.5)))
    return b.add("Pad", *inputs, mode=mode)


def flatten(b, x, s):
    return b.add("Flatten", x, axis=1)


def reshape(b, x, s):
    count = int(np.prod(s[1:]))
    divisors = [d for d in range(1, count + 1) if count % d == 0]
    d = b.pick(*divisors)
    return b.add("Reshape", x, b.pick(b.ints(0, d, -1), b.ints(1, -1, d), b.ints(-1, d, count // d)))


def transpose(b, x, s):
    if len(s) < 3:
        return None
    order = [0] + [int(i) + 1 for i in b.rng.permutation(len(s) - 1)]
    return b.add("Transpose", x, perm=order)


def squeeze(b, x, s):
    axes = [i for i, n in enumerate(s) if n == 1 and i > 0]
    if not axes or len(s) < 3:
        return None
    axes = [b.pick(*axes)]
    return b.add("Squeeze", x, b.ints(*axes)) if b.opset >= 13 else b.add("Squeeze", x, axes=axes)


def unsqueeze(b, x, s):
    if len(s) > 3:
        return None
    axes = [b.pick(1, -1)]
    return b.add("Unsqueeze", x, b.ints(*axes)) if b.opset >= 13 else b.add("Unsqueeze", x, axes=axes)


def concat(b, x, s):
    axis = b.int(1, len(s) - 1)
    other = list(s)
    other[axis] = b.int(1, 3)
    parts = [x, b.pick(x, b.weights(*other))]
    return b.add("Concat", *(parts if b.flip() else parts[::-1]), axis=axis)


def split(b, x, s):
    axes = [i for i, n in enumerate(s) if n > 1 and i > 0]
    if not axes:
        return None
    axis = b.pick(*axes)
    first = b.int(1, s[axis] - 1)
    parts = [first, s[axis] - first]
    if b.opset >= 13:
        even = s[axis] % 2 == 0 and b.flip()
        if even and b.opset >= 18:
            out = b.add("Split", x, outputs=2, axis=axis, num_outputs=2)
        elif even:
            out = b.add("Split", x, outputs=2, axis=axis)
        else:
            out = b.add("Split", x, b.ints(*parts), outputs=2, axis=axis)
    else:
        out = b.add("Split", x, outputs=2, axis=axis, split=parts)
    return b.add("Concat", out[1], out[0], axis=axis) if b.flip() else b.pick(*out)


def slice_(b, x, s):
    axis = b.int(1, len(s) - 1)
    start, step = b.int(0, s[axis] - 1), b.pick(1, 1, 2, -1)
    end = b.pick(s[axis], 2**31, -1 if s[axis] > start + 1 else 2**31) if step > 0 else -(2**31)
    return b.add("Slice", x, b.ints(start), b.ints(end), b.ints(axis - b.pick(0, len(s))), b.ints(step))


def gather(b, x, s):
    axis = b.int(1, len(s) - 1)
    if b.flip():
        picked = b.constant(np.array(b.int(0, s[axis] - 1), dtype=np.int64))
        return b.add("Gather", x, picked, axis=axis) if len(s) > 2 else None
    return b.add("Gather", x, b.ints(*[b.int(-s[axis], s[axis] - 1) for _ in range(b.int(1, 4))]), axis=axis)


def with_constant(b, x, s):
    kind = b.pick("Add", "Sub", "Mul", "Div")
    shape = [n if b.flip() else 1 for n in s[b.int(0, len(s) - 1) :]]
    shape = [1 if i == 0 and len(shape) == len(s) else n for i, n in enumerate(shape)]
    if kind == "Div":
        c = b.constant(b.rng.uniform(0.5, 2, shape).astype(np.float32))
        return b.add(kind, x, c)
    c = b.weights(*shape)
    return b.add(kind, *((x, c) if b.flip() else (c, x)))


def neg(b, x, s):
    return b.add("Neg", x)


def square(b, x, s):
    b.squares += 1
    return b.pick(
        lambda: b.add("Mul", x, x),
        lambda: b.add("Pow", x, b.constant(np.float32(2))),
        lambda: b.add("Pow", x, b.ints(2)),
    )()


def polynomial(b, x, s):
    degree = b.int(3, 5)
    b.squares += 2 if degree < 5 else 3
    if b.flip():
        return b.add("Pow", b.add("Mul", x, b.constant(np.float32(0.7))), b.constant(np.float32(degree)))
    # Horner's rule, coefficients by channel.
    channel = [1] * len(s)
    channel[1] = s[1]
    y = b.add("Mul", x, b.weights(*channel, scale=0.5))
    for _ in range(degree - 2):
        y = b.add("Mul", b.add("Add", y, b.weights(*channel)), x)
    return b.add("Add", b.add("Mul", y, x), b.weights(*channel))


def quadratic(b, x, s):
    b.squares += 1
    channel = [1] * len(s)
    channel[1] = s[1]
    a = b.weights(*channel)
    if b.flip():
        b.constants[a].flat[0] = 0.0
    y = b.add("Mul", b.add("Mul", x, x), a)
    return b.add("Add", b.add("Add", y, b.add("Mul", x, b.weights(*channel))), b.weights(*channel))


def residual(b, x, s):
    if np.prod(s) > 400 or len(s) < 2:
        return None
    y = x
    if b.flip():
        y = square(b, y, s)
    y = b.add("MatMul", y, b.weights(s[-1], s[-1], scale=1 / np.sqrt(s[-1])))
    return b.add(b.pick("Add", "Sub", "Sum", "Mean"), *((x, y) if b.flip() else (y, x)))


def product(b, x, s):
    if np.prod(s) > 200:
        return None
    b.squares += 1
    y = b.add("MatMul", x, b.weights(s[-1], s[-1], scale=1 / np.sqrt(s[-1])))
    if b.flip():
        y = b.add("Mul", y, y)
        b.squares += 1
    return b.add("Mul", *((x, y) if b.flip() else (y, x)))


def gate(b, x, s):
    """A squeeze-and-excitation gate without its sigmoid: a product that broadcasts."""
    if len(s) != 4 or np.prod(s) > 200:
        return None
    b.squares += 1
    return b.add("Mul", x, b.add("GlobalAveragePool", x))


def reduce(b, x, s):
    if len(s) < 3:
        return None
    kind = b.pick("ReduceMean", "ReduceSum", "ReduceSumSquare")
    b.squares += kind == "ReduceSumSquare"
    axes, keep = [b.int(1, len(s) - 1)], b.int(0, 1)
    as_input = b.opset >= (13 if kind == "ReduceSum" else 18)
    return b.add(kind, x, b.ints(*axes), keepdims=keep) if as_input else b.add(kind, x, axes=axes, keepdims=keep)


def identity(b, x, s):
    return b.pick(
        lambda: b.add("Identity", x),
        lambda: b.add("Dropout", x),
        lambda: b.add("Cast", x, to=TensorProto.FLOAT),
    )()


def expand(b, x, s):
    if np.prod(s) > 100:
        return None
    target = [1, *[b.int(2, 3) if n == 1 else n for n in s[1:]]]
    shape = b.pick(
        lambda: b.ints(*target),
        lambda: b.add("Concat", b.ints(1), b.ints(*target[1:]), axis=0),
        lambda: b.add("Mul", b.ints(*target), b.add("ConstantOfShape", b.ints(len(s)), value=helper.make_tensor("v", TensorProto.INT64, [1], [1]))),
    )()
    return b.add("Expand", x, shape)


def tile(b, x, s):
    if np.prod(s) > 100:
        return None
    return b.add("Tile", x, b.ints(1, *[b.int(1, 2) for _ in s[1:]]))


def depth_space(b, x, s):
    if len(s) != 4:
        return None
    if s[1] % 4 == 0 and b.flip():
        return b.add("DepthToSpace", x, blocksize=2, mode=b.pick("DCR", "CRD"))
    if s[2] % 2 == 0 and s[3] % 2 == 0:
        return b.add("SpaceToDepth", x, blocksize=2)
    return None


def resize(b, x, s):
    if len(s) != 4 or np.prod(s) > 150:
        return None
    mode = b.pick("nearest", "linear")
    a = {"mode": mode, "coordinate_transformation_mode": b.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")}
    if mode == "nearest":
        a["nearest_mode"] = b.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        if a["coordinate_transformation_mode"] == "align_corners":
            a["coordinate_transformation_mode"] = "asymmetric"
    if b.flip():
        scales = b.constant(np.array([1, 1, b.pick(2, 3), b.pick(1, 2)], dtype=np.float32))
        return b.add("Resize", x, "", scales, **a)
    return b.add("Resize", x, "", "", b.ints(*s[:2], s[2] * b.int(1, 2), s[3] * 2), **a)


def shape_of(b, x, s):
    """Reshape by a shape that the graph computes, as exporters do."""
    shape = b.add("Shape", x)
    batch = b.add("Gather", shape, b.constant(np.array(0, dtype=np.int64)), axis=0)
    batch = b.add("Unsqueeze", batch, b.ints(0)) if b.opset >= 13 else b.add("Unsqueeze", batch, axes=[0])
    return b.add("Reshape", x, b.add("Concat", batch, b.ints(-1), axis=0))


def where(b, x, s):
    mask = b.constant(b.rng.integers(0, 2, s[1:]).astype(bool))
    return b.add("Where", mask, x, b.weights(*s[1:])) if np.prod(s) < 400 else None


LINEAR = [conv, conv, conv_transpose, average_pool, global_average_pool, batch_norm, gemm, gemm, matmul, einsum, pad, flatten, reshape, transpose]
LINEAR += [squeeze, unsqueeze, concat, split, slice_, gather, with_constant, neg, reduce, identity, expand, tile, depth_space, resize, shape_of, where]
CURVED = [square, square, polynomial, quadratic, residual, product, gate]


def shape_after(b, x):
    """Shape of a value, by onnxruntime itself."""
    session = ort.InferenceSession(b.model([x]).SerializeToString(), options(), providers=["CPUExecutionProvider"])
    feeds = {n: np.zeros(s, np.float32) for n, s in b.inputs}
    return list(session.run(None, feeds)[0].shape)


def options():
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.log_severity_level = 4
    return o


def network(seed):
    """A random network; the operators that it holds come from what applies to each shape."""
    b = Builder(seed)
    s = b.pick([1, b.int(1, 4), b.int(2, 8), b.int(2, 8)], [1, b.int(1, 4), b.int(4, 16)], [1, b.int(2, 16)])
    x = b.input(s)
    if b.int(0, 5) == 0:
        # Two inputs that meet.
        other = b.input(s)
        x = b.add(b.pick("Add", "Sub", "Mul"), x, other) if b.flip() else b.add("Concat", x, other, axis=1)
        s = shape_after(b, x)
    for _ in range(b.int(1, 6)):
        operators = LINEAR + (CURVED * 2 if b.squares < MAX_SQUARES else [])
        for _ in range(20):
            state = len(b.nodes), dict(b.constants), b.squares
            y = b.pick(*operators)(b, x, s)
            if y is None:
                continue
            try:
                after = shape_after(b, y)
            except Exception:  # Not valid in this operator set, or not implemented by onnxruntime.
                after = [0]
            if 0 < np.prod(after) <= 1500 and len(after) <= 5 and after[0] == 1 and len(after) >= 2 and b.squares <= MAX_SQUARES:
                x, s = y, after
                break
            del b.nodes[state[0] :]
            b.constants, b.squares = state[1], state[2]
    if not any(set(n.input) & {i[0] for i in b.inputs} for n in b.nodes) or b.flip():
        x = b.add("Flatten", x, axis=1)
        s = shape_after(b, x)
        x = gemm(b, x, s)
    outputs = [x]
    end = b.int(0, 7)
    if end == 0:
        outputs = [b.add("Softmax", x, axis=b.pick(1, -1))]
    elif end == 1:
        outputs = [b.add("Sigmoid", x)]
    elif end == 2:
        outputs = [x, b.add("Mul", x, b.constant(np.float32(2)))]
    elif end == 3:
        outputs = [b.add("ArgMax", x, axis=-1, keepdims=b.int(0, 1))]
    elif end == 4:
        outputs = [b.add("LogSoftmax", x, axis=-1), x]
    return b, outputs


def functions():
    """Each function that is fitted, between two linear maps: name, builder, outputs."""
    simple = "Abs Cos Elu Erf Exp HardSigmoid HardSwish LeakyRelu Mish Relu Selu Celu Sin Softplus Softsign Tanh ThresholdedRelu Sigmoid Gelu"
    cases = {name: lambda b, x, name=name: b.add(name, x) for name in simple.split()}
    cases["Relu6"] = lambda b, x: b.add("Clip", x, b.constant(np.float32(0)), b.constant(np.float32(6)))
    cases["Clip"] = lambda b, x: b.add("Clip", x, "", b.constant(np.float32(0.5)))
    cases["Max"] = lambda b, x: b.add("Max", x, b.constant(np.float32(-0.5)))
    cases["Min of two"] = lambda b, x: b.add("Min", x, b.add("Mul", x, b.weights(4, 1, 1)))
    cases["PRelu"] = lambda b, x: b.add("PRelu", x, b.weights(4, 1, 1))
    cases["SiLU"] = lambda b, x: b.add("Mul", b.add("Sigmoid", x), x)
    cases["HardSwish by Clip"] = lambda b, x: b.add("Div", b.add("Mul", x, b.add("Clip", b.add("Add", x, b.constant(np.float32(3))), b.constant(np.float32(0)), b.constant(np.float32(6)))), b.constant(np.float32(6)))

    def gelu(b, x):
        erf = b.add("Erf", b.add("Div", x, b.constant(np.float32(2**0.5))))
        return b.add("Mul", b.add("Mul", x, b.add("Add", erf, b.constant(np.float32(1)))), b.constant(np.float32(0.5)))

    def gelu_tanh(b, x):
        cube = b.add("Mul", b.add("Pow", x, b.constant(np.float32(3))), b.constant(np.float32(0.044715)))
        inner = b.add("Mul", b.add("Add", x, cube), b.constant(np.float32((2 / np.pi) ** 0.5)))
        return b.add("Mul", b.add("Mul", x, b.add("Add", b.add("Tanh", inner), b.constant(np.float32(1)))), b.constant(np.float32(0.5)))

    cases["GELU by Erf"], cases["GELU by Tanh"] = gelu, gelu_tanh
    cases["Relu, scaled, Relu"] = lambda b, x: b.add("Relu", b.add("Sub", b.add("Mul", b.add("Relu", x), b.weights(4, 1, 1)), b.weights(4, 1, 1)))
    cases["MaxPool"] = lambda b, x: b.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    cases["MaxPool padded"] = lambda b, x: b.add("MaxPool", x, kernel_shape=[2, 3], pads=[1, 1, 0, 0])
    for name, function in cases.items():
        b = Builder(sum(map(ord, name)))
        b.opset = 22
        x = b.add("Conv", b.input([1, 2, 6, 6]), b.weights(4, 2, 3, 3), b.weights(4), pads=[1] * 4)
        y = function(b, x)
        yield name, b, [b.add("Identity", b.add("Add", b.add("Flatten", y, axis=1), b.constant(np.zeros(1, np.float32))))]


def check_functions(folder):
    """Fits stay within the error that they report, which is measured at 1025 points (of maxima, within twice the sum: errors go on to later rounds)."""
    lines, names, failed = [], {}, 0
    for name, b, outputs in functions():
        model = b.model(outputs)
        session = ort.InferenceSession(model.SerializeToString(), options(), providers=["CPUExecutionProvider"])
        feeds = [{n: b.rng.uniform(-2, 2, s).astype(np.float32) for n, s in b.inputs} for _ in range(50)]
        file = "function " + name
        length = write(folder, file, model, feeds, [session.run(None, feed) for feed in feeds])
        names[str(folder / file)] = name
        lines.append(f"{folder / file}\tlen={length}\tfit")
    for path, (status, reason) in run(lines).items():
        error = np.inf
        if status == "ok":
            expected, found = np.fromfile(path + ".expected", "<f8"), np.fromfile(path + ".out", "<f8")
            error = np.abs(expected - found).max()
        stated = [float(part.split()[0]) for part in reason.split("off by ")[1:]]
        bound = (2 if len(stated) > 1 else 1.05) * sum(stated) + 1e-5
        failed += not error <= bound
        print(f"{names[path]}: {'' if error <= bound else 'FAILED '}{error:.2e}; {reason}")
    return failed


def write(folder, name, model, feeds, results):
    """Model, samples (f64, flat) and expected results."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / f"{name}.onnx")
    flat = np.concatenate([np.concatenate([v.reshape(-1) for v in feed.values()]) for feed in feeds]).astype("<f8")
    flat.tofile(folder / f"{name}.in")
    expected = np.concatenate([np.concatenate([r.reshape(-1) for r in result]) for result in results]).astype("<f8")
    expected.tofile(folder / f"{name}.expected")
    return len(flat) // len(feeds)


def build(seed, folder):
    b, outputs = network(seed)
    model = b.model(outputs)
    session = ort.InferenceSession(model.SerializeToString(), options(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed + 1_000_000)
    feeds = [{n: rng.uniform(-1, 1, s).astype(np.float32) for n, s in b.inputs} for _ in range(3)]
    results = [session.run(None, feed) for feed in feeds]
    length = write(folder, str(seed), model, feeds, results)
    return length, sorted({n.op_type for n in b.nodes}), b.opset


def compare(folder, name):
    expected = np.fromfile(folder / f"{name}.expected", "<f8")
    found = np.fromfile(folder / f"{name}.out", "<f8")
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / max(1.0, np.abs(expected).max())) if len(expected) else 0.0


def run(lines):
    """What run_models says, by path."""
    command = ["cargo", "run", "-q", "--locked", "-p", "adyton-compiler", "--example", "run_models"]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {l.split("\t")[0]: l.split("\t")[1:] for l in done.stdout.splitlines()}


def store(built, folder, target):
    """Few small networks that hold every operator several times, as the compiler's tests read them: .npy, f32, samples first."""
    target.mkdir(parents=True, exist_ok=True)
    wanted, chosen = {}, []
    size = lambda seed: (folder / f"{seed}.onnx").stat().st_size
    for seed, operators, _ in sorted(built.values(), key=lambda b: size(b[0]) / len(b[1])):
        if any(wanted.get(operator, 0) < 4 for operator in operators) and size(seed) < 20_000:
            chosen.append(seed)
            for operator in operators:
                wanted[operator] = wanted.get(operator, 0) + 1
    for seed in chosen:
        (target / f"{seed}.onnx").write_bytes((folder / f"{seed}.onnx").read_bytes())
        for kind, name in (("in", "inputs"), ("expected", "outputs")):
            np.save(target / f"{seed}.{name}.npy", np.fromfile(folder / f"{seed}.{kind}", "<f8").reshape(3, -1).astype(np.float32))
    print(f"{len(chosen)} networks stored in {target}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0:600")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--functions", action="store_true", help="the functions that are fitted, not random networks")
    parser.add_argument("--store", type=Path, help="put a small choice there, for the compiler's tests")
    args = parser.parse_args()
    first, last = map(int, args.seeds.split(":"))
    folder = args.keep or Path(tempfile.mkdtemp())
    if args.functions:
        sys.exit(1 if check_functions(folder) else 0)
    built, lines = {}, []
    for seed in range(first, last):
        try:
            length, operators, opset = build(seed, folder)
        except Exception as error:  # onnxruntime's own shape inference at odds with its kernels, for instance.
            print(f"seed {seed} left out, onnxruntime refuses it: {str(error)[:120]}")
            continue
        built[str(folder / str(seed))] = (seed, operators, opset)
        lines.append(f"{folder / str(seed)}\tlen={length}")
    answers = run(lines)
    failed, used, worst = 0, {}, 0.0
    for path, (seed, operators, opset) in built.items():
        status, reason = answers[path]
        error = compare(folder, str(seed)) if status == "ok" else None
        expected = np.fromfile(folder / f"{seed}.expected", "<f8").reshape(3, -1)
        if status != "ok" and "does not depend on the input" in reason and (expected == expected[0]).all():
            continue  # Masks and factors can hide the input, and then the refusal is right.
        if status != "ok" or not error <= TOLERANCE:
            failed += 1
            print(f"seed {seed} (opset {opset}, {' '.join(operators)}): {reason if error is None else f'off by {error:.1e}'}")
        else:
            worst = max(worst, error)
            for operator in operators:
                used[operator] = used.get(operator, 0) + 1
    if args.store:
        store(built, folder, args.store)
    print(f"{len(built) - failed} of {len(built)} networks agree, the worst to {worst:.1e}")
    print(", ".join(f"{k} {v}" for k, v in sorted(used.items())))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
