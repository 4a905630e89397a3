"""Processor time of the integer Scan that ``--target onnx`` writes and of a float Scan of the net.

The network is that of ``c_events.py``: LIF neurons, 8-bit weights, 25 steps in which a tenth of the
inputs are spikes.  The float model has the same structure in float32: one Scan, a MatMul per layer,
and the usual update ``u = beta * v + i``, spike, reset by subtraction.  Both run in ONNX Runtime on
one thread and take turns; the least time of each counts.  The integers are compared with the
simulator first.

    python -m examples.benchmarks.onnx_scan
    python -m examples.benchmarks.onnx_scan --sizes 784,512,512,10 --batch 1,128
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from examples.benchmarks.c_events import BITS, DECAY, STEPS, Case, make
from snnc.backends.numpy.backend import NumpyBackend
from snnc.backends.numpy.simulator import Simulator
from snnc.backends.onnx.backend import OnnxBackend
from snnc.backends.onnx.network import IR_VERSION, OPSET


def float_model(case: Case) -> bytes:
    """One Scan in float32: inputs x (N, T, in) and the first membranes, output the spike counts."""
    nodes, stored, states = [], [], []
    spikes = "x_t"
    beta = numpy_helper.from_array(np.array(DECAY / (1 << BITS), np.float32), "beta")
    for i, (w, theta) in enumerate(zip(case.weights, case.thresholds, strict=True)):
        stored.append(numpy_helper.from_array(w.T.astype(np.float32), f"w{i}"))
        stored.append(numpy_helper.from_array(theta.astype(np.float32), f"theta{i}"))
        for kind, inputs, out in (
            ("MatMul", (spikes, f"w{i}"), f"i{i}"),
            ("Mul", (f"v{i}", "beta"), f"d{i}"),
            ("Add", (f"d{i}", f"i{i}"), f"u{i}"),
            ("GreaterOrEqual", (f"u{i}", f"theta{i}"), f"b{i}"),
            ("Cast", (f"b{i}",), f"s{i}"),
            ("Mul", (f"s{i}", f"theta{i}"), f"r{i}"),
            ("Sub", (f"u{i}", f"r{i}"), f"n{i}"),
        ):
            to = {"to": TensorProto.FLOAT} if kind == "Cast" else {}
            nodes.append(helper.make_node(kind, inputs, [out], **to))
        states.append((f"v{i}", f"n{i}", len(theta)))
        spikes = f"s{i}"
    out = len(case.thresholds[-1])
    nodes.append(helper.make_node("Add", ["count", spikes], ["next_count"]))
    states.append(("count", "next_count", out))

    def value(name: str, *shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    body = helper.make_graph(
        nodes,
        "body",
        [*(value(a, "N", n) for a, _, n in states), value("x_t", "N", case.weights[0].shape[1])],
        [value(b, "N", n) for _, b, n in states],
        [beta, *stored],
    )
    left = [f"left_{a}" for a, _, _ in states]
    scan = helper.make_node(
        "Scan",
        [*(f"first_{a}" for a, _, _ in states), "x"],
        left,
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[1],
    )
    inputs = [value(f"first_{a}", "N", n) for a, _, n in states]
    inputs.append(value("x", "N", "T", case.weights[0].shape[1]))
    graph = helper.make_graph([scan], "float", inputs, [value("left_count", "N", out)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def session(raw: bytes) -> Any:
    """ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(raw, options, ["CPUExecutionProvider"])


def least(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Least processor time of each, in seconds."""
    found = [float("inf")] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            start = time.thread_time()
            call()
            found[i] = min(found[i], time.thread_time() - start)
    return found


def main() -> None:
    """Print one line per batch size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="784,512,512,10")
    parser.add_argument("--batch", default="1,32,128")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    sizes = tuple(int(n) for n in options.sizes.split(","))
    case = make(0.1, sizes)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        OnnxBackend().compile(case.graph).write(folder / "onnx")
        NumpyBackend().compile(case.graph).write(folder / "numpy")
        simulator = Simulator.load(folder / "numpy")
        integer = session((folder / "onnx" / "model.onnx").read_bytes())
    real = session(float_model(case))
    for batch in (int(n) for n in options.batch.split(",")):
        x = (rng.random((batch, STEPS, sizes[0])) < 0.1).astype(np.uint8)
        (counts,) = integer.run(["out"], {"x": x})
        np.testing.assert_array_equal(counts, simulator.run(x)[0]["out"])
        feed = {"x": x.astype(np.float32), "first_count": np.zeros((batch, sizes[-1]), np.float32)}
        feed |= {f"first_v{i}": np.zeros((batch, n), np.float32) for i, n in enumerate(sizes[1:])}
        calls = [lambda x=x: integer.run(["out"], {"x": x}), lambda f=feed: real.run(None, f)]
        whole, floats = least(calls, options.repeats)
        print(
            f"{'-'.join(map(str, sizes))}, batch {batch}, {STEPS} steps: integer Scan "
            f"{1e3 * whole:.2f} ms, float Scan {1e3 * floats:.2f} ms, "
            f"{floats / whole:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
