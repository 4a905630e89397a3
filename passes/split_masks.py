"""Tell a mask before a softmax from its logits, which integers could not hold together.

An element to which a model adds minus infinity, or a number as good as that, or which it replaces
by one, has the weight 0 whatever its logit is: ``softmax(where(m, -inf, x))`` and
``softmax(x + c)`` with such entries in ``c`` become a softmax of ``x`` with a second operand that
says which elements count.  This is exact while the logits' own differences stay below 9,900: then
``exp`` of what is left is 0 in float64, too.  Where all elements of a row are masked, no weights
exist: a constant mask is refused, and behind a computed one all weights are 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import fail
from snnc.exact import Expr, apply, floats, leaf
from snnc.graph import Edge, Graph, Node, Value
from snnc.ops import Constant, Pointwise, Softmax
from snnc.params import Param

Floats = npt.NDArray[np.float64]
#: What is at most this counts as minus infinity.
LEAST = -1e4


def split_masks(graph: Graph) -> None:
    """Give every softmax its mask as an operand of its own."""
    for node in [n for n in graph.nodes if isinstance(n.op, Softmax)]:
        while _split(graph, node.name):
            pass
        _check_rows(graph, graph[node.name])


def _split(graph: Graph, name: str) -> bool:
    """Take one mask out of the logits, also from below constants that are added later."""
    edge: Edge | None = graph.in_edges(name)[0]
    while edge is not None:
        source = graph[edge.src]
        if not isinstance(source.op, Pointwise) or edge.delay:
            return False
        if source.op.fn == "where":
            return _chosen(graph, name, edge)
        if source.op.fn != "add":
            return False
        edges = graph.in_edges(source.name)
        if any(_added(graph, name, edge, b, x) for b, x in (edges, edges[::-1])):
            return True
        alone = len(graph.out_edges(source.name)) == 1
        varying = [e for e in edges if constant(graph, e.src) is None]
        edge = varying[0] if alone and len(varying) == 1 else None
    return False


def _chosen(graph: Graph, name: str, edge: Edge) -> bool:
    """``where(m, -inf, x)`` or ``where(m, x, -inf)``."""
    source = graph[edge.src]
    cond, yes, no = graph.in_edges(source.name)
    for lost, kept, fn in ((yes, no, "not"), (no, yes, "copy")):
        value = constant(graph, lost.src)
        if value is None or (value > LEAST).any() or not _as_large(graph, kept, source):
            continue
        known = constant(graph, cond.src)
        if known is not None:
            keep = Value(_constant(graph, source, (known != 0) != (fn == "not")))
        else:
            keep = _value(cond)
            if fn == "not":
                made = graph.fresh(f"{source.name}.keep")
                keep = Value(graph.add(made, Pointwise("not"), keep, loc=source.loc).name)
        _mask(graph, name, edge, _value(kept), keep)
        return True
    return False


def _added(graph: Graph, name: str, edge: Edge, bias: Edge, logits: Edge) -> bool:
    """``x + c`` with some entries of ``c`` as good as minus infinity."""
    source = graph[edge.src]
    value = constant(graph, bias.src)
    if value is None or not (value <= LEAST).any() or not _as_large(graph, logits, source):
        return False
    counts = value > LEAST
    rest = np.where(counts, value, 0.0)
    kept = _value(logits)
    if rest.any():
        made = graph.fresh(f"{source.name}.rest")
        graph.add(made, Constant(Param(rest)), loc=source.loc)
        total = graph.fresh(f"{source.name}.kept")
        kept = Value(graph.add(total, Pointwise("add"), kept, made, loc=source.loc).name)
    _mask(graph, name, edge, kept, Value(_constant(graph, source, counts)))
    return True


def _mask(graph: Graph, name: str, edge: Edge, logits: Value, keep: Value) -> None:
    """Put ``logits`` in the place of ``edge``; count what counted if ``keep`` is not 0, too."""
    node = graph[name]
    graph.disconnect(edge)
    graph.connect(Edge(logits.src, edge.dst, edge.port, logits.out, logits.delay, logits.init))
    for old in graph.in_edges(name)[1:]:
        both = graph.fresh(f"{name}.keep")
        keep = Value(graph.add(both, Pointwise("and"), _value(old), keep, loc=node.loc).name)
        graph.disconnect(old)
    graph.connect(Edge(keep.src, name, 1, keep.out, keep.delay, keep.init))
    operands = tuple(graph[e.src].types[e.out] for e in graph.in_edges(name))
    graph.replace(replace(node, types=node.op.infer(operands)))
    _drop(graph, edge.src)


def _drop(graph: Graph, name: str) -> None:
    """Remove what nothing reads any more."""
    if not graph.out_edges(name) and isinstance(graph[name].op, Pointwise | Constant):
        sources = [e.src for e in graph.in_edges(name)]
        graph.remove(name)
        for source in dict.fromkeys(sources):
            _drop(graph, source)


def _check_rows(graph: Graph, node: Node) -> None:
    edges = graph.in_edges(node.name)
    if len(edges) < 2 or (keep := constant(graph, edges[1].src)) is None:
        return
    assert isinstance(node.op, Softmax), "called for softmax only"
    counts = np.broadcast_to(keep != 0, node.type.shape)
    if not counts.any(node.op.axis).all():
        text = f"{node.name} is a softmax of rows in which every element is masked"
        hint = "let each row keep one element, or multiply by 0 after the softmax"
        raise fail("E315", text, node.loc, help=hint)


def constant(graph: Graph, name: str) -> Floats | None:
    """The value of a node that depends on parameters alone."""
    found = _expr(graph, name)
    return None if found is None else floats(found)


def _expr(graph: Graph, name: str) -> Expr | None:
    op = graph[name].op
    if isinstance(op, Constant):
        return leaf(op.value.data)
    if not isinstance(op, Pointwise):
        return None
    args = [None if e.delay else _expr(graph, e.src) for e in graph.in_edges(name)]
    known = [a for a in args if a is not None]
    return apply(op.fn, *known) if len(known) == len(args) else None


def _constant(graph: Graph, source: Node, counts: npt.NDArray[np.bool_]) -> str:
    name = graph.fresh(f"{source.name}.keep")
    return graph.add(name, Constant(Param(counts.astype(np.float64))), loc=source.loc).name


def _value(edge: Edge) -> Value:
    return Value(edge.src, edge.out, edge.delay, edge.init)


def _as_large(graph: Graph, edge: Edge, source: Node) -> bool:
    """Whether the logits have all axes already: a mask that adds some would change them."""
    return graph[edge.src].types[edge.out].shape == source.type.shape
