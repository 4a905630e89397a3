"""An operand that drives a linear sum to the end of its proven interval: the proof is not slack.

The sum ``y_i = b_i + sum_j w_ij x_j`` is largest where every ``x_j`` is at its upper end if
``w_ij > 0`` and at its lower end if ``w_ij < 0``.  The signs are read off the operator itself, by
moving one element of its operand at a time, so that any linear operator has a witness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.execution import OPERATORS
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.interval import Interval
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntInput,
    IntLinear,
    IntOutput,
    IntReduce,
    IntSumPool,
)
from snnc.params import Param
from snnc.storage import dump_graph
from snnc.types import Clock
from snnc.untrusted import parse_safetensors

Ints = npt.NDArray[np.int64]
#: Elements of the operand that are moved at a time.
_CHUNK = 128


def is_linear_sum(graph: Graph, name: str) -> bool:
    """Whether a node adds its operand's elements with constant weights."""
    op = graph[name].op
    if isinstance(op, IntReduce):
        return op.fn == "sum"
    return isinstance(op, IntLinear | IntConv | IntConvTranspose | IntSumPool)


def witness(
    graph: Graph, name: str, ranges: Mapping[tuple[str, int], Interval], largest: bool = True
) -> tuple[Ints, int]:
    """The operand that makes an element of ``name`` largest (or smallest), and that value.

    Args:
        graph: An integer program.
        name: A node for which ``is_linear_sum`` holds, reading a value without delay.
        ranges: Proven interval of every value, as ``Context.ranges`` has them.
        largest: Which end of the interval.
    """
    (edge,) = graph.in_edges(name)
    operand = ranges[edge.src, edge.out]
    lo, hi = (np.ascontiguousarray(x) for x in (operand.lo, operand.hi))
    apply = _operator(graph, name, operand)
    base = apply(lo[None])[0]
    goal = ranges[name, 0]
    place = np.unravel_index(
        np.argmax(goal.hi) if largest else np.argmin(goal.lo), np.shape(goal.hi)
    )
    effect = np.zeros(lo.size, np.int64)
    for start in range(0, lo.size, _CHUNK):
        moved = np.arange(start, min(start + _CHUNK, lo.size))
        x = np.repeat(lo.reshape(1, -1), len(moved), 0)
        x[np.arange(len(moved)), moved] = hi.reshape(-1)[moved]
        effect[moved] = apply(x.reshape(-1, *lo.shape))[(slice(None), *place)] - base[place]
    up = (effect > 0) if largest else (effect < 0)
    found = np.where(up.reshape(lo.shape), hi, lo)
    return found, int(apply(found[None])[0][place])


def _operator(graph: Graph, name: str, operand: Interval) -> Any:
    """The operator of a node as a function of arrays, as the simulator defines it."""
    node = graph[name]
    alone = Graph(name)
    lo, hi = operand.bounds
    alone.add("x", IntInput(np.shape(operand.lo), Clock.ONCE, lo, hi, 1.0))
    alone.add("y", node.op, "x")
    alone.add("out", IntOutput(Param(np.array(1.0))), "y")
    text, blob = dump_graph(alone)
    simulator = Simulator(json.loads(text), dict(parse_safetensors(blob)))
    record = next(n for n in simulator.nodes if n["name"] == "y")
    return lambda x: OPERATORS[record["op"]](simulator, record, [x])
