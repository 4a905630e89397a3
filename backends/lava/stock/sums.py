"""What flows into a population: sums of matrices times the values of earlier populations.

Everything linear between two populations is one matrix: weights behind a pool, behind a reshape,
behind a concatenation.  The walk goes back from a value to what is not linear, its *roots*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snnc.backends.lava.stock.maps import MAPS, constant, is_linear
from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.backends.lava.stock.neurons import NotStockError
from snnc.graph import Edge, Graph
from snnc.intops import IntDelayLinear
from snnc.types import Clock

#: Entries of one matrix: beyond, the processes would take gigabytes.
MOST_ENTRIES = 1 << 26


@dataclass(frozen=True)
class Root:
    """Output ``out`` of ``node``, ``delay`` steps ago; ``held``: its one value, at every step."""

    node: str
    out: int
    delay: int = 0


@dataclass(frozen=True)
class LinearSum:
    """``sum of parts[root] @ root + const``; arrays are flat."""

    size: int
    const: Ints
    parts: dict[Root, Matrix] = field(default_factory=dict)

    def plus(self, other: LinearSum) -> LinearSum:
        parts = dict(self.parts)
        for root, matrix in other.parts.items():
            parts[root] = parts[root] + matrix if root in parts else matrix
        return LinearSum(self.size, self.const + other.const, parts)

    def through(self, matrix: Matrix) -> LinearSum:
        parts = {root: matrix @ m for root, m in self.parts.items()}
        if sum(len(m.values) for m in parts.values()) > MOST_ENTRIES:
            raise NotStockError("its weights, unrolled, exceed 67 million", "smaller layers")
        const = np.zeros(matrix.shape[0], np.int64)
        np.add.at(const, matrix.rows, matrix.values * self.const[matrix.cols])
        return LinearSum(matrix.shape[0], const, parts)

    def later(self, delay: int) -> LinearSum:
        if delay and self.const.any():
            raise NotStockError("a bias is delayed", "a bias of the neuron itself")
        parts = {Root(r.node, r.out, r.delay + delay): m for r, m in self.parts.items()}
        return LinearSum(self.size, self.const, parts)


class Sums:
    """The linear sums of a graph.

    Args:
        graph: An integer program.
        is_root: Whether a node ends the walk although it is linear.
    """

    def __init__(self, graph: Graph, is_root: Callable[[str], bool]) -> None:
        self.graph, self.is_root = graph, is_root
        self._found: dict[tuple[str, int], LinearSum] = {}

    def of_edge(self, edge: Edge) -> LinearSum:
        """What an edge carries.

        Raises:
            NotStockError: If that is no sum that connections can carry.
        """
        if edge.delay and edge.init is not None and edge.init.data.any():
            raise NotStockError("a delayed value does not start at 0", "delays that start at 0")
        return self.of(edge.src, edge.out).later(edge.delay)

    def of(self, name: str, out: int = 0) -> LinearSum:
        """The value of a node."""
        key = (name, out)
        if key not in self._found:
            self._found[key] = self._walked(name, out)
        return self._found[key]

    def _walked(self, name: str, out: int) -> LinearSum:
        node = self.graph[name]
        op, type_ = node.op, node.types[out]
        size = math.prod(type_.shape)
        if not self.is_root(name):
            if isinstance(op, IntDelayLinear):
                return self._delayed(name, op)
            if is_linear(op) and (type_.clock.kind is not Clock.END):
                edges = self.graph.in_edges(name)
                shapes = tuple(self.graph[e.src].types[e.out].shape for e in edges)
                found = LinearSum(size, constant(op, type_.shape))
                for port, edge in enumerate(edges):
                    matrix = MAPS[type(op)](op, shapes, type_.shape, port)
                    found = found.plus(self.of_edge(edge).through(matrix))
                return found
        parts = {Root(name, out): Matrix.identity(size)}
        return LinearSum(size, np.zeros(size, np.int64), parts)

    def _delayed(self, name: str, op: IntDelayLinear) -> LinearSum:
        """A layer with delays: a matrix for each."""
        (edge,) = self.graph.in_edges(name)
        source = self.of_edge(edge)
        weight = Matrix.from_dense(op.weight.data.astype(np.int64) << op.shift)
        index, delay = op.index.data.astype(np.int64), op.delay.data.astype(np.int64)
        found = LinearSum(weight.shape[0], constant(op, (weight.shape[0],)))
        for lag in np.unique(delay):
            at = np.flatnonzero(delay == lag)
            reads = Matrix.gather(source.size, index[at])
            columns = weight.part(np.arange(weight.shape[0]), at)
            found = found.plus(source.later(int(lag)).through(columns @ reads))
        return found
