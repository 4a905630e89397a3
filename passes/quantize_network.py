"""Sums, leftover affine operators and outputs in integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import ONE, Expr, floats, leaf, nearest, signs
from snnc.graph import Graph, Node, Value
from snnc.intops import IntOutput, IntRescale
from snnc.params import Param, compact
from snnc.passes.quantize_neuron import lower_neuron
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import MOST_BITS, Lowered, QValue

#: Fractional bits of a sum of values in different units, and of a bias behind a pool.
SUM_GUARD = 12
#: The same of an output's rows.
OUTPUT_GUARD = 8
#: Fractional bits of a value to which a constant is added outside a neuron.
OFFSET_GUARD = 14


def is_constant(graph: Graph, name: str) -> bool:
    """Whether a node's value is known when the program is made."""
    op = graph[name].op
    if isinstance(op, ops.Constant):
        return True
    edges = graph.in_edges(name)
    return isinstance(op, ops.Pointwise) and all(is_constant(graph, e.src) for e in edges)


def _sum(low: Lowered, node: Node, x: list[QValue]) -> None:
    if len({v.per_step for v in x}) > 1:
        text = f"{node.name} adds a mean over time and a value that is none"
        low.problems.append(error("E224", text, node.loc, help="sum over time instead"))
        return
    operands = [low.settled(v) for v in x]
    first = operands[0].unit
    if any(v.unit != first for v in operands):
        sizes = np.broadcast_arrays(*(np.abs(floats(v.unit)) for v in operands))
        target = leaf(np.maximum.reduce(sizes)) / leaf(float(1 << SUM_GUARD))
        operands = [low.rescaled(node, v, target) for v in operands]
    low.add(node, intops.IntSum(), *operands)
    per_step = any(v.per_step for v in operands)
    low.values[node.name, 0] = QValue(Value(node.name), operands[0].unit, per_step)


def offset_bits(steps: Expr) -> int:
    """Bits by which a unit must be finer so that the largest constant is ``2**14`` steps.

    >>> offset_bits(leaf([0.0, 3.0])), offset_bits(leaf(1e9))
    (13, 0)
    """
    largest = float(np.abs(floats(steps)).max(initial=0.0))
    coarse = int(np.frexp(largest)[1]) - 1 if largest else OFFSET_GUARD
    return min(max(0, OFFSET_GUARD - coarse), OFFSET_GUARD)


def _affine(low: Lowered, node: Node, x: list[QValue]) -> None:
    """A leftover ``c * x``, ``x / c``, ``x + c`` or ``c - x``."""
    op, v = node.op, low.settled(x[0])
    assert isinstance(op, ops.Pointwise), "called for pointwise operators only"
    edges = low.real.in_edges(node.name)
    constants = [low.constant(e.src) for e in edges if is_constant(low.real, e.src)]
    c = constants[0] if constants else -ONE
    if op.fn in ("mul", "div", "neg"):
        c = ONE / c if op.fn == "div" else c
        if (signs(c) > 0).all():
            low.values[node.name, 0] = replace(v, unit=v.unit * c)
            return
        magnitude = leaf(np.maximum(np.abs(floats(c)), np.finfo(np.float64).tiny))
        low.add(node, IntRescale(Param(compact(signs(c)))), v)
        low.values[node.name, 0] = QValue(Value(node.name), v.unit * magnitude, v.per_step)
        return
    if v.per_step:
        low.problems.append(error("E224", f"{node.name} adds to a mean over time", node.loc))
        return
    minus = op.fn == "sub" and is_constant(low.real, edges[0].src)
    c = -c if op.fn == "sub" and not minus else c
    finer = offset_bits(c / v.unit)
    unit = v.unit / leaf(float(1 << finer))
    factor = Param(compact(np.array(-(1 << finer) if minus else 1 << finer)))
    low.add(node, IntRescale(factor, 0, "half_away", Param(compact(nearest(c / unit)))), v)
    low.values[node.name, 0] = QValue(Value(node.name), unit)


def _output(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.settled(x[0])
    (edge,) = low.real.in_edges(node.name)
    stacked = isinstance(low.real[edge.src].op, ops.TimeStack)
    scale = floats(v.unit)
    if not stacked and scale.size > 1 and not (scale == scale.reshape(-1)[0]).all():
        # Rows with scales of their own: one common unit, so that integers compare across rows.
        # A value as wide as a word allows has digits enough.
        guard = 0 if low.excess(v, MOST_BITS - OUTPUT_GUARD) else OUTPUT_GUARD
        largest = leaf(float(np.abs(scale).max()) / (1 << guard))
        v = low.rescaled(node, v, largest)
        scale = floats(v.unit)
    if scale.size > 1 and (scale == scale.reshape(-1)[0]).all():
        scale = scale.reshape(-1)[0]
    low.add(node, IntOutput(Param(np.asarray(scale)), v.per_step), v)
    low.values[node.name, 0] = replace(v, value=Value(node.name))


#: The rules.
NETWORK_RULES: dict[type[ops.Op], Rule] = {
    ops.Sum: _sum,
    ops.Pointwise: _affine,
    ops.Neuron: lower_neuron,
    ops.Output: _output,
}
