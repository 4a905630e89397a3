"""Prove that no accumulator, state or output overflows, for all inputs and all steps.

Every value gets the exact interval that follows from the weights: a row's accumulator lies in
``[sum of negative weights, sum of positive weights]`` for binary inputs, not ``fan-in * 2**bits``.
States get an inductive invariant (``passes/kernel_ranges.py``).  The types of the graph then
carry the intervals, and backends choose words from them.

Sums over time grow with the number of steps: their proof holds up to ``Graph.max_steps``, which
every backend enforces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import networkx as nx
import numpy as np

from snnc import intops
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.graph import Edge, Graph, Node
from snnc.interval import Interval, RangeOverflowError, ZeroDivisorError
from snnc.kernel import PREDICATES, Kernel
from snnc.ops import Op
from snnc.passes.attention_ranges import ATTENTION_RANGES
from snnc.passes.base import Context, Pass
from snnc.passes.code_ranges import CODE_RANGES
from snnc.passes.kernel_ranges import annotate, growing, kernel_ranges
from snnc.passes.layer_ranges import LAYER_RANGES
from snnc.passes.moved_spikes import moved_spikes
from snnc.passes.norm_ranges import NORM_RANGES
from snnc.passes.range_rule import RangeRule
from snnc.passes.reduction_ranges import REDUCTION_RANGES
from snnc.passes.tensor_ranges import TENSOR_RANGES
from snnc.passes.time_ranges import TIME_RANGES
from snnc.step_limits import step_limits
from snnc.time_ops import Sequence
from snnc.types import Int

#: Steps for which sums over time are proven if the user names no number, and states without a
#: bound for all T (integrators without leak); the next pair if a value is too large for 63 bits.
STEPS = ((1 << 16, 1 << 12), (1 << 12, 1 << 10), (1 << 10, 1 << 10), (1 << 8, 1 << 8), (64, 64))


@dataclass(frozen=True)
class ProveRanges(Pass):
    """Fill every integer type, kernel line and state with its proven interval.

    Attributes:
        max_steps: Longest sequence to prove; 0 chooses any length where nothing grows over time,
            else 2**16, or 4096 with leakless integrators, and less where that is too long for 63
            bits, but at least the model's own number.
    """

    name: ClassVar[str] = "prove-ranges"
    max_steps: int = 0

    def run(self, graph: Graph, ctx: Context) -> Graph:
        pairs = [pair for pair in STEPS if min(pair) >= graph.steps] or [STEPS[0]]
        if self.max_steps or _keeps_sequences(graph):
            count = self.max_steps or graph.steps
            pairs = [(count, count if self.max_steps else STEPS[0][1])]
        most = step_limits(graph)[1]
        *longer, shortest = [(min(sums, most or sums), n) for sums, n in pairs]
        for sums, integrators in longer:
            try:
                return self._prove(graph, ctx, sums, integrators)
            except CompileError as e:
                if any(d.code != "E310" for d in e.diagnostics):
                    raise
        return self._prove(graph, ctx, *shortest)

    def _prove(self, graph: Graph, ctx: Context, limit: int, integrators: int) -> Graph:
        """Prove sums over ``limit`` steps and unbounded states over ``integrators``."""
        nodes = list(graph)
        ranges = _known(graph, nodes)
        problems: list[Diagnostic] = []
        growing = [
            n.name for n in nodes if isinstance(n.op, intops.IntTimeSum | intops.IntTimeMean)
        ]
        for node in _ordered(graph, nodes):
            operands = [_arriving(e, ranges) for e in graph.in_edges(node.name)]
            known = [x for x in operands if x is not None]
            if len(known) != len(operands):
                continue  # the producer failed, or its range is not known yet: reported below
            try:
                steps = graph.steps_of(node.type.clock.phase, 0)
                if isinstance(node.op, intops.IntNeuron):
                    limits = limit, min(limit, integrators), steps
                    holds = self._neuron(graph, node, known, ranges, limits)
                    growing += [] if holds is None else [node.name]
                    limit = limit if holds is None else min(limit, holds)
                else:
                    ranges[node.name, 0] = RANGES[type(node.op)](node, known, steps or limit)
            except ZeroDivisorError:
                text = f"{node.name} divides by a value that may be zero"
                hint = "add a positive constant to the divisor, or clamp it"
                problems.append(error("E313", text, node.loc, help=hint))
            except RangeOverflowError:
                problems.append(_overflow(node, known))
        if problems:
            raise CompileError(problems)
        if missing := [n for n in nodes if (n.name, 0) not in ranges]:
            why = "a value that is fed back through a delay has no bound yet"
            raise fail("E311", f"cannot bound the range of {missing[0].name}", missing[0].loc, why)
        for node in nodes:
            types = tuple(
                replace(t, dtype=Int(*ranges[node.name, i].bounds))
                for i, t in enumerate(node.types)
            )
            graph.replace(replace(graph[node.name], types=types))
            ctx.note(node.name, types=", ".join(map(str, types)))
        free = not self.max_steps and not growing and not step_limits(graph)[1]
        graph.max_steps = 0 if free and not _keeps_sequences(graph) else limit
        ctx.ranges = ranges
        return graph

    def _neuron(
        self,
        graph: Graph,
        node: Node,
        inputs: list[Interval],
        ranges: dict[tuple[str, int], Interval],
        limits: tuple[int, int, int],
    ) -> int | None:
        """Ranges of a population; returns the number of steps for which they hold, None for all.

        ``limits``: that number so far, the same for states without a bound for all T, and the
        steps of the population's own loop, if it has some.
        """
        op = node.op
        assert isinstance(op, intops.IntNeuron), "called for neurons only"
        limit, integrators, own = limits
        steps = own or integrators
        found = kernel_ranges(op.kernel, inputs, op.shape, steps)
        graph.replace(replace(node, op=replace(op, kernel=annotate(op.kernel, found))))
        for i, out in enumerate(op.kernel.outputs):
            ranges[node.name, i] = Interval.of(*found.env[out].bounds).broadcast(op.shape)
        return None if found.bounded or own else min(limit, steps)

    def ensures(self, graph: Graph) -> None:
        for node in graph:
            assert all(isinstance(t.dtype, Int) and t.dtype.lo is not None for t in node.types)


def _known(graph: Graph, nodes: list[Node]) -> dict[tuple[str, int], Interval]:
    """What needs no proof: spikes are 0 or 1 and clamped values inside, whatever feeds them.

    It is what a recurrent connection starts from.
    """
    found: dict[tuple[str, int], Interval] = {}
    for node in nodes:
        if isinstance(node.op, intops.IntNeuron):
            for i, out in enumerate(node.op.kernel.outputs):
                if (interval := fixed_range(node.op.kernel, out)) is not None:
                    found[node.name, i] = interval.broadcast(node.op.shape)
    spikes = {place for place, interval in found.items() if interval.bounds == (0, 1)}
    for name, bounds in moved_spikes(graph, lambda e: (e.src, e.out) in spikes).items():
        found[name, 0] = Interval.of(*bounds).broadcast(graph[name].type.shape)
    return found


def fixed_range(kernel: Kernel, name: str) -> Interval | None:
    """What a kernel's value is whatever feeds it, or None: a flag, or a value that is clamped."""
    line = kernel.line(name)
    while line is not None and line.fn == "copy":
        line = kernel.line(line.args[0])
    if line is not None and line.fn in PREDICATES:
        return Interval.of(0, 1)
    limits = {c.name: c.values for c in kernel.consts if c.index is None}
    above = kernel.line(line.args[0]) if line is not None and line.fn == "minimum" else None
    if line is None or above is None or above.fn != "maximum":
        return None
    low, high = limits.get(above.args[1]), limits.get(line.args[1])
    return None if low is None or high is None else Interval.of(low.data.min(), high.data.max())


