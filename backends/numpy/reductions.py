"""Operators that reduce axes of one sample, on int64 arrays with the batch first."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.backends.numpy.program import Array, Operator, Program, Record


def reduce(program: Program, node: Record, operands: list[Array]) -> Array:
    """Sum, maximum, minimum or product over the axes."""
    a = node["attributes"]
    function: Any = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}[a["fn"]]
    axes = tuple(axis + 1 for axis in a["axes"])
    return np.asarray(function(operands[0], axis=axes, keepdims=a["keepdims"]))


def argmax(program: Program, node: Record, operands: list[Array]) -> Array:
    """The smallest ``i`` for which ``x[…, i, …]`` is the maximum along the axis."""
    return np.asarray(np.argmax(operands[0], node["attributes"]["axis"] + 1), np.int64)


def top_k(program: Program, node: Record, operands: list[Array]) -> Array:
    """The first ``k`` of all elements along the axis in falling order, equal ones in their own."""
    a, (x,) = node["attributes"], operands
    axis = a["axis"] + 1
    order = np.argsort(-x, axis, kind="stable").take(np.arange(a["k"]), axis)
    return np.asarray(order if a["positions"] else np.take_along_axis(x, order, axis), np.int64)


#: The operators, by name.
REDUCTIONS: dict[str, Operator] = {"IntReduce": reduce, "IntArgMax": argmax, "IntTopK": top_k}
