"""Net (d) for ONNX Runtime in float: its steps one after the other, as torch exports them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from examples.benchmarks.c_speed.case import Run
from examples.benchmarks.c_speed.onnx_dense import Builder

HEADS = 4


def float_run(
    weights: Sequence[npt.NDArray[np.int8]], thresholds: Sequence[float], x: npt.NDArray[np.uint8]
) -> Run:
    """All steps of a sample in one call."""
    g, (steps, tokens, features) = Builder(), x.shape[1:]
    matrices = [g.constant(w.T.astype(np.float32) / 128) for w in weights]
    thetas = [g.constant(np.float32(t)) for t in thresholds]
    decay, eighth = g.constant(np.float32(0.9)), g.constant(np.float32(0.125))
    split = g.constant(np.array([tokens, 3, HEADS, features // HEADS], np.int64))
    joined = g.constant(np.array([tokens, features], np.int64))
    first = g.constant(np.array([0], np.int64))
    v = [""] * len(thetas)

    def fired(i: int, current: str) -> str:
        u = g("Add", g("Mul", v[i], decay), current) if v[i] else current
        s = g("Cast", g("GreaterOrEqual", u, thetas[i]), to=TensorProto.FLOAT)
        v[i] = g("Sub", u, g("Mul", s, thetas[i]))
        return s

    total = ""
    for frame in g.several("Split", steps, "x", axis=0, num_outputs=steps):
        step = g("Squeeze", frame, first)
        s = fired(0, g("MatMul", step, matrices[0]))
        parts = g.several("Split", 3, g("Reshape", s, split), axis=1, num_outputs=3)
        axis = g.constant(np.array([1], np.int64))
        q, k, value = (g("Squeeze", part, axis) for part in parts)
        q, value = (g("Transpose", part, perm=[1, 0, 2]) for part in (q, value))
        scores = g("MatMul", q, g("Transpose", k, perm=[1, 2, 0]))
        mixed = g("Mul", g("MatMul", scores, value), eighth)
        s = fired(1, g("Reshape", g("Transpose", mixed, perm=[1, 0, 2]), joined))
        y = g("Add", step, fired(2, g("MatMul", s, matrices[1])))
        s = fired(3, g("MatMul", y, matrices[2]))
        out = g("Add", y, fired(4, g("MatMul", s, matrices[3])))
        total = g("Add", total, out) if total else out
    session = g.session((steps, tokens, features), TensorProto.FLOAT, total)
    samples = x.astype(np.float32)
    return lambda first, count: np.stack(
        [session.run(None, {"x": samples[n]})[0] for n in range(first, first + count)]
    )
