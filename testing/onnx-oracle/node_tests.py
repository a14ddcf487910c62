"""The ONNX project's own test cases (in its Python package) against the import; keeps the list of what passes.

    pip install numpy onnx
    python testing/onnx-oracle/node_tests.py [--check] [--store FOLDER]

A case passes where the import's network gives the expected outputs to 1e-4. What a case feeds as an input but a network stores (weights,
axes, shapes, bounds) becomes an initializer: all inputs but the first, and where both of a pair are floats of an operator of values
(Add, MatMul, Concat, …) the case is also tried with all of them as inputs. Tensors are taken whole, since cases have no batch; functions
that are no polynomials are fitted (degree 32) over the case's own input and held to the error that the fit states.

Writes node_tests.txt: a line a case, `pass` or `refused` with the reason. `--check` compares with the list that is there instead.
"""

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from differential import run

LIST = Path(__file__).parent / "node_tests.txt"
# Operators whose every float input may be an activation.
OF_VALUES = {"Add", "Sub", "Mul", "Sum", "Mean", "Max", "Min", "Concat", "MatMul", "Where"}


def variants(case):
    """(name, operator, model, inputs, expected outputs) of a case, by which inputs stay inputs."""
    model, graph = case.model, case.model.graph
    inputs, outputs = case.data_sets[0]
    if any(isinstance(v, (list, dict)) or v is None for v in [*inputs, *outputs]):
        raise ValueError("sequences, optionals and maps are no tensors")
    inputs, outputs = [[np.asarray(v) for v in side] for side in (inputs, outputs)]
    floats = [i for i, v in enumerate(inputs) if v.dtype in (np.float32, np.float64)]
    if not floats:
        raise ValueError("no input of floats")
    choices = [(case.name, [floats[0]])]
    operator = graph.node[0].op_type
    if len(graph.node) == 1 and operator in OF_VALUES and len(floats) > 1:
        choices.append((f"{case.name} (all inputs)", floats))
    for name, kept in choices:
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        del changed.graph.input[:]
        for i, (info, value) in enumerate(zip(graph.input, inputs)):
            if i in kept:
                new = changed.graph.input.add()
                new.CopyFrom(info)
                shape = new.type.tensor_type.shape
                del shape.dim[:]
                for length in value.shape:
                    shape.dim.add().dim_value = length
            else:
                changed.graph.initializer.append(numpy_helper.from_array(value, info.name))
        yield name, operator, changed, [inputs[i] for i in kept], outputs


def store(folder, cases, verdicts, target):
    """The smallest cases of each operator that pass without a fit, as the compiler's tests read them."""
    target.mkdir(parents=True, exist_ok=True)
    count = {}
    for path, (name, operator, outputs) in sorted(cases.items(), key=lambda c: Path(c[0] + ".onnx").stat().st_size):
        if verdicts[name] == "pass" and "expanded" not in name and count.get(operator, 0) < 2:
            count[operator] = count.get(operator, 0) + 1
            stem = target / Path(path).name
            Path(f"{stem}.onnx").write_bytes(Path(path + ".onnx").read_bytes())
            np.save(f"{stem}.inputs.npy", np.fromfile(path + ".in", "<f8").reshape(1, -1).astype(np.float32))
            flat = np.concatenate([o.reshape(-1) for o in outputs]).reshape(1, -1).astype(np.float32)
            np.save(f"{stem}.outputs.npy", flat)
    print(f"{sum(count.values())} cases of {len(count)} operators stored in {target}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path, help="put a small choice there, for the compiler's tests")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    folder, lines, cases = Path(tempfile.mkdtemp()), [], {}
    verdicts = {}
    for case in sorted(load_model_tests(kind="node"), key=lambda c: c.name):
        try:
            found = list(variants(case))
        except Exception as error:
            verdicts[case.name] = f"refused\tthe case cannot be posed: {str(error)[:100]}"
            continue
        for name, operator, model, inputs, outputs in found:
            path = folder / re.sub(r"\W", "_", name)
            try:
                onnx.save(model, f"{path}.onnx")
            except Exception as error:
                verdicts[name] = f"refused\tthe case cannot be posed: {str(error)[:100]}"
                continue
            flat = np.concatenate([v.reshape(-1) for v in inputs]).astype("<f8")
            flat.tofile(f"{path}.in")
            cases[str(path)] = (name, operator, outputs)
            lines.append(f"{path}\tlen={max(1, len(flat))}\twhole\tfit\tdegree=32")
    wrong = []
    for path, (status, reason) in run(lines).items():
        name, operator, outputs = cases[path]
        if status != "ok":
            verdicts[name] = f"refused\t{reason[:100]}"
            continue
        expected = np.concatenate([o.reshape(-1).astype(np.float64) for o in outputs]) if outputs else np.zeros(0)
        found = np.fromfile(path + ".out", "<f8")
        stated = sum(float(part.split()[0]) for part in reason.split("off by ")[1:])
        if expected.shape != found.shape:
            verdicts[name] = "WRONG\tanother number of values"
        elif len(expected) and not np.abs(expected - found).max() <= 1e-4 * max(1.0, np.abs(expected).max()) + 2 * stated:
            verdicts[name] = f"WRONG\toff by {np.abs(expected - found).max():.1e}"
        else:
            fitted = f"\tfitted, off by at most {stated:.1e}" if stated else ""
            verdicts[name] = f"pass{fitted}"
        if verdicts[name].startswith("WRONG"):
            wrong.append(name)
    if args.store:
        store(folder, cases, verdicts, args.store)
    shutil.rmtree(folder)
    text = "".join(f"{name}\t{verdict}\n" for name, verdict in sorted(verdicts.items()))
    passed = sum(verdict.startswith("pass") for verdict in verdicts.values())
    print(f"{passed} pass, {len(verdicts) - passed - len(wrong)} refused, {len(wrong)} wrong of {len(verdicts)} (onnx {onnx.__version__})")
    for name in wrong:
        print(f"{name}\t{verdicts[name]}")
    if args.check:
        before = dict(line.split("\t", 1) for line in LIST.read_text().splitlines())
        lost = [name for name, verdict in before.items() if verdict.startswith("pass") and not verdicts.get(name, "").startswith("pass")]
        print("\n".join(f"no longer passes: {name}: {verdicts.get(name)}" for name in lost))
        sys.exit(1 if lost or wrong else 0)
    LIST.write_text(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
