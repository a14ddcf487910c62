"""Makes the import tests' models, and what an independent executor (onnxruntime) says that they compute.

    pip install numpy onnx onnxruntime onnxscript torch      # versions used: see README.md
    python crates/compiler/tests/models/make.py

For each model: NAME.onnx, NAME.inputs.npy (samples first) and NAME.outputs.npy (onnxruntime's, without graph
optimizations, one sample at a time). The `onnx` package's reference evaluator has to agree; where it does not, the model
is named below. `refused/` holds models that the import must refuse. For the shipped networks: onnxruntime's logits on the
1,000 test images that ship with them.
"""

import gzip
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = Path(__file__).parent
NETWORKS = HERE.parents[3] / "networks"
SAMPLES = 3
RNG = np.random.default_rng(20261123)

# Where the `onnx` package's reference evaluator does not agree with onnxruntime, and how.
REFERENCE_VERDICTS = {"batch_norm_opset_8": "fails (TypeError)"}


def weights(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def model(nodes, input_shape, constants=None, opset=17, ir=8, batch="batch", listed=False, out="y", kind=TensorProto.FLOAT):
    """A model with input x (`input_shape` without its batch axis) and output y; constants by name."""
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    inputs = [helper.make_tensor_value_info("x", kind, ([batch] if batch else []) + list(input_shape))]
    if listed:  # as until IR version 3
        inputs += [helper.make_tensor_value_info(i.name, i.data_type, i.dims) for i in initializers]
    outputs = [helper.make_tensor_value_info(out, kind, None)]
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def node(kind, inputs, outputs="y", **attributes):
    return helper.make_node(kind, inputs.split(" ") if inputs else [], outputs.split(" "), name=f"{kind}_{outputs.split()[0]}", **attributes)


def ints(*values):
    return np.array(values, dtype=np.int64)


def f32(value):
    return np.array(value, dtype=np.float32)


def linear_models():
    yield "gemm", model([node("Gemm", "x w c")], [6], {"w": weights(6, 4), "c": weights(4)})
    yield "gemm_trans_b", model([node("Gemm", "x w c", transB=1)], [6], {"w": weights(4, 6), "c": weights(1, 4)})
    yield "gemm_alpha_beta", model(
        [node("Gemm", "x w c", alpha=0.5, beta=-2.0, transB=1)], [6], {"w": weights(4, 6), "c": weights(4)}
    )
    yield "gemm_without_c", model([node("Gemm", "x w", alpha=3.0)], [6], {"w": weights(6, 4)})
    yield "gemm_scalar_c", model([node("Gemm", "x w c")], [6], {"w": weights(6, 4), "c": weights()})
    yield "gemm_trans_a", model([node("Gemm", "x w c", transA=1)], [6], {"w": weights(1, 3), "c": weights(6, 1)})
    yield "gemm_constant_left", model(
        [node("Reshape", "x s", "r"), node("Gemm", "w r c", transB=1)],
        [2, 6],
        {"s": ints(2, 6), "w": weights(3, 6), "c": weights(3, 1)},
    )
    yield "gemm_opset_7", model(
        [node("Gemm", "x w c", transB=1)], [6], {"w": weights(4, 6), "c": weights(4)}, opset=7, ir=3, listed=True
    )
    yield "matmul_add", model(
        [node("MatMul", "x w", "m"), node("Add", "c m")], [6], {"w": weights(6, 4), "c": weights(4)}
    )
    yield "matmul_vector", model([node("MatMul", "x w")], [6], {"w": weights(6)})
    yield "matmul_constant_left", model([node("MatMul", "w x")], [5, 3], {"w": weights(4, 5)})
    yield "matmul_stack", model([node("MatMul", "x w")], [2, 3, 4], {"w": weights(2, 4, 5)})
    yield "matmul_stack_broadcast", model([node("MatMul", "x w")], [3, 4], {"w": weights(2, 1, 4, 5)})
    yield "matmul_unbatched", model([node("MatMul", "x w")], [6], {"w": weights(6, 4)}, batch=None)
    yield "matmul_of_constants", model(
        [node("MatMul", "a b", "w"), node("MatMul", "x w")], [4], {"a": weights(4, 2), "b": weights(2, 3)}
    )


def conv_models():
    def conv(shape, maps, kernel, bias=True, **attributes):
        group = attributes.get("group", 1)
        constants = {"w": weights(maps, shape[0] // group, *kernel)}
        if bias:
            constants["b"] = weights(maps)
        return model([node("Conv", "x w b" if bias else "x w", **attributes)], shape, constants)

    yield "conv", conv([2, 6, 7], 3, [3, 3], kernel_shape=[3, 3])
    yield "conv_without_bias", conv([1, 5, 5], 2, [2, 3], bias=False)
    yield "conv_stride_pads", conv([2, 7, 6], 3, [3, 2], strides=[2, 3], pads=[1, 0, 2, 1])
    yield "conv_dilation", conv([2, 9, 8], 2, [3, 3], dilations=[2, 3], pads=[2, 3, 1, 0])
    yield "conv_group", conv([4, 5, 6], 6, [3, 3], group=2, pads=[1, 1, 1, 1])
    yield "conv_depthwise", conv([3, 5, 5], 6, [2, 2], group=3, strides=[2, 1])
    yield "conv_all", conv([4, 9, 10], 4, [3, 2], group=2, dilations=[2, 3], strides=[1, 2], pads=[0, 2, 3, 1])
    for auto_pad in ("VALID", "SAME_UPPER", "SAME_LOWER"):
        yield f"conv_{auto_pad.lower()}", conv([1, 7, 6], 2, [4, 3], strides=[2, 2], auto_pad=auto_pad)
    yield "conv_1d", conv([3, 11], 4, [3], strides=[2], pads=[2, 1])
    yield "conv_1d_group_dilation", conv([4, 11], 4, [3], group=4, dilations=[3], pads=[0, 3])


def norm_models():
    def statistics(channels):
        return {
            "s": weights(channels),
            "b": weights(channels),
            "m": weights(channels),
            "v": RNG.uniform(0.1, 2, channels).astype(np.float32),
        }

    norm = "s b m v"
    yield "batch_norm", model([node("BatchNormalization", f"x {norm}", epsilon=1e-3)], [3, 4, 2], statistics(3))
    yield "batch_norm_flat", model([node("BatchNormalization", f"x {norm}")], [5], statistics(5))
    yield "batch_norm_opset_8", model(
        [node("BatchNormalization", f"x {norm}", momentum=0.8)], [3, 4], statistics(3), opset=8, ir=3, listed=True
    )
    yield "conv_batch_norm_square", model(
        [
            node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
            node("BatchNormalization", f"c {norm}", "n"),
            node("Mul", "n n", "q"),
            node("BatchNormalization", f"q {norm}"),
        ],
        [2, 4, 4],
        {"w": weights(3, 2, 3, 3), **statistics(3)},
    )


def pool_models():
    def pool(shape, opset=17, **attributes):
        return model([node("AveragePool", "x", **attributes)], shape, opset=opset)

    yield "average_pool", pool([2, 6, 7], kernel_shape=[2, 3])
    yield "average_pool_pads", pool([2, 5, 5], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 2, 1])
    yield "average_pool_include_pad", pool(
        [2, 5, 5], kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 2, 1], count_include_pad=1
    )
    yield "average_pool_ceil", pool([2, 6, 7], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    # The last window along the width would begin in the padding behind: it is left out.
    yield "average_pool_ceil_left_out", pool(
        [1, 4, 3], kernel_shape=[2, 2], strides=[4, 4], pads=[1, 1, 1, 1], ceil_mode=1, opset=22
    )
    yield "average_pool_ceil_include_pad", pool(
        [1, 6, 6], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1, count_include_pad=1, opset=22
    )
    for auto_pad in ("VALID", "SAME_UPPER", "SAME_LOWER"):
        yield f"average_pool_{auto_pad.lower()}", pool([1, 7, 6], kernel_shape=[4, 3], strides=[2, 2], auto_pad=auto_pad)
    yield "average_pool_dilation", pool([1, 8, 9], kernel_shape=[2, 3], dilations=[3, 2], pads=[1, 1, 1, 1], opset=19)
    yield "average_pool_1d", pool([3, 9], kernel_shape=[4], strides=[3], pads=[1, 1])
    yield "global_average_pool", model([node("GlobalAveragePool", "x")], [3, 4, 5])
    yield "reduce_mean", model([node("ReduceMean", "x", axes=[-1, 2], keepdims=0)], [3, 4, 5], opset=13)
    yield "reduce_mean_axes_input", model([node("ReduceMean", "x a")], [3, 4, 5], {"a": ints(1, 3)}, opset=18)
    yield "reduce_mean_all", model([node("ReduceMean", "x", keepdims=1)], [3, 4], opset=18)


def shape_models():
    w = {"w": weights(24, 3)}
    yield "reshape_open_batch", model([node("Reshape", "x s", "r"), node("Gemm", "r w")], [2, 3, 4], {"s": ints(-1, 24), **w})
    yield "reshape_keeps", model([node("Reshape", "x s", "r"), node("Gemm", "r w")], [2, 3, 4], {"s": ints(0, -1), **w})
    yield "reshape_allowzero", model(
        [node("Reshape", "x s", "r", allowzero=1), node("Gemm", "r w")], [2, 3, 4], {"s": ints(1, -1), **w}
    )
    yield "flatten_nchw", model([node("Flatten", "x", "f"), node("Gemm", "f w")], [2, 3, 4], w)
    yield "flatten_negative", model([node("Flatten", "x", "f", axis=-1), node("MatMul", "f w")], [2, 3, 4], {"w": weights(4, 2)})
    yield "transpose_nhwc", model(
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Flatten", "t", "f"), node("Gemm", "f w")], [2, 3, 4], w
    )
    yield "transpose_reversed", model([node("Transpose", "x"),], [2, 3, 4])
    yield "transpose_weights", model(
        [node("Transpose", "w", "t"), node("MatMul", "x t")], [4], {"w": weights(3, 4)}
    )
    yield "squeeze_attribute", model(
        [node("Squeeze", "x", "s", axes=[1, -1]), node("MatMul", "s w")], [1, 4, 1], {"w": weights(4, 2)}, opset=11
    )
    yield "squeeze_input", model([node("Squeeze", "x a", "s"), node("MatMul", "s w")], [1, 4, 1], {"a": ints(1, 3), "w": weights(4, 2)})
    yield "unsqueeze_attribute", model([node("Unsqueeze", "x", axes=[0, 2])], [4], opset=11)
    yield "unsqueeze_input", model([node("Unsqueeze", "x a", "u"), node("Conv", "u w")], [9], {"a": ints(1), "w": weights(2, 1, 3)})
    yield "identity_dropout_opset_7", model(
        [node("Dropout", "x", "d", ratio=0.3), node("Identity", "d", "i"), node("Gemm", "i w c")],
        [6], {"w": weights(6, 4), "c": weights(4)}, opset=7, ir=3, listed=True,
    )
    yield "dropout_opset_13", model(
        [node("Dropout", "x r f", "d mask"), node("MatMul", "d w")],
        [6], {"r": f32(0.4), "f": np.array(False), "w": weights(6, 4)},
    )
    # What PyTorch's older exporter makes of x.view(x.size(0), -1).
    yield "reshape_by_shape_arithmetic", model(
        [
            node("Shape", "x", "shape"),
            node("Constant", "", "zero", value=numpy_helper.from_array(np.array(0, dtype=np.int64))),
            node("Gather", "shape zero", "n", axis=0),
            node("Unsqueeze", "n a", "n1"),
            node("Constant", "", "rest", value_ints=[-1]),
            node("Concat", "n1 rest", "to", axis=0),
            node("Cast", "to", "to64", to=TensorProto.INT64),
            node("Reshape", "x to64", "r"),
            node("Gemm", "r w"),
        ],
        [2, 3, 4], {"a": ints(0), **w},
    )
    yield "reshape_by_shape_slice", model(
        [
            node("Shape", "x", "n", start=0, end=1),
            node("Mul", "two three", "six"),
            node("Concat", "n six four", "to", axis=0),
            node("Reshape", "x to", "r"),
            node("MatMul", "r w"),
        ],
        [2, 3, 4], {"two": ints(2), "three": ints(3), "four": ints(4), "w": weights(4, 2)},
    )


def elementwise_models():
    per_channel = {"c": weights(3, 1, 1)}
    for kind in ("Add", "Sub", "Mul", "Div"):
        yield f"{kind.lower()}_constant", model([node(kind, "x c")], [3, 2, 2], per_channel)
    for kind in ("Add", "Sub", "Mul"):
        yield f"constant_{kind.lower()}", model([node(kind, "c x")], [3, 2, 2], per_channel)
    yield "add_enlarges", model([node("Add", "x c")], [3, 1], {"c": weights(2, 1, 4)})
    yield "mul_scalar_constant_node", model(
        [node("Constant", "", "c", value_float=0.25), node("Mul", "c x")], [5]
    )
    yield "constant_kinds", model(
        [
            node("Constant", "", "a", value_floats=[1.0, 2.0, -3.0]),
            node("Constant", "", "i", value_int=2),
            node("Cast", "i", "f", to=TensorProto.FLOAT),
            node("Div", "a f", "c"),
            node("Mul", "x c"),
        ],
        [3],
    )
    yield "double", model([node("Gemm", "x w")], [4], {"w": weights(4, 2).astype(np.float64)}, kind=TensorProto.DOUBLE)
    typed = helper.make_tensor("w", TensorProto.FLOAT, [4, 2], weights(4, 2).ravel().tolist())
    listed = model([node("Gemm", "x w")], [4])
    listed.graph.initializer.append(typed)
    yield "weights_in_float_data", listed
    yield "residual", model(
        [node("MatMul", "x w", "m"), node("Add", "m x", "r"), node("Mul", "r r", "q"), node("Sub", "q r2"),],
        [4], {"w": weights(4, 4), "r2": weights(4)},
    )
    yield "residual_sub_broadcast", model(
        [node("ReduceMean", "x", "m", axes=[2, 3]), node("Sub", "x m")], [2, 3, 3], opset=13
    )
    yield "square_mul", model([node("Mul", "x x", "q"), node("MatMul", "q w")], [4], {"w": weights(4, 2)})
    yield "square_pow", model([node("MatMul", "x w", "m"), node("Pow", "m p")], [4], {"w": weights(4, 2), "p": f32(2)})
    yield "square_pow_integer", model([node("Pow", "x p")], [4], {"p": ints(2)})
    yield "square_through_identity", model(
        [node("MatMul", "x w", "m"), node("Identity", "m", "i"), node("Mul", "i m")], [4], {"w": weights(4, 2)}
    )
    yield "three_squares", model(
        [
            node("MatMul", "x w", "a"), node("Mul", "a a", "b"),
            node("Add", "b c", "d"), node("Pow", "d p", "e"), node("Mul", "e e"),
        ],
        [4], {"w": weights(4, 3), "c": weights(3), "p": f32([2, 2, 2])},
    )
    yield "dead_branch", model(
        [node("Relu", "x", "unused"), node("MatMul", "x w")], [4], {"w": weights(4, 2)}
    )


def torch_models():
    import torch
    import torch.nn as nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1, groups=2)
            self.norm = nn.BatchNorm2d(4)
            self.second = nn.Conv2d(4, 4, 3, padding=2, dilation=2, bias=False)
            self.pool = nn.AvgPool2d(2, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
            self.drop = nn.Dropout(0.5)
            self.flat_norm = nn.BatchNorm1d(24)
            self.last = nn.Linear(24, 3)

        def forward(self, x):
            x = self.norm(self.first(x))
            x = x + self.second(x)  # residual, no square between
            x = self.pool(x**2)
            x = x.view(x.size(0), -1)
            x = self.flat_norm(self.drop(x))
            return self.last(x * x)

    class Means(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(2, 4, 3, padding=1)
            self.last = nn.Linear(4, 3, bias=False)

        def forward(self, x):
            x = self.conv(2 * x - 1).square()
            return self.last(torch.flatten(nn.functional.adaptive_avg_pool1d(x, 1), 1))

    sys.path.insert(0, str(NETWORKS))
    from train import without_notes

    for name, network, shape in (("block", Block(), (2, 7, 5)), ("means", Means(), (2, 9))):
        torch.manual_seed(20261123)
        network.train()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.uniform_(-0.5, 0.5)
            for _ in range(4):  # statistics that are not 0 and 1
                network(torch.randn(8, *shape))
        network.eval()
        example = torch.zeros(2, *shape)
        for exporter in ("dynamo", "torchscript"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                dynamic = (
                    {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
                    if exporter == "dynamo"
                    else {"dynamic_axes": {"x": {0: "batch"}}}
                )
                torch.onnx.export(
                    network, (example,), str(path), input_names=["x"], output_names=["y"],
                    dynamo=exporter == "dynamo", external_data=False, **dynamic,
                )
                exported = onnx.load(path)
                without_notes(exported)
                yield f"torch_{name}_{exporter}", exported


def refused_models():
    m, w = model, {"w": weights(4, 4)}
    yield "relu", m([node("Relu", "x")], [4])
    yield "max_pool", m([node("MaxPool", "x", kernel_shape=[2, 2])], [1, 4, 4])
    yield "foreign_domain", m([node("FusedMatMul", "x w", domain="com.microsoft")], [4], w)
    yield "unknown_attribute", m([node("Gemm", "x w", broadcast=1)], [4], w)
    yield "wrong_attribute_type", m([node("Gemm", "x w", alpha=1)], [4], w)
    yield "division_by_activation", m([node("Div", "c x")], [4], {"c": weights(4)})
    yield "weights_from_input", m([node("Conv", "c x")], [1, 2, 2], {"c": weights(1, 1, 4, 4)})
    yield "training_batch_norm", m(
        [node("BatchNormalization", "x s s s s", "y m v", training_mode=1)], [4], {"s": weights(4)}
    )
    yield "training_dropout", m([node("Dropout", "x r t")], [4], {"r": f32(0.4), "t": np.array(True)})
    yield "dropout_mask", m([node("Dropout", "x", "d mask"), node("Cast", "mask", to=1)], [4])
    yield "fixed_batch", m([node("MatMul", "x w")], [4], w, batch=8)
    yield "open_axis", m([node("GlobalAveragePool", "x")], [1, "height", 4])
    yield "half_precision", m([node("MatMul", "x w")], [4], {"w": weights(4, 4).astype(np.float16)}, kind=TensorProto.FLOAT16)
    yield "half_weights", m([node("Cast", "w", "f", to=1), node("MatMul", "x f")], [4], {"w": weights(4, 4).astype(np.float16)})
    yield "not_finite", m([node("MatMul", "x w")], [4], {"w": np.full((4, 4), np.inf, np.float32)})
    yield "division_by_zero", m([node("Div", "x c")], [4], {"c": np.zeros(4, np.float32)})
    yield "inner_lengths", m([node("MatMul", "x w")], [3], w)
    yield "reshape_volume", m([node("Reshape", "x s")], [4], {"s": ints(1, 5)})
    yield "huge_broadcast", m([node("Add", "x c")], [1 << 11, 1], {"c": np.zeros((1, 1 << 11), np.float32)})
    yield "huge_gemm", m([node("Expand", "x s", "e"), node("Gemm", "e w")], [1 << 13], {"s": ints(1), **w})
    yield "old_opset", m([node("MatMul", "x w")], [4], w, opset=6)
    yield "constant_output", m([node("Identity", "w")], [4], w)
    yield "undefined", m([node("MatMul", "x nothing")], [4])
    yield "redefined", m([node("Identity", "x", "a"), node("Identity", "x", "a"), node("Identity", "a")], [4])
    yield "negative_pads", m([node("Conv", "x w", pads=[-1, 0, 0, 0])], [1, 4, 4], {"w": weights(1, 1, 2, 2)})
    yield "conv_3d", m([node("Conv", "x w")], [1, 3, 3, 3], {"w": weights(1, 1, 2, 2, 2)})
    yield "group_misfit", m([node("Conv", "x w", group=2)], [4, 3, 3], {"w": weights(3, 2, 2, 2)})
    yield "window_too_large", m([node("AveragePool", "x", kernel_shape=[5, 5])], [1, 4, 4])

    external = m([node("MatMul", "x w")], [4], w)
    weight = external.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="elsewhere.bin")
    yield "external_data", external
    short = m([node("MatMul", "x w")], [4], w)
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-1]
    yield "short_tensor", short
    vast = m([node("MatMul", "x w")], [4], w)
    vast.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    yield "vast_tensor", vast
    sparse = m([node("MatMul", "x w")], [4])
    sparse.graph.sparse_initializer.append(
        helper.make_sparse_tensor(numpy_helper.from_array(weights(1), "w"), numpy_helper.from_array(ints(3)), [4, 4])
    )
    yield "sparse_initializer", sparse
    local = m([node("MatMul", "x w")], [4], w)
    local.functions.append(
        helper.make_function("", "MatMul", ["a", "b"], ["c"], [node("Add", "a b", "c")], [helper.make_opsetid("", 17)])
    )
    yield "local_function", local


def session(made):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(made.SerializeToString(), options)


def reference_verdict(made, input_name, inputs, outputs):
    try:
        reference = ReferenceEvaluator(made)
        given = [reference.run(None, {input_name: sample})[0] for sample in inputs]
    except Exception as error:
        return f"fails ({type(error).__name__})"
    agrees = all(np.allclose(*pair, rtol=1e-4, atol=1e-5) for pair in zip(given, outputs))
    return "agrees" if agrees else "differs"


def write(name, made):
    run = session(made)
    (spec,) = run.get_inputs()
    shape = [length if isinstance(length, int) else 1 for length in spec.shape]
    kind = np.float64 if "double" in spec.type else np.float32
    inputs = RNG.uniform(-1, 1, (SAMPLES, *shape)).astype(kind)
    outputs = np.stack([run.run(None, {spec.name: sample})[0] for sample in inputs])
    verdict = reference_verdict(made, spec.name, inputs, outputs)
    if verdict != REFERENCE_VERDICTS.get(name, "agrees"):
        print(f"{name}: the reference evaluator {verdict}")
    onnx.save(made, HERE / f"{name}.onnx")
    np.save(HERE / f"{name}.inputs.npy", inputs.reshape(SAMPLES, -1))
    np.save(HERE / f"{name}.outputs.npy", outputs.reshape(SAMPLES, -1))


def shipped():
    raw = gzip.decompress((NETWORKS / "data/test-images.idx3.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28).astype(np.float32) / 255
    for name in ("mlp", "cryptonets", "e2dm"):
        logits = session(onnx.load(NETWORKS / f"{name}.onnx")).run(None, {"image": images})[0]
        np.save(HERE / f"shipped_{name}.outputs.npy", logits)


def main():
    (HERE / "refused").mkdir(exist_ok=True)
    families = (linear_models, conv_models, norm_models, pool_models, shape_models, elementwise_models, torch_models)
    for family in families:
        for name, made in family():
            write(name, made)
    for name, made in refused_models():
        onnx.save(made, HERE / "refused" / f"{name}.onnx")
    shipped()


if __name__ == "__main__":
    main()
