"""Which element of which value, how many steps ago, every element of a value is.

Histories of spikes, delay lines and choices from them are made of operators that only move
elements, some of them a step on.  Followed back, every element is a factor times one element of
one earlier value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.delay_ops import LONGEST_DELAY
from snnc.graph import Edge, Graph, Node
from snnc.passes.moves import MOVES, moved

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Key = tuple[str, int]


@dataclass(frozen=True)
class Lags:
    """Per element of a value, in its shape: ``gain * source.flat[index]`` of ``lag`` steps ago.

    Attributes:
        keys: The sources: node and output.
        source: Number of the source in ``keys``; -1: the element is 0.
        moved: Whether anything lies between the value and its sources.
    """

    keys: tuple[Key, ...]
    source: Ints
    index: Ints
    lag: Ints
    gain: Floats
    moved: bool = True

    def changed(self, change: Callable[[Any], Any]) -> Lags:
        """Apply a rearrangement of arrays to all fields."""
        fields = (self.source, self.index, self.lag, self.gain)
        source, index, lag, gain = (change(a) for a in fields)
        return Lags(self.keys, source, index, lag, gain)


def lags_of(graph: Graph, edge: Edge, inside: tuple[str, ...] = ()) -> Lags | None:
    """Follow what an edge brings back to values that are computed; None if that is not possible.

    Args:
        graph: Of real operators.
        edge: Whose value is asked for.
        inside: Nodes that are being followed: a history reads itself, a step later.
    """
    if edge.delay and edge.init is not None and edge.init.data.any():
        return None
    node = graph[edge.src]
    if edge.src in inside:
        found: Lags | None = _itself(node, edge.out)
    else:
        found = _moved(graph, node, (*inside, edge.src)) or _itself(node, edge.out)
        found = _unrolled(found, (edge.src, edge.out))
    if found is None or int(found.lag.max(initial=0)) + edge.delay > LONGEST_DELAY:
        return None
    return replace(found, lag=found.lag + edge.delay, moved=found.moved or bool(edge.delay))


def _itself(node: Node, out: int) -> Lags:
    shape, size = node.types[out].shape, node.types[out].size
    zeros = np.zeros(shape, np.int64)
    own = np.arange(size).reshape(shape)
    return Lags(((node.name, out),), zeros, own, zeros, np.ones(shape), False)


def _unrolled(found: Lags, own: Key) -> Lags | None:
    """Put what a history held a step ago in the place of what it reads of itself."""
    if own not in found.keys or not found.moved:
        return found
    number = found.keys.index(own)
    first = found
    for _ in range(LONGEST_DELAY + 1):
        again = (found.source == number) & (found.lag > 0)
        if not again.any():
            return found if not (found.source == number).any() else None
        at = found.index[again]
        source, index, lag = (a.copy() for a in (found.source, found.index, found.lag))
        gain = found.gain.copy()
        stays = (first.source.flat[at] == number) & (first.index.flat[at] == at)
        source[again] = np.where(stays, -1, first.source.flat[at])  # only ever its initial zero
        index[again] = first.index.flat[at]
        lag[again] += first.lag.flat[at]
        gain[again] *= first.gain.flat[at]
        found = replace(found, source=source, index=index, lag=lag, gain=gain)
    return None


def _moved(graph: Graph, node: Node, inside: tuple[str, ...]) -> Lags | None:
    """The elements of an operator that moves or scales them, else None."""
    op, edges = node.op, graph.in_edges(node.name)
    if isinstance(op, ops.Concat):
        return _joined([lags_of(graph, e, inside) for e in edges], op.axis)
    if op == ops.Pointwise("mul"):
        return _scaled(graph, node, inside)
    if isinstance(op, ops.Reduce):
        return _summed(lags_of(graph, edges[0], inside), op) if op.fn == "sum" else None
    if not isinstance(op, MOVES):
        return None
    x = lags_of(graph, edges[0], inside)
    return None if x is None else x.changed(lambda a: moved(op, a))


def _joined(parts: list[Lags | None], axis: int) -> Lags | None:
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    keys = tuple(dict.fromkeys(k for p in known for k in p.keys))
    sources = []
    for p in known:
        number = np.array([*(keys.index(k) for k in p.keys), -1])
        sources.append(number[p.source])
    index, lag = (np.concatenate([getattr(p, f) for p in known], axis) for f in ("index", "lag"))
    gain = np.concatenate([p.gain for p in known], axis)
    return Lags(keys, np.concatenate(sources, axis), index, lag, gain)


def _scaled(graph: Graph, node: Node, inside: tuple[str, ...]) -> Lags | None:
    """A product with a constant."""
    a, b = graph.in_edges(node.name)
    for edge, other in ((a, b), (b, a)):
        constant = graph[edge.src].op
        if isinstance(constant, ops.Constant):
            x = lags_of(graph, other, inside)
            if x is None or not x.moved:
                return None  # an ordinary gain: others know what to do with it
            wide = x.changed(lambda v: np.broadcast_to(v, node.type.shape))
            gain = wide.gain * constant.value.data.astype(np.float64)
            return replace(wide, gain=gain, source=np.where(gain == 0, -1, wide.source))
    return None


def _summed(x: Lags | None, op: ops.Reduce) -> Lags | None:
    """A sum of which at most one element is not zero: a choice by a mask."""
    if x is None or (np.sum(x.source >= 0, op.axes) > 1).any():
        return None

    def chosen(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.where(x.source >= 0, a, 0).sum(op.axes, keepdims=op.keepdims))

    found = x.changed(chosen)
    some = (x.source >= 0).any(op.axes, keepdims=op.keepdims)
    return replace(found, source=np.where(some, found.source, -1))
