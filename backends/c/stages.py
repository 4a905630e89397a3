"""Which layers of a sample run for many steps before the next layer starts.

Step by step, every step needs the weights of all layers; where these are more than the cache
holds, each comes from memory again and again.  Layer by layer, a dense layer takes the spikes of a
block of steps at once: its weights are read into the cache once per block, and a tile of them
(``packing.tile_words``) even stays there.  The integers are the same, because between two steps
only states pass, and delayed values.

A stage is what runs step by step: input, neurons, everything with feedback.  Dense layers outside
of feedback run between the stages.  What a stage hands to a later one is kept for all steps of the
block.  A network runs in blocks if it has a dense layer large enough (``DENSE``) and what is kept
stays small (``KEPT``); other networks run step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.plan import Plan, phase
from snnc.backends.c.words import index_type
from snnc.graph import Edge, Node
from snnc.intops import IntLinear
from snnc.time_ops import Sequence
from snnc.types import Clock

#: Bytes of weights from which on a dense layer is worth a block of its own.
DENSE = 1 << 14
#: Bytes of values that may be kept for the steps of a block.
KEPT = 1 << 20
#: Steps of a block, the most that fit first.
BLOCKS = (32, 16, 8)


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that is kept for the steps of a block.

    Attributes:
        node: Its producer.
        out: Which of its outputs it is.
        buffer: Its array, which has the value of one step.
        stages: Later stages that read it.
        listed: Whether dense layers read the list of its spikes.
    """

    node: str
    out: int
    buffer: Buffer
    stages: frozenset[int]
    listed: bool


@dataclass(frozen=True)
class Stages:
    """How a network runs in blocks.

    Attributes:
        steps: Steps of a block; 0 if the network runs step by step.
        level: For every node of the loop, its stage; of dense layers, the stage they follow.
        dense: Layers that take all steps of a block at once.
        kept: Values handed to later stages, by producer and output.
    """

    steps: int
    level: dict[str, int]
    dense: frozenset[str]
    kept: dict[tuple[str, int], Kept]


def stages_of(plan: Plan) -> Stages:
    """Find the stages of the first loop."""
    nodes = [n for n in plan.nodes if _is_in_loop(plan, n)] if plan.machine.is_host else []
    names = {n.name for n in nodes}
    edges = [e for n in nodes for e in plan.graph.in_edges(n.name) if e.src in names]
    next_to: dict[str, set[str]] = {n.name: set() for n in nodes}
    for e in edges:
        next_to[e.src].add(e.dst)
        if e.delay:  # a queue, and who reads it, moves on with its producer
            next_to[e.dst].add(e.src)
    dense = {
        n.name for n in nodes if _may_be_dense(plan, n, names) and not _is_in_cycle(n.name, next_to)
    }
    level = _levels(edges, dense, dict.fromkeys(next_to, 0))
    read = [n for n in nodes if not plan.is_skipped(n)]
    reads = [(e, n.name) for n in read for e in plan.reads(n) if e.src in names]
    kept = _kept(plan, reads, dense, level)
    size = sum(k.buffer.bytes for k in kept.values())
    fit = [n for n in BLOCKS if n * size <= KEPT]
    return Stages(fit[0] if dense and fit else 0, level, frozenset(dense), kept)


def _kept(
    plan: Plan, reads: list[tuple[Edge, str]], dense: set[str], level: dict[str, int]
) -> dict[tuple[str, int], Kept]:
    """Values that pass from one stage to another, or to or from a dense layer."""
    readers: dict[tuple[str, int], list[str]] = {}
    for e, reader in reads:
        source = _source(plan, e)
        if source.src not in level:  # constant
            continue
        if {source.src, reader} & dense or level[source.src] < level[reader]:
            readers.setdefault((source.src, source.out), []).append(reader)
    return {
        (name, out): Kept(
            name,
            out,
            plan.value(name, out),
            frozenset(level[r] for r in found if r not in dense),
            not dense.isdisjoint(found),
        )
        for (name, out), found in readers.items()
    }


def _is_in_loop(plan: Plan, node: Node) -> bool:
    """Whether a layer does something in every step of the first loop."""
    if phase(plan.graph, node) is Clock.STEP:
        return True
    if not isinstance(node.op, Sequence):
        return False
    (edge,) = plan.graph.in_edges(node.name)
    return plan.graph[edge.src].types[edge.out].clock is Clock.STEP


def _may_be_dense(plan: Plan, node: Node, names: set[str]) -> bool:
    """Whether a layer can take lists of many steps, and is large enough."""
    op = node.op
    if not isinstance(op, IntLinear) or node.type.clock is not Clock.STEP:
        return False
    out, fan_in = op.weight.shape
    pairs = plan.pairs(node)
    (edge,) = plan.graph.in_edges(node.name)
    if pairs is None or node.type.size != out or edge.delay or 2 * pairs.words * fan_in < DENSE:
        return False
    x = plan.operand(edge)
    known = x.ids is not None and index_type(x.size) == "uint16_t"
    return known and _source(plan, edge).src in names


def _is_in_cycle(name: str, next_to: dict[str, set[str]]) -> bool:
    found, todo = set[str](), [name]
    while todo:
        new = next_to[todo.pop()] - found
        found |= new
        todo += new
    return name in found


def _levels(edges: list[Edge], dense: set[str], level: dict[str, int]) -> dict[str, int]:
    """Raise stages until all that is read is there; no cycle has a dense layer."""
    changed = True
    while changed:
        changed = False
        for e in edges:
            least = level[e.src] + (e.src in dense)
            if level[e.dst] < least:
                level[e.dst], changed = least, True
            if e.delay and level[e.src] < level[e.dst]:
                level[e.src], changed = level[e.dst], True
    return level


def _source(plan: Plan, edge: Edge) -> Edge:
    """The edge from where a value is made, past other names of it."""
    while plan.is_alias(plan.graph[edge.src]) and not edge.delay:
        edge = plan.graph.in_edges(edge.src)[0]
    return edge
