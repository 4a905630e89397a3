"""What this backend cannot take, each with its location. Code E5xx."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from snnc.backends.numpy.backend import unsupported
from snnc.backends.onnx.clocks import reads_in
from snnc.diagnostics import Diagnostic, error
from snnc.graph import Graph, Node
from snnc.intops import IntDelayLinear, IntInput, IntMaxPool, IntNeuron
from snnc.kernel import Line, State
from snnc.params import Param
from snnc.types import Clock, Int

#: Signed values are moved up by this before they are shifted.
LEAST = -(1 << 62)
#: A protobuf message, with all weights in it, has at most 2 GiB.
LARGEST = (1 << 31) - (1 << 20)


def check(graph: Graph) -> list[Diagnostic]:
    """Every reason why the graph cannot be written as ONNX."""
    found = unsupported(graph, "onnx") or graph.check()
    if found:
        return found
    for node in graph:
        found += [*_types(node), *_structure(graph, node)]
        if isinstance(node.op, IntNeuron):
            found += _kernel(node, node.op)
    size = sum(8 * prod(p.shape) for n in graph for p in n.op.params.values())
    if size > LARGEST:
        text = f"the constants may need {size:,} bytes, a model holds 2 GiB"
        found.append(error("E508", text, help="use another target"))
    return found


def _types(node: Node) -> Iterator[Diagnostic]:
    for t in node.types:
        if not isinstance(t.dtype, Int) or t.dtype.lo is None:
            hint, why = "run the pass prove-ranges before the backend", f"its type is {t}"
            yield error("E502", f"the range of {node.name} is not proven", node.loc, why, help=hint)
        elif t.dtype.bounds[0] < LEAST or t.dtype.bounds[1] >= 1 << 63:
            yield error("E503", f"{node.name} needs more than 63 bits: {t}", node.loc)
        if not t.size:
            yield error("E508", f"{node.name} has no elements", node.loc, f"type {t}")


def _structure(graph: Graph, node: Node) -> Iterator[Diagnostic]:
    op, clock, reads = node.op, node.type.clock, reads_in(graph, node)
    if isinstance(op, IntInput) and clock not in (Clock.ONCE, Clock.STEP):
        yield error("E504", f"input {node.name} has clock {clock}", node.loc)
    if isinstance(op, IntMaxPool) and any(
        p >= k for p, k in zip(op.padding, op.kernel, strict=True)
    ):
        why = f"window {op.kernel}, padding {op.padding}"
        yield error("E505", f"a window of {node.name} lies in the padding", node.loc, why)
    for e in graph.in_edges(node.name):
        late = e.delay or isinstance(op, IntDelayLinear)
        known = graph[e.src].types[e.out].clock
        if late and (known is not reads or reads.kind is not Clock.STEP):
            text = f"a delay from {e.src} to {node.name} is not between per-step values"
            yield error("E507", text, node.loc)


def _kernel(node: Node, op: IntNeuron) -> Iterator[Diagnostic]:
    items: tuple[Line | State, ...] = (*op.kernel.body, *op.kernel.states)
    for item in items:
        if item.lo is None or item.hi is None:
            text = f"the range of {item.name} in {node.name} is not proven"
            yield error("E502", text, node.loc, help="run the pass prove-ranges before the backend")
        elif item.lo < LEAST or item.hi >= 1 << 63:
            text = f"{item.name} in {node.name} needs more than 63 bits"
            yield error("E503", text, node.loc, f"it lies in [{item.lo}, {item.hi}]")
    for const in (*op.kernel.consts, *op.kernel.tables):
        if not const.values.data.size or not _fits(const.values):
            text = f"constant {const.name} of {node.name} is empty or exceeds 63 bits"
            yield error("E508", text, node.loc)


def _fits(param: Param) -> bool:
    return int(param.data.min()) >= LEAST and int(param.data.max()) < 1 << 63
