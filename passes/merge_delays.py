"""Turn layers that read histories, or several past steps, into layers with delays.

A network with delays is written as a queue of past spikes from which a mask, a gather or a matrix
chooses, or as a convolution along time, of which tracing leaves a layer per past step.  Either
way it is a sum over synapses ``w_ij x_j[t - d_ij]``, and becomes one ``DelayLinear``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.graph import Edge, Graph, Node
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.lags import Key, lags_of
from snnc.passes.prune_dead import PruneDead
from snnc.types import Clock

Floats = npt.NDArray[np.float64]
Column = tuple[int, int]  # index of the input, steps ago


@dataclass(frozen=True)
class _Form:
    """A sum of weighted inputs of past steps, of one source."""

    key: Key
    columns: dict[Column, Floats]
    bias: Floats | None
    direct: bool  # the layer reads its source as it is, however late


@dataclass(frozen=True)
class MergeDelays(Pass):
    """Replace such layers by ``DelayLinear``."""

    name: ClassVar[str] = "merge-delays"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        if not any(e.delay for e in graph.edges):
            return graph
        forms: dict[str, _Form] = {}
        for node in graph:
            found = _layer(graph, node) or _sum(graph, node, forms)
            if found is not None:
                forms[node.name] = found
        changed = False
        for name, form in forms.items():
            absorbed = any(u.name in forms for u in graph.users(name))
            lags = {lag for _, lag in form.columns}
            if not absorbed and lags and (not form.direct or len(lags) > 1):
                _replace(graph, graph[name], form)
                changed = True
        return PruneDead().run(graph, ctx) if changed else graph


def _layer(graph: Graph, node: Node) -> _Form | None:
    op = node.op
    if not isinstance(op, ops.Linear) or len(node.type.shape) != 1:
        return None
    (edge,) = graph.in_edges(node.name)
    x = lags_of(graph, edge)
    if x is None or len(set(x.source[x.source >= 0].tolist())) != 1:
        return None
    key = x.keys[int(x.source.max())]
    if graph[key[0]].types[key[1]].clock.kind is not Clock.STEP:
        return None
    if not x.moved and not _is_added(graph, node):
        return None
    moved = x.moved and (edge.src, edge.out) != key
    if moved and not x.lag.any():
        return None  # a rearrangement within one step
    weight = op.weight.data.astype(np.float64)
    parts = (
        ((int(x.index[c]), int(x.lag[c])), weight[:, c] * x.gain[c])
        for c in range(weight.shape[1])
        if x.source[c] >= 0
    )
    bias = None if op.bias is None else op.bias.data.astype(np.float64)
    return _Form(key, _collected(parts), bias, not moved)


def _is_added(graph: Graph, node: Node) -> bool:
    """Whether a sum alone reads the layer."""
    users = graph.users(node.name)
    return len(users) == 1 and _adds(users[0])


def _collected(parts: Iterable[tuple[Column, Floats]]) -> dict[Column, Floats]:
    """Columns without those of zeros; equal ones are added up."""
    found: dict[Column, Floats] = {}
    for column, weights in parts:
        found[column] = found[column] + weights if column in found else weights
    return {c: w for c, w in found.items() if w.any()}


def _sum(graph: Graph, node: Node, forms: dict[str, _Form]) -> _Form | None:
    """A sum of such layers of one source that nothing else reads."""
    if not _adds(node):
        return None
    edges = graph.in_edges(node.name)
    if any(e.delay or e.src not in forms or len(graph.out_edges(e.src)) > 1 for e in edges):
        return None
    parts = [forms[e.src] for e in edges]
    same = all(graph[e.src].type.shape == node.type.shape for e in edges)
    distinct = len({e.src for e in edges}) == len(edges)
    if len({f.key for f in parts}) > 1 or not same or not distinct:
        return None
    columns = _collected(item for f in parts for item in f.columns.items())
    biases = [f.bias for f in parts if f.bias is not None]
    bias = np.add.reduce(biases) if biases else None
    return _Form(parts[0].key, columns, bias, all(f.direct for f in parts))


def _adds(node: Node) -> bool:
    return node.op == ops.Pointwise("add") or isinstance(node.op, ops.Sum)


def _replace(graph: Graph, node: Node, form: _Form) -> None:
    order = sorted(form.columns, key=lambda c: (c[1], c[0]))
    weight = np.stack([form.columns[c] for c in order], 1)
    index, delay = (np.array([c[i] for c in order], np.int32) for i in (0, 1))
    bias = None if form.bias is None else Param(form.bias)
    op = ops.DelayLinear(Param(weight), Param(index), Param(delay), bias)
    for e in graph.in_edges(node.name):
        graph.disconnect(e)
    name, out = form.key
    graph.connect(Edge(name, node.name, 0, out))
    graph.replace(Node(node.name, op, op.infer((graph[name].types[out],)), node.loc))
