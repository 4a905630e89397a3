"""What this backend cannot take, each with its location. Code E5xx."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.backends.c.buffers import bounds_of
from snnc.backends.c.kernel import live_lines
from snnc.backends.c.layers import EMITTERS
from snnc.backends.c.plan import kept_steps, phase
from snnc.backends.c.sums import sum_bounds
from snnc.backends.c.words import Bounds, fits, hull
from snnc.diagnostics import Diagnostic, error
from snnc.graph import Graph, Node
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntDelayLinear,
    IntHold,
    IntInput,
    IntLinear,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntRepeat,
    IntSumPool,
    IntTimeStack,
)
from snnc.kernel import Line, State
from snnc.params import Param
from snnc.time_ops import Sequence
from snnc.types import Clock, Int

_LARGEST = (1 << 31) - 1


def check(graph: Graph) -> list[Diagnostic]:
    """Every reason why the graph cannot be written as C."""
    found = graph.check()
    if found:
        return found
    for node in graph:
        problems = list(_types(node))
        if not problems:
            problems += _structure(graph, node)
            problems += _sizes(graph, node)
        if not problems and isinstance(node.op, IntNeuron):
            problems += _kernel(node, node.op)
        elif not problems and not isinstance(node.op, IntInput):
            problems += _sums(graph, node)
        found += problems
    if graph.max_steps >= 1 << 32:
        found.append(error("E509", f"max_steps of {graph.max_steps} exceeds 32 bits"))
    return found


def _types(node: Node) -> Iterator[Diagnostic]:
    if type(node.op) not in EMITTERS and not isinstance(node.op, IntRepeat | IntHold):
        kind = type(node.op).__name__
        why = "the C backend takes integer operators"
        yield error("E501", f"no C for {kind}", node.loc, why, help="quantize the network first")
        return
    for t in node.types:
        if not isinstance(t.dtype, Int) or t.dtype.lo is None:
            why = f"its type is {t}"
            help = "run the pass prove-ranges before the backend"
            yield error("E502", f"the range of {node.name} is not proven", node.loc, why, help=help)
        elif not fits(t.dtype.bounds, "int64_t"):
            yield error("E503", f"{node.name} needs more than 64 bits: {t}", node.loc)


def _structure(graph: Graph, node: Node) -> Iterator[Diagnostic]:
    op = node.op
    if isinstance(op, IntInput) and op.clock.kind is Clock.END:
        yield error("E504", f"input {node.name} has clock end", node.loc)
    if isinstance(op, IntMaxPool) and any(
        p >= k for p, k in zip(op.padding, op.kernel, strict=True)
    ):
        why = f"window {op.kernel}, padding {op.padding}"
        yield error("E505", f"a window of {node.name} lies in the padding", node.loc, why)
    if isinstance(op, IntTimeStack):
        for user in graph.users(node.name):
            if not isinstance(user.op, IntOutput):
                text = f"the sequence {node.name} is used by {user.name}"
                yield error("E506", text, user.loc, "only an output can follow a sequence")
    runs = phase(graph, node)
    if isinstance(op, Sequence):  # reads in the loop before its own
        runs = Clock.of(Clock.STEP, runs.phase - 1)
    for e in graph.in_edges(node.name):
        source = graph[e.src]
        # a layer with delays counts them from its own step
        step = runs.kind is Clock.STEP and not isinstance(op, IntRepeat | IntHold | IntDelayLinear)
        if e.delay and not (step and source.types[e.out].clock is runs):
            text = f"a delay from {source.name} to {node.name} is not between per-step values"
            yield error("E507", text, node.loc)


def _sizes(graph: Graph, node: Node) -> Iterator[Diagnostic]:
    for t in node.types:
        if not 0 < t.size <= _LARGEST:
            yield error("E508", f"{node.name} has {t.size} elements", node.loc, f"type {t}")
    if (
        isinstance(node.op, Sequence)
        and not 0 < kept_steps(graph, node) * node.type.size <= _LARGEST
    ):
        text = f"{node.name} keeps a sequence of {kept_steps(graph, node)} steps"
        yield error("E508", text, node.loc, help="compile with a smaller --max-steps")
    for name, param in node.op.params.items():
        limit = "int32_t" if name == "weight" else "int64_t"
        if isinstance(node.op, IntOutput):
            continue  # scales are for people, no code
        if not param.data.size or not fits(_extremes(param), limit):
            text = f"{name} of {node.name} is empty or does not fit {limit}"
            yield error("E508", text, node.loc)


def _sums(graph: Graph, node: Node) -> Iterator[Diagnostic]:
    if isinstance(node.op, IntLinear | IntDelayLinear | IntConv | IntConvTranspose | IntSumPool):
        edge = graph.in_edges(node.name)[0]
        x = bounds_of(graph[edge.src], edge.out)
        if edge.delay:
            x = hull(x, (0, 0) if edge.init is None else _extremes(edge.init))
        worst = sum_bounds(node.op, x)
        if not fits(worst, "int64_t"):
            why = f"events may arrive in any order: partial sums lie in {list(worst)}"
            text = f"an accumulator of {node.name} needs more than 64 bits"
            yield error("E503", text, node.loc, why, help="use fewer weight bits")


def _kernel(node: Node, op: IntNeuron) -> Iterator[Diagnostic]:
    items: tuple[Line | State, ...] = (*live_lines(op.kernel), *op.kernel.states)
    for item in items:
        if item.lo is None or item.hi is None:
            text = f"the range of {item.name} in {node.name} is not proven"
            yield error("E502", text, node.loc, help="run the pass prove-ranges before the backend")
        elif not fits((item.lo, item.hi), "int64_t"):
            text = f"{item.name} in {node.name} needs more than 64 bits"
            yield error("E503", text, node.loc, f"it lies in [{item.lo}, {item.hi}]")
    for const in (*op.kernel.consts, *op.kernel.tables):
        if not const.values.data.size or not fits(_extremes(const.values), "int64_t"):
            text = f"constant {const.name} of {node.name} is empty or exceeds 64 bits"
            yield error("E508", text, node.loc)
        elif const.index is not None:
            lo, hi = _extremes(const.index) if const.index.data.size else (-1, -1)
            if lo < 0 or hi >= const.values.data.size:
                text = f"table {const.name} of {node.name} is read outside its values"
                yield error("E508", text, node.loc)


def _extremes(param: Param) -> Bounds:
    return int(param.data.min()), int(param.data.max())
