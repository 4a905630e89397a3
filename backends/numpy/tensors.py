"""Operators that rescale, add or rearrange elements, on int64 arrays with the batch first."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.arithmetic import rsh
from snnc.backends.numpy.program import Array, Operator, Program, Record


def rescale(program: Program, node: Record, operands: list[Array]) -> Array:
    """``rsh(x * multiplier, shift, rounding) + bias``."""
    a = node["attributes"]
    y = rsh(operands[0] * program.param(a["multiplier"]), a["shift"], a["rounding"])
    return y if a["bias"] is None else y + program.param(a["bias"])


def add(program: Program, node: Record, operands: list[Array]) -> Array:
    """Sum of the operands."""
    total = operands[0]
    for x in operands[1:]:
        total = total + x
    return total


def transpose(program: Program, node: Record, operands: list[Array]) -> Array:
    """``y[i0, i1, …] = x[j0, j1, …]`` with ``i_k = j_perm[k]``."""
    return operands[0].transpose(0, *(p + 1 for p in node["attributes"]["perm"]))


def part(program: Program, node: Record, operands: list[Array]) -> Array:
    """``x[…, start:stop:step, …]`` of one axis."""
    a = node["attributes"]
    window = slice(a["start"], a["stop"], a["step"])
    return np.asarray(operands[0][(slice(None),) * (a["axis"] + 1) + (window,)])


def expand(program: Program, node: Record, operands: list[Array]) -> Array:
    """Repeat along new axes in front, and along axes of extent 1."""
    (x,), shape = operands, node["attributes"]["shape"]
    x = x.reshape(len(x), *[1] * (len(shape) + 1 - x.ndim), *x.shape[1:])
    return np.broadcast_to(x, (len(x), *shape))


def take(program: Program, node: Record, operands: list[Array]) -> Array:
    """``x[…, index, …]`` of one axis."""
    a = node["attributes"]
    return np.take(operands[0], program.param(a["index"]), a["axis"] + 1)


def upsample(program: Program, node: Record, operands: list[Array]) -> Array:
    """Each element ``factor`` times along the last axes."""
    y, factors = operands[0], node["attributes"]["factor"]
    for axis, factor in enumerate(factors, y.ndim - len(factors)):
        y = np.repeat(y, factor, axis)
    return y


def pad(program: Program, node: Record, operands: list[Array]) -> Array:
    """Zeros around the elements."""
    a = node["attributes"]
    sides = zip(a["before"], a["after"], strict=True)
    return np.pad(operands[0], [(0, 0), *sides])


#: The operators, by name.
TENSORS: dict[str, Operator] = {
    "IntRescale": rescale,
    "IntSum": add,
    "IntReshape": lambda program, node, x: x[0].reshape(len(x[0]), *node["attributes"]["shape"]),
    "IntTranspose": transpose,
    "IntSlice": part,
    "IntConcat": lambda program, node, x: np.concatenate(x, node["attributes"]["axis"] + 1),
    "IntExpand": expand,
    "IntTake": take,
    "IntPad": pad,
    "IntUpsample": upsample,
    "IntRepeat": lambda program, node, x: x[0],
    "IntHold": lambda program, node, x: x[0],
    "IntOutput": lambda program, node, x: x[0],
}
