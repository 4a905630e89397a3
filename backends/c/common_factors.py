"""Weights of a layer that all are multiples of a power of two, without that factor.

A layer adds ``w`` and its neurons shift the sum; with ``w / 2**k`` they shift by k more, which is
the same number.  Bytes of smaller weights are added to each other before they are taken apart
(``packing``), so that the sum costs less.  Scales of a layer are powers of two apart from the
scale of its neurons, so weights that need fewer bits than others come with such a factor.

A change of unit by a power of two (``IntRescale``) that neurons alone read becomes the first line
of their kernels: a shift there costs less than an array of larger words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.backends.c.buffers import bounds_of
from snnc.backends.c.packing import pair_rows
from snnc.backends.c.words import fits, hull
from snnc.graph import Graph, Node, Value
from snnc.intops import IntLinear, IntNeuron, IntRescale
from snnc.kernel import Kernel, Line
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
    for node in graph:
        if shift := _shift(graph, node):
            found = graph.copy() if found is None else found
            _give_to_neurons(found, node, shift)
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


def _shift(graph: Graph, node: Node) -> int:
    """The bits by which a change of unit shifts what neurons alone read; 0 for other nodes."""
    op, edges = node.op, graph.out_edges(node.name)
    if not isinstance(op, IntRescale) or op.bias is not None or op.shift or not edges:
        return 0
    (source,) = graph.in_edges(node.name)
    before = graph[source.src]
    factor = int(op.multiplier.data.flat[0])
    if source.delay or factor <= 0 or factor & (factor - 1) or (op.multiplier.data != factor).any():
        return 0
    if before.types[source.out].shape != node.type.shape:
        return 0
    if before.type.clock is not node.type.clock or not fits(
        bounds_of(before, source.out), "int16_t"
    ):
        return 0
    for e in edges:
        user = graph[e.dst]
        if e.delay or not isinstance(user.op, IntNeuron) or user.type.clock is not node.type.clock:
            return 0
    shift = factor.bit_length() - 1
    return shift if shift <= _MOST else 0


def _give_to_neurons(graph: Graph, node: Node, shift: int) -> None:
    """Let the readers of a change of unit do it themselves."""
    (source,) = graph.in_edges(node.name)
    for e in graph.out_edges(node.name):
        user = graph[e.dst]
        assert isinstance(user.op, IntNeuron), "checked by _shift"
        kernel = _shifting(user.op.kernel, e.port, shift, bounds_of(node))
        graph.replace(replace(user, op=replace(user.op, kernel=kernel)))
    graph.redirect(node.name, Value(source.src, source.out))
    graph.remove(node.name)


def _shifting(kernel: Kernel, port: int, shift: int, bounds: tuple[int, int]) -> Kernel:
    """The kernel that shifts an input to the left before anything else."""
    name, value = kernel.inputs[port], f"_unit{port}"
    line = Line(name, "shl", (value,), shift, lo=bounds[0], hi=bounds[1])
    inputs = (*kernel.inputs[:port], value, *kernel.inputs[port + 1 :])
    return replace(kernel, inputs=inputs, body=(line, *kernel.body))
