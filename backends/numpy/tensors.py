"""Operators that rescale, add or rearrange elements, on int64 arrays with the batch first."""

from __future__ import annotations

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


#: The operators, by name.
TENSORS: dict[str, Operator] = {
    "IntRescale": rescale,
    "IntSum": add,
    "IntReshape": lambda program, node, x: x[0].reshape(len(x[0]), *node["attributes"]["shape"]),
    "IntRepeat": lambda program, node, x: x[0],
    "IntOutput": lambda program, node, x: x[0],
}
