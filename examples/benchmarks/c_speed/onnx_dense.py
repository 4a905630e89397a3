"""Dense networks for ONNX Runtime: layer by layer, the loop over time unrolled.

The float graph multiplies with MatMul.  The int8 graph is the fastest exact one that is known:
spikes as uint8 times weights as int8 with MatMulInteger, then the neurons in float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from examples.benchmarks.c_speed.case import Array, Run

if TYPE_CHECKING:
    from examples.benchmarks.c_speed.dense import Layer

OPSET = 18


class Builder:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Array) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output."""
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node."""
        names = [f"n{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def model(self, x: tuple[int, ...], kind: int, result: str) -> onnx.ModelProto:
        """The graph as a model of input ``x``."""
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, x)],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        return model

    def session(self, x: tuple[int, ...], kind: int, result: str) -> onnxruntime.InferenceSession:
        """A session of one thread for input ``x``."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            self.model(x, kind, result).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )


def onnx_run(layers: Sequence[Layer], x: npt.NDArray[np.uint8]) -> Run:
    """In float."""
    samples = x.astype(np.float32)
    session = _session(layers, x.shape[1], x.shape[2], integers=False)
    return lambda first, count: _scores(session, samples[first : first + count])


def int8_run(layers: Sequence[Layer], x: npt.NDArray[np.uint8]) -> Run:
    """With integer products."""
    session = _session(layers, x.shape[1], x.shape[2], integers=True)
    return lambda first, count: _scores(session, x[first : first + count])


def _scores(session: onnxruntime.InferenceSession, samples: Array) -> Array:
    return np.concatenate([session.run(None, {"x": x[:, None]})[0] for x in samples])


def _session(
    layers: Sequence[Layer], steps: int, fan_in: int, integers: bool
) -> onnxruntime.InferenceSession:
    g = Builder()
    decay = g.constant(np.float32(0.9))
    kind = np.int8 if integers else np.float32
    spikes = TensorProto.UINT8 if integers else TensorProto.FLOAT
    value = "x"

    def product(x: str, w: npt.NDArray[np.int8]) -> str:
        w_name = g.constant(w.T.astype(kind))
        return times(x, w_name)

    def times(x: str, w_name: str) -> str:
        if not integers:
            return g("MatMul", x, w_name)
        return g("Cast", g("MatMulInteger", x, w_name), to=TensorProto.FLOAT)

    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        theta = g.constant(np.float32(layer.threshold))
        currents = g.several(
            "Split", steps, product(value, layer.weight), axis=0, num_outputs=steps
        )
        own = None if layer.recurrent is None else g.constant(layer.recurrent.T.astype(kind))
        v = s = ""
        found = []
        for current in currents:
            if own is not None and s:
                current = g("Add", current, times(s, own))
            v = g("Add", g("Mul", v, decay), current) if v else current
            fired = g("GreaterOrEqual", v, theta)
            as_float = g("Cast", fired, to=TensorProto.FLOAT)
            v = g("Sub", v, g("Mul", as_float, theta))
            s = g("Cast", fired, to=spikes) if integers and not last else as_float
            found.append(s)
        value = g("Concat", *found, axis=0)
    axes = g.constant(np.array([0], np.int64))
    result = g("ReduceSum", value, axes, keepdims=0)
    return g.session((steps, 1, fan_in), spikes, result)
