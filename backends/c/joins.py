"""Two linear layers whose sums a population adds: in a step, one list of spikes and one sum.

A recurrent population reads what an input adds up and what its own spikes add up.  If both have the
same shift, a step adds the columns of both lists to the same sums (``pairs``): one pass is as good
as another, so that fewer are incomplete, and sums are cleared, read and added once.  The columns of
the recurrent layer lie behind those of the other, whose list has room for both.

In blocks of steps (``stages``) the first layer takes many steps at once and the recurrent one, step
by step, is added to what that gave.  In either case the population reads the array of the first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.sums import raw_bounds
from snnc.backends.c.words import Bounds, fits
from snnc.graph import Edge, Graph, Node
from snnc.intops import IntLinear, IntNeuron
from snnc.kernel import Kernel
from snnc.types import Clock

if TYPE_CHECKING:
    from snnc.backends.c.plan import Plan

#: Room behind a list of which whole vectors are copied.
_SLACK = 32
#: Inputs of both layers together: numbers of events are moved as 15 bits.
_MOST = 1 << 15


@dataclass(frozen=True)
class Join:
    """Two layers and the population that alone reads them.

    Attributes:
        first: The layer that reads spikes of this step.
        own: The layer that reads spikes of the population, of the step before.
        reader: The population.
        bounds: Interval of the sum of both, before shift and bias.
    """

    first: str
    own: str
    reader: str
    bounds: Bounds


def find_joins(plan: Plan, dense: frozenset[str]) -> dict[str, Join]:
    """All joins, by the names of their layers and populations; ``dense`` as ``stages`` has it."""
    found: dict[str, Join] = {}
    for node in plan.nodes if plan.machine.is_host else []:
        join = _join(plan.graph, node, dense) if isinstance(node.op, IntNeuron) else None
        if join is not None and _add_alike(plan, join):
            found |= dict.fromkeys((join.first, join.own, join.reader), join)
    return found


def _add_alike(plan: Plan, join: Join) -> bool:
    """Whether both layers add whole columns of pairs of weights by lists of 16-bit numbers."""
    words = set()
    for name in (join.first, join.own):
        node = plan.graph[name]
        (edge,), (x,) = plan.graph.in_edges(name), plan.operands(node)
        pairs = plan.pairs(node)
        if pairs is None or pairs.most or pairs.fold > 1 or plan.raw_sums(node) is None:
            return False
        if not x.ids or not x.is_spikes or (edge.delay and not plan.reads_last(edge)):
            return False
        words.add(pairs.words)
    return len(words) == 1


def _join(graph: Graph, node: Node, dense: frozenset[str]) -> Join | None:
    edges = [e for e in graph.in_edges(node.name) if isinstance(graph[e.src].op, IntLinear)]
    if node.type.clock is not Clock.STEP or len(edges) != 2:
        return None
    if any(e.delay or len(graph.out_edges(e.src)) != 1 for e in edges):
        return None
    edges.sort(key=lambda e: graph.in_edges(e.src)[0].delay)
    first, own = (graph[e.src] for e in edges)
    a, b = first.op, own.op
    assert isinstance(a, IntLinear), "filtered"
    assert isinstance(b, IntLinear), "filtered"
    (late,) = graph.in_edges(own.name)
    # another's list may be that of this step by the time that both are added
    if first.name not in dense or late.src != node.name or late.delay != 1 or b.bias is not None:
        return None
    shapes = {first.type.shape, own.type.shape}
    if a.shift != b.shift or len(shapes) > 1 or node.type.size != first.type.size:
        return None
    if a.weight.shape[1] + b.weight.shape[1] >= _MOST:
        return None
    bounds = _both(raw_bounds(a, (0, 1)), raw_bounds(b, (0, 1)))
    if not fits(bounds, "int16_t") or joined_kernel(node, *_ports(edges)) is None:
        return None
    return Join(first.name, own.name, node.name, bounds)


def room(plan: Plan, buffer: Buffer) -> int:
    """Numbers that fit behind a list, for that of another layer."""
    found = 0
    for join in {j.first: j for j in plan.joins.values()}.values():
        first, own = (plan.operands(plan.graph[n])[0] for n in (join.first, join.own))
        if first.ids == buffer.ids:
            found = max(found, own.size + _SLACK)
        if own.ids == buffer.ids:
            found = max(found, _SLACK)
    return found


def _both(a: Bounds, b: Bounds) -> Bounds:
    return a[0] + b[0], a[1] + b[1]


def _ports(edges: list[Edge]) -> tuple[int, int]:
    return edges[0].port, edges[1].port


def ports_of(graph: Graph, join: Join) -> tuple[int, int]:
    """Operands of the population that the two layers are."""
    (first,), (own,) = graph.out_edges(join.first), graph.out_edges(join.own)
    return first.port, own.port


def joined_kernel(node: Node, first: int, own: int) -> Kernel | None:
    """The kernel if operand ``first`` is the sum of both; None if it does not just add them.

    ``(d + first) + own`` becomes ``d + first``, of which the interval is known.
    """
    op = node.op
    assert isinstance(op, IntNeuron), "called for populations only"
    kernel = op.kernel
    uses = Counter([*kernel.outputs, *(s.next for s in kernel.states)])
    uses.update(a for line in kernel.body for a in line.args)
    x, y = kernel.inputs[first], kernel.inputs[own]
    adds = {line.name: line for line in kernel.body if line.fn == "add"}
    last = next((line for line in adds.values() if y in line.args), None)
    if last is None or uses[x] != 1 or uses[y] != 1:
        return None
    other = last.args[1 - last.args.index(y)]
    if other == x:
        return _renamed(kernel, last.name, x)
    inner = adds.get(other)
    if inner is None or x not in inner.args or uses[other] != 1:
        return None
    joint = replace(last, args=inner.args)
    body = (joint if line is last else line for line in kernel.body if line is not inner)
    return replace(kernel, body=tuple(body))


def _renamed(kernel: Kernel, old: str, new: str) -> Kernel:
    """The kernel without line ``old``, which is the value of ``new``."""

    def known(name: str) -> str:
        return new if name == old else name

    return replace(
        kernel,
        body=tuple(
            replace(line, args=tuple(map(known, line.args)))
            for line in kernel.body
            if line.name != old
        ),
        states=tuple(replace(s, next=known(s.next)) for s in kernel.states),
        outputs=tuple(map(known, kernel.outputs)),
    )
