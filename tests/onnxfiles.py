"""ONNX files for tests: one layer of leaky neurons as a Scan, a Loop, a single step, unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IN, OUT = 6, 8
Shape = Sequence[int | str] | None


def floats(values: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def ints(values: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.int64), name)


def info(name: str, shape: Shape = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def parameters() -> list[onnx.TensorProto]:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(OUT, IN)), rng.normal(size=OUT)
    return [floats(weight, "fc.weight"), floats(bias, "fc.bias"), floats(0.9, "decay"),
            floats(1, "one")]  # fmt: skip


def neuron(x: str, v: str, new: str, spikes: str, tag: str = "") -> list[onnx.NodeProto]:
    """``v' = 0.9 v + fc(x)``, a spike at 1 and above, which is subtracted."""
    node = helper.make_node
    return [
        node("Gemm", [x, "fc.weight", "fc.bias"], [f"cur{tag}"], transB=1),
        node("Mul", [v, "decay"], [f"dec{tag}"]),
        node("Add", [f"dec{tag}", f"cur{tag}"], [f"mem{tag}"]),
        node("GreaterOrEqual", [f"mem{tag}", "one"], [f"ge{tag}"]),
        node("Cast", [f"ge{tag}"], [spikes], to=1),
        node("Sub", [f"mem{tag}", spikes], [new]),
    ]


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Shape]],
    outputs: Sequence[str],
    tensors: Sequence[onnx.TensorProto],
    opset: int = 17,
) -> onnx.ModelProto:
    typed = [info(n, s) for n, s in inputs], [info(n) for n in outputs]
    graph = helper.make_graph(list(nodes), "g", *typed, list(tensors))
    versions = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def _spikes_copied(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    return [*nodes, helper.make_node("Identity", ["s"], ["s_out"])]


def scan(steps: int | str = "T", batch: int | str = "N", axis: int = 0, **attrs: Any) -> bytes:
    """Input (T, N, 6), or (N, T, 6) for ``axis=1``; zeros are made from its shape."""
    inner = _spikes_copied(neuron("xt", "v", "v_new", "s"))
    body = helper.make_graph(inner, "b", [info("v"), info("xt")], [info("v_new"), info("s_out")])
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "where"], ["samples"], axis=0),
        node("Concat", ["samples", "width"], ["wanted"], axis=0),
        node("ConstantOfShape", ["wanted"], ["v0"]),
        node("Scan", ["v0", "x"], ["v_end", "spikes"], body=body, num_scan_inputs=1,
             scan_input_axes=[axis], **attrs),
    ]  # fmt: skip
    tensors = [*parameters(), ints([1 - axis], "where"), ints([OUT], "width")]
    shape = [steps, batch, IN] if axis == 0 else [batch, steps, IN]
    return model(nodes, [("x", shape)], ["spikes"], tensors).SerializeToString()


def loop(steps: int | str = "T") -> bytes:
    """A Loop over (T, 2, 6) and the mean of its spikes; its bound is constant if T is."""
    bound = isinstance(steps, int)
    node = helper.make_node
    inner = [node("Gather", ["x", "t"], ["xt"], axis=0)]
    inner += _spikes_copied(neuron("xt", "v", "v_new", "s"))
    inner += [node("Identity", ["going"], ["going_on"])]
    body = helper.make_graph(
        inner,
        "b",
        [info("t", [], TensorProto.INT64), info("going", [], TensorProto.BOOL), info("v")],
        [info("going_on", [], TensorProto.BOOL), info("v_new"), info("s_out")],
    )
    nodes = [] if bound else [
        node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "first"], ["rounds"], axis=0)
    ]  # fmt: skip
    nodes += [
        node("Loop", ["rounds", "true", "v0"], ["v_end", "spikes"], body=body),
        node("ReduceMean", ["spikes"], ["rate"], axes=[0], keepdims=0),
    ]
    true = numpy_helper.from_array(np.array(True), "true")
    tensors = [*parameters(), ints(0, "first"), true, floats(np.zeros((2, OUT)), "v0")]
    tensors += [ints(steps, "rounds")] if bound else []
    return model(nodes, [("x", [steps, 2, IN])], ["rate"], tensors).SerializeToString()


def step(before: str = "v", after: str = "v_out", batch: int | str = 2) -> bytes:
    """One step with its state as input and output."""
    nodes = _spikes_copied(neuron("x", before, after, "s"))
    inputs = [("x", [batch, IN]), (before, [batch, OUT])]
    return model(nodes, inputs, ["s_out", after], parameters()).SerializeToString()


def unrolled(steps: int = 5, batch: int = 2) -> bytes:
    """Written out step by step; the spikes of all steps are stacked."""
    node = helper.make_node
    nodes: list[onnx.NodeProto] = []
    for t in range(steps):
        before = f"v{t - 1}" if t else "zeros"
        nodes += [node("Gather", ["x", f"t{t}"], [f"x{t}"], axis=0)]
        nodes += neuron(f"x{t}", before, f"v{t}", f"s{t}", str(t))
        nodes += [node("Unsqueeze", [f"s{t}", "t0_axes"], [f"w{t}"])]
    nodes += [node("Concat", [f"w{t}" for t in range(steps)], ["spikes"], axis=0)]
    tensors = [*parameters(), ints([0], "t0_axes"), floats(np.zeros((batch, OUT)), "zeros")]
    tensors += [ints(t, f"t{t}") for t in range(steps)]
    return model(nodes, [("x", [steps, batch, IN])], ["spikes"], tensors).SerializeToString()
