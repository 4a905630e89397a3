"""Net (b) for ONNX Runtime: layer by layer, the loop over time unrolled.

The int8 graph is the float one after ONNX Runtime's static quantization with QDQ nodes: the fastest
known for this net (ConvInteger is four times as slow).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto
from onnxruntime import quantization
from onnxruntime.quantization.preprocess import quant_pre_process

from examples.benchmarks.c_speed.case import Run
from examples.benchmarks.c_speed.onnx_dense import Builder

GEOMETRY: tuple[dict[str, list[int]], ...] = ({"strides": [2, 2]}, {"pads": [1, 1, 1, 1]}, {})
Weights = Sequence[npt.NDArray[np.int8]]
Samples = npt.NDArray[np.float32]


def float_run(weights: Weights, thresholds: Sequence[int], x: npt.NDArray[np.uint8]) -> Run:
    """In float."""
    return session_run(_model(weights, thresholds, x.shape[1:]), x.astype(np.float32))


def qdq_run(weights: Weights, thresholds: Sequence[int], x: npt.NDArray[np.uint8]) -> Run:
    """With convolutions and products of 8 bits, calibrated on the samples."""
    samples = x.astype(np.float32)
    return session_run(quantized(_model(weights, thresholds, x.shape[1:]), samples), samples)


def quantized(model: onnx.ModelProto, samples: Samples) -> onnx.ModelProto:
    """The model after ONNX Runtime's static quantization, calibrated on two samples."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quant_pre_process(str(source), str(source), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(source),
            str(target),
            _Reader(model.graph.input[0].name, samples),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        )
        return onnx.load(target)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, samples: Samples) -> None:
        self.name, self.rest = name, iter(samples[:2])

    def get_next(self) -> dict[str, Any] | None:
        x = next(self.rest, None)
        return None if x is None else {self.name: x}


def session_run(model: onnx.ModelProto, samples: Samples) -> Run:
    """A model of one input and one output in a session of one thread, sample by sample."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = model.graph.input[0].name
    return lambda first, count: np.stack(
        [session.run(None, {name: samples[n]})[0] for n in range(first, first + count)]
    )


def _model(weights: Weights, thresholds: Sequence[int], shape: tuple[int, ...]) -> onnx.ModelProto:
    g, steps = Builder(), shape[0]
    decay, value = g.constant(np.float32(0.9)), "x"
    for i, (w, threshold) in enumerate(zip(weights, thresholds, strict=True)):
        theta, v, found = g.constant(np.float32(threshold)), "", []
        if i == 2:
            pool = g("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
            value = g("Mul", pool, g.constant(np.float32(4)))
        if i < 3:
            currents = g("Conv", value, g.constant(w.astype(np.float32)), **GEOMETRY[i])
        else:
            if i == 3:
                value = g("Reshape", value, g.constant(np.array([steps, -1], np.int64)))
            currents = g("MatMul", value, g.constant(w.T.astype(np.float32)))
        for current in g.several("Split", steps, currents, axis=0, num_outputs=steps):
            v = g("Add", g("Mul", v, decay), current) if v else current
            s = g("Cast", g("GreaterOrEqual", v, theta), to=TensorProto.FLOAT)
            v = g("Sub", v, g("Mul", s, theta))
            found.append(s)
        value = g("Concat", *found, axis=0)
    result = g("ReduceSum", value, g.constant(np.array([0], np.int64)), keepdims=0)
    return g.model(shape, TensorProto.FLOAT, result)
