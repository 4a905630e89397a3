"""Integer graphs as networks to train, from the integers that they hold."""

from __future__ import annotations

import numpy as np

from snnc.finetuning.network import TrainableNetwork
from snnc.graph import Graph
from snnc.passes.placed import Placed
from snnc.passes.weight_rows import IntWeighted


def trainable(graph: Graph, bounded: Graph | None = None) -> TrainableNetwork:
    """The network of a graph, with its intervals from another one or from itself."""
    placed = {}
    for node in graph:
        if isinstance(node.op, IntWeighted):
            rows = node.op.weight.data.reshape(len(node.op.weight.data), -1)
            placed[node.name] = Placed(rows.astype(np.float64), 16, 0, np.ones(len(rows)))
    return TrainableNetwork(graph, placed, graph if bounded is None else bounded)
