"""Give every population layers of weights of its own, as Loihi's synapses are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc import ops
from snnc.graph import Edge, Graph, Node, Value
from snnc.params import Param
from snnc.passes.loihi_neurons import NotLoihiError
from snnc.passes.weight_rows import Weighted

#: Largest population that others feed without weights, as a matrix.
MOST_WIRED = 4096
_Between = ops.Reshape | ops.Transpose | ops.Slice | ops.Take | ops.Repeat


@dataclass(frozen=True)
class Feed:
    """A layer of weights, and the kernel's input that it feeds.

    Attributes:
        input: Of the kernel.
        layer: Name of the layer, which nothing else reads.
        moved: Whether its rows are rearranged on their way.
    """

    input: str
    layer: str
    moved: bool


def feeds(graph: Graph, node: Node) -> list[Feed]:
    """Every layer of weights that feeds a neuron; shared layers are copied.

    Spikes that are added without weights get weights of one.

    Raises:
        NotLoihiError: If there is something else in front of the neuron.
    """
    assert isinstance(node.op, ops.Neuron), "called for neurons only"
    found: list[Feed] = []
    for name, edge in zip(node.op.kernel.inputs, graph.in_edges(node.name), strict=True):
        found += [Feed(name, layer, moved) for layer, moved in _layers(graph, edge, False)]
    if not found:
        raise NotLoihiError("nothing feeds it", "a layer of weights in front of it")
    return found


def _layers(graph: Graph, edge: Edge, moved: bool) -> list[tuple[str, bool]]:
    """Layers behind an edge; what others read, too, is copied first."""
    source = graph[edge.src]
    op = source.op
    if edge.init is not None and edge.init.data.any():
        raise NotLoihiError("a delayed value does not start at 0", "delays that start at 0")
    if isinstance(op, ops.Sum | ops.Concat | Weighted | _Between):
        if len(graph.out_edges(source.name)) > 1:
            edge = _own_copy(graph, edge)
            source = graph[edge.src]
        if edge.delay:
            edge = _early(graph, edge)
        if isinstance(op, Weighted):
            return [(source.name, moved)]
        below = graph.in_edges(source.name)
        if any(_has_weights(graph, e) for e in below):
            found: list[tuple[str, bool]] = []
            for e in below:
                found += _layers(graph, e, moved or not isinstance(op, ops.Sum | ops.Repeat))
            return found
    return [(_wired(graph, edge), moved)]


def _has_weights(graph: Graph, edge: Edge) -> bool:
    """Whether weights lie behind an edge, with only sums and moves between."""
    op = graph[edge.src].op
    if isinstance(op, ops.Sum | ops.Concat | _Between):
        return any(_has_weights(graph, e) for e in graph.in_edges(edge.src))
    return isinstance(op, Weighted)


def _own_copy(graph: Graph, edge: Edge) -> Edge:
    """The edge, from a copy of its source that nothing else reads."""
    source = graph[edge.src]
    inputs = [Value(e.src, e.out, e.delay, e.init) for e in graph.in_edges(source.name)]
    copy = graph.add(graph.fresh(source.name), source.op, *inputs, loc=source.loc)
    graph.disconnect(edge)
    own = replace(edge, src=copy.name)
    graph.connect(own)
    return own


def _early(graph: Graph, edge: Edge) -> Edge:
    """Delay what a node reads, rather than its value; a loop then starts at spikes."""
    bias = getattr(graph[edge.src].op, "bias", None)
    if bias is not None and bias.data.any():
        raise NotLoihiError("a bias is delayed", "a layer without bias in front of a delay")
    for e in graph.in_edges(edge.src):
        graph.disconnect(e)
        graph.connect(replace(e, delay=e.delay + edge.delay))
    graph.disconnect(edge)
    early = replace(edge, delay=0, init=None)
    graph.connect(early)
    return early


def _wired(graph: Graph, edge: Edge) -> str:
    """Weights of one in front of a value that is read as it is."""
    type_ = graph[edge.src].types[edge.out]
    loc = graph[edge.src].loc
    rank = len(type_.shape)
    value = Value(edge.src, edge.out, edge.delay, edge.init)
    name = graph.fresh(f"{edge.src}.wires")
    if rank in (2, 3, 4):
        kind = {2: ops.Conv1d, 3: ops.Conv2d, 4: ops.Conv3d}[rank]
        channels, ones, zeros = type_.shape[0], (1,) * (rank - 1), (0,) * (rank - 1)
        weight = Param(np.ones((channels, 1, *ones), np.float32))
        op: ops.Op = kind(weight, None, ones, zeros, ones, channels)
    elif rank == 1 and type_.size <= MOST_WIRED:
        op = ops.Linear(Param(np.eye(type_.size, dtype=np.float32)))
    else:
        why = f"its input {edge.src} is no layer of weights"
        raise NotLoihiError(why, "a linear or convolutional layer in front of it")
    layer = graph.add(name, op, value, loc=loc)
    graph.disconnect(edge)
    graph.connect(Edge(layer.name, edge.dst, edge.port))
    return layer.name
