"""Outputs that say how sure the network is of its class, to stop a sample early.

``confidence`` is the largest softmax of the scores, ``margin`` the largest score less the second:
the largest, over the classes, of what a class leads the best other one by.  Both are ordinary
operators behind the scores, so that every target computes them after any number of steps, and
the comparison with a threshold is one of integers.

Reference: dynamic confidence, Li, Jones and Furber (2023), "Unleashing the potential of spiking
neural networks with dynamic confidence", arXiv:2303.10276.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.diagnostics import fail
from snnc.early_exit import CRITERIA
from snnc.graph import Graph, Node, Value
from snnc.ops import Output, Pointwise, Reduce, Reshape, Softmax, Take, TimeStack
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.types import Clock

#: A margin compares every pair of classes.
MOST_CLASSES = 256


@dataclass(frozen=True)
class AddConfidence(Pass):
    """Add an output that says how sure the network is.

    Attributes:
        kind: One of ``CRITERIA``, and the name of the output.
    """

    name: ClassVar[str] = "add-confidence"
    kind: str = "confidence"

    def requires(self, graph: Graph) -> None:
        if self.kind not in CRITERIA:
            text = f"--exit {self.kind}: no such criterion"
            raise fail("E234", text, help=f"possible are {', '.join(CRITERIA)}")
        if self.kind in graph:
            text = f"the model has something named {self.kind!r} already"
            raise fail("E234", text, graph[self.kind].loc, help="rename it in the model")

    def run(self, graph: Graph, ctx: Context) -> Graph:
        output = scores(graph)
        (edge,) = graph.in_edges(output.name)
        x, count, loc = Value(edge.src, edge.out), output.type.shape[0], output.loc

        def add(part: str, op: Softmax | Take | Pointwise | Reshape | Reduce, *v: Value) -> Value:
            name = graph.fresh(f"{self.kind}.{part}")
            return Value(graph.add(name, op, *v, loc=loc).name)

        if self.kind == "confidence":
            shares = add("softmax", Softmax(0), x)
        else:
            if count > MOST_CLASSES:
                text = f"a margin compares every two classes, of which there are {count}"
                raise fail("E234", text, loc, help=f"up to {MOST_CLASSES}; else: confidence")
            own, others = np.nonzero(~np.eye(count, dtype=bool))
            pair = [add(k, Take(0, Param(i)), x) for k, i in (("own", own), ("other", others))]
            leads = add("lead", Pointwise("sub"), *pair)
            rows = add("leads", Reshape((count, count - 1)), leads)
            shares = add("least", Reduce("min", (1,)), rows)
        best = add("best", Reduce("max", (0,)), shares)
        graph.add(self.kind, Output(), best, loc=loc)
        return graph


def scores(graph: Graph) -> Node:
    """The first output with a score for every class.

    Raises:
        CompileError: E234 if there is none.
    """
    for node in graph.nodes:
        if isinstance(node.op, Output) and len(node.type.shape) == 1 and node.type.size > 1:
            if node.type.clock is not Clock.END:
                continue
            if not isinstance(graph.operands(node.name)[0].op, TimeStack):
                return node
    text = "no output has a score for every class after the last step"
    why = "the network must have one loop, and an output (classes,) that sums or averages over it"
    raise fail("E234", text, None, why, help="leave --exit out")
