"""Which values lie with their channels innermost, as the vectors of a convolution do.

Element (c, p) of such a value is at ``p * C + c``.  A value keeps the order of its own shape unless
everything that reads it can walk both orders.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from snnc.graph import Graph, Node
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntHold,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntRepeat,
    IntRescale,
    IntReshape,
    IntSum,
    IntSumPool,
)

#: Operators that make vectors over channels.
SOURCES = (IntConv, IntConvTranspose, IntSumPool, IntMaxPool)
#: Operators that pass the order of their first operand on.
ELEMENTWISE = (IntNeuron, IntSum, IntRescale)
#: Fewer channels are no vector.
FEWEST = 4


def may_be_last(graph: Graph, node: Node) -> bool:
    """Whether all readers of a node's outputs can walk them with the channels innermost."""
    shape = node.type.shape
    if len(shape) < 2 or shape[0] < FEWEST or prod(shape[1:]) < 2:
        return False
    if any(t.shape != shape for t in node.types):
        return False
    return _is_read(graph, node, shape[0])


def _is_read(graph: Graph, node: Node, channels: int) -> bool:
    size = node.type.size
    for edge in graph.out_edges(node.name):
        user = graph[edge.dst]
        if edge.delay:
            return False
        match user.op:
            case IntReshape() | IntRepeat() | IntHold():
                known = _is_read(graph, user, channels)
            case IntLinear(weight=weight):
                known = weight.shape[1] == size
            case IntConv() | IntConvTranspose() | IntSumPool() | IntMaxPool():
                known = node.type.shape[0] == channels
            case IntNeuron() | IntSum() | IntRescale():
                same = node.type.shape == user.type.shape
                known = same and node.type.shape[:1] == (channels,)
                known = known and node.type.clock is user.type.clock
            case _:
                known = False
        if not known:
            return False
    return bool(graph.out_edges(node.name))


def in_order(weight: npt.NDArray[np.int64], channels: int) -> npt.NDArray[np.int64]:
    """A weight (out, in) with its columns as an input with so many innermost channels lies."""
    if not channels:
        return weight
    out, fan_in = weight.shape
    return weight.reshape(out, channels, fan_in // channels).swapaxes(1, 2).reshape(out, -1)