def _arriving(edge: Edge, ranges: dict[tuple[str, int], Interval]) -> Interval | None:
    """What the consumer sees: a delayed edge also brings its initial value."""
    found = ranges.get((edge.src, edge.out))
    if found is None or not edge.delay:
        return found
    start = Interval.of(0, 0) if edge.init is None else Interval.exactly(edge.init)
    return found.join(start.broadcast(found.lo.shape))


def _ordered(graph: Graph, nodes: list[Node]) -> list[Node]:
    """Loop after loop; sums over time and what follows them need the final number of steps.

    If a later loop turns out to be bounded for fewer steps than the sums of an earlier one, these
    are merely wider than they need be.  Within a loop, a node comes after all that it reads, also
    a step later, but for those that it feeds itself: of these, it sees what needs no proof.
    """
    number = {n.name: i for i, n in enumerate(nodes)}
    flow: nx.DiGraph[str] = nx.DiGraph()
    flow.add_nodes_from(number)
    flow.add_edges_from((e.src, e.dst) for e in graph.edges)
    groups = nx.condensation(flow)
    first = {g: min(number[x] for x in groups.nodes[g]["members"]) for g in groups}
    rank = {g: i for i, g in enumerate(nx.lexicographical_topological_sort(groups, first.get))}
    group = groups.graph["mapping"]
    return sorted(nodes, key=lambda n: (n.type.clock.order, rank[group[n.name]], number[n.name]))


def _keeps_sequences(graph: Graph) -> bool:
    """Whether a whole sequence is kept for a later loop: memory for every step."""
    return any(isinstance(n.op, Sequence) for n in graph.nodes)


def _overflow(node: Node, operands: list[Interval]) -> Diagnostic:
    text = f"{node.name} needs more than 63 bits in the worst case"
    why = "no target has wider words, and snnc never wraps or saturates silently"
    witness, hint = _witness(node, operands), "use fewer weight bits, or a smaller --max-steps"
    if isinstance(node.op, intops.IntNeuron):
        steps, state = growing(node.op.kernel, operands, node.op.shape)
        if state:
            witness = [f"its state {state} grows: 63 bits hold it for {steps} steps"]
            hint = "make its update stable, with a leak below 1 or the poles of a filter inside "
            hint += "the unit circle, or clamp the state"
    return error("E310", text, node.loc, why, *witness, help=hint)


def _witness(node: Node, operands: list[Interval]) -> list[str]:
    """The operand that makes a row's sum largest, in words, if the node is a linear layer."""
    if not isinstance(node.op, intops.IntLinear) or len(operands) != 1:
        return []
    weight = node.op.weight.data.astype(np.float64)
    lo, hi = (v.reshape(-1, weight.shape[1]).astype(np.float64) for v in
              (operands[0].lo, operands[0].hi))  # fmt: skip
    low, high = lo.min(0), hi.max(0)
    rows = np.maximum(weight * low, weight * high).sum(1)
    row = int(rows.argmax())
    up, down = int((weight[row] > 0).sum()), int((weight[row] < 0).sum())
    text = f"row {row} sums up to {rows[row] * 2.0**node.op.shift:.3g}: inputs with weights above 0"
    return [f"{text} at their upper end ({up}), those below 0 at their lower ({down})"]


#: How every operator but IntNeuron maps intervals.
RANGES: dict[type[Op], RangeRule] = {
    **LAYER_RANGES,
    **NORM_RANGES,
    **ATTENTION_RANGES,
    **TENSOR_RANGES,
    **REDUCTION_RANGES,
    **TIME_RANGES,
    **CODE_RANGES,
}
