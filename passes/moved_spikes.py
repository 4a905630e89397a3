"""Which values hold nothing but spikes in other places: histories, shifted every step.

``history' = concat(spikes, history[:-1])`` is a loop whose elements are only moved.  What goes in
are spikes and initial values, so that nothing else can ever come out: such a value has unit 1, and
needs neither a format nor a proof of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from snnc.graph import Edge, Graph
from snnc.passes.moves import MOVES
from snnc.tensor_ops import Concat


def moved_spikes(graph: Graph, is_spike: Callable[[Edge], bool]) -> dict[str, tuple[int, int]]:
    """Nodes whose elements are spikes or whole initial values, with their smallest and largest.

    Args:
        graph: Of real or of integer operators.
        is_spike: Whether what an edge brings is 0 or 1.
    """
    members = {n.name for n in graph.nodes if isinstance(n.op, (*MOVES, Concat))}
    while True:
        wrong = {
            name
            for name in members
            if not all(
                (e.src in members or is_spike(e)) and _starts_whole(e) for e in graph.in_edges(name)
            )
        }
        if not wrong:
            break
        members -= wrong
    starts = [e.init.data for name in members for e in graph.in_edges(name) if e.init is not None]
    low = min([0, *(int(x.min(initial=0)) for x in starts)])
    high = max([1, *(int(x.max(initial=0)) for x in starts)])
    return dict.fromkeys(sorted(members), (low, high))


def _starts_whole(edge: Edge) -> bool:
    return edge.init is None or not (edge.init.data % 1).any()
