"""Weights of a layer that all are multiples of a power of two, without that factor.

A layer adds ``w`` and its neurons shift the sum; with ``w / 2**k`` they shift by k more, which is
the same number.  Bytes of smaller weights are added to each other before they are taken apart
(``packing``), so that the sum costs less.  Scales of a layer are powers of two apart from the
scale of its neurons, so weights that need fewer bits than others come with such a factor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.backends.c.buffers import bounds_of
from snnc.backends.c.packing import pair_rows
from snnc.backends.c.words import hull
from snnc.graph import Graph, Node
from snnc.intops import IntLinear, IntNeuron
from snnc.params import Param

#: Most bits that neurons shift a sum by: one of 16 bits stays within 32.
_MOST = 15


def without_common_factors(graph: Graph) -> Graph:
    """The graph with smaller weights where neurons alone read what a layer sums up."""
    found = None
    for node in graph:
        if smaller := _smaller(graph, node):
            found = graph.copy() if found is None else found
            found.replace(replace(node, op=smaller))
    return graph if found is None else found


def _smaller(graph: Graph, node: Node) -> IntLinear | None:
    """The operator without its factor; None if there is none, or it would save nothing."""
    op = node.op
    if not isinstance(op, IntLinear):
        return None
    factor = common_factor(op)
    if factor == 0 or op.shift + factor > _MOST:
        return None
    users = [graph[e.dst] for e in graph.out_edges(node.name)]
    here = all(not e.delay for e in graph.out_edges(node.name))
    same = all(isinstance(u.op, IntNeuron) and u.type.clock is node.type.clock for u in users)
    (edge,) = graph.in_edges(node.name)
    x = hull((0, 0), bounds_of(graph[edge.src], edge.out))
    pairs = pair_rows(op, x, bounds_of(node))
    if not users or not here or not same or pairs is None or pairs.most:
        return None
    return replace(op, weight=Param(op.weight.data >> factor), shift=op.shift + factor)


def common_factor(op: IntLinear) -> int:
    """The largest k for which 2**k divides all weights; 0 if all are zero."""
    bits = int(np.bitwise_or.reduce(op.weight.data, axis=None).astype(np.int64))
    return (bits & -bits).bit_length() - 1 if bits else 0
