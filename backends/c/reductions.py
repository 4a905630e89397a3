"""Reductions over axes, positions of maxima, and rows of tables."""

from __future__ import annotations

from contextlib import ExitStack
from math import prod

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.moves import Axis, merged
from snnc.backends.c.words import Bounds, computed, literal
from snnc.intops import IntArgMax, IntEmbedding, IntReduce, IntTopK

#: What one more element does to the result so far.
_UPDATES = {
    "sum": "y + x",
    "prod": "y * x",
    "max": "(x > y) ? x : y",
    "min": "(x < y) ? x : y",
}


def partial_bounds(op: IntReduce, x: Bounds, count: int) -> Bounds:
    """An interval around every partial result, if that is not much wider than needed."""
    top = max(abs(x[0]), abs(x[1]))
    if op.fn == "sum":
        return -top * count, top * count
    if op.fn == "prod":
        largest = max(top, 1) ** min(count, 64)
        return -largest, largest
    return x


def emit_reduce(layer: Layer) -> None:
    """Loops over what is kept around loops over what goes."""
    op = layer.node.op
    assert isinstance(op, IntReduce), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    strides = [prod(x.shape[a + 1 :]) for a in range(len(x.shape))]
    axes = [Axis(n, s) for n, s in zip(x.shape, strides, strict=True)]
    kept = merged([axis for a, axis in enumerate(axes) if a not in op.axes])
    gone = merged([axes[a] for a in op.axes])
    count = prod(a.extent for a in gone)
    word = computed(x.bounds, y.bounds, partial_bounds(op, x.bounds, count))
    w = layer.code
    with w.block(f"static void {layer.tick}(void)"):
        with ExitStack() as outer:
            here, there = _loops(layer, outer, kept, "i")
            start = {"sum": 0, "prod": 1, "max": x.bounds[0], "min": x.bounds[1]}[op.fn]
            w(f"{word} y = {literal(start, word)};")
            with ExitStack() as inner:
                _, more = _loops(layer, inner, gone, "j")
                w(f"const {word} x = {load(x, ' + '.join(there + more) or '0u', word)};")
                w(f"y = {_UPDATES[op.fn]};")
            w(store(y, here, "y", word))
        layer.list_spikes(y)


def _loops(layer: Layer, stack: ExitStack, axes: list[Axis], name: str) -> tuple[str, list[str]]:
    """Open a loop for every axis: the number of the iteration, and what adds up to the place."""
    here, there = "", []
    for n, axis in enumerate(axes):
        i = f"{name}{n}"
        stack.enter_context(layer.code.loop(i, axis.extent))
        here = f"({here}) * {axis.extent}u + {i}" if here else i
        there.append(i if axis.stride == 1 else f"{i} * {axis.stride}u")
    return here, there


def emit_argmax(layer: Layer) -> None:
    """Go along the axis; only a larger element moves the position."""
    op = layer.node.op
    assert isinstance(op, IntArgMax), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    outer, n, inner = prod(x.shape[: op.axis]), x.shape[op.axis], prod(x.shape[op.axis + 1 :])
    w, word = layer.code, computed(x.bounds)
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("o", outer), w.loop("i", inner):
            first = f"o * {n * inner}u + i"
            w(f"{word} top = {load(x, first, word)};", "int32_t where = 0;")
            with w.block(f"for (int32_t j = 1; j < {n}; j++)"):
                place = f"{first} + (size_t)j * {inner}u"
                w(f"const {word} x = {load(x, place, word)};")
                w("where = (x > top) ? j : where;", "top = (x > top) ? x : top;")
            w(store(y, f"o * {inner}u + i", "where", "int32_t"))
        layer.list_spikes(y)


def emit_top_k(layer: Layer) -> None:
    """As often as there are places: the first of the largest behind what was found last."""
    op = layer.node.op
    assert isinstance(op, IntTopK), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    outer, n, inner = prod(x.shape[: op.axis]), x.shape[op.axis], prod(x.shape[op.axis + 1 :])
    w, word = layer.code, computed(x.bounds)
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("o", outer), w.loop("i", inner):
            w(f"{word} last = 0;", "int32_t at = -1;")
            with w.loop("r", op.k):
                w(f"{word} top = 0;", "int32_t where = -1;")
                with w.block(f"for (int32_t j = 0; j < {n}; j++)"):
                    place = f"o * {n * inner}u + i + (size_t)j * {inner}u"
                    w(f"const {word} x = {load(x, place, word)};")
                    left = "at < 0 || x < last || (x == last && j > at)"
                    with w.block(f"if (({left}) && (where < 0 || x > top))"):
                        w("top = x;", "where = j;")
                w("last = top;", "at = where;")
                value, kind = ("where", "int32_t") if op.positions else ("top", word)
                w(store(y, f"o * {op.k * inner}u + r * {inner}u + i", value, kind))
        layer.list_spikes(y)


def emit_embedding(layer: Layer) -> None:
    """Copy one row for every token; numbers outside were refused with the input."""
    op = layer.node.op
    assert isinstance(op, IntEmbedding), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    features = op.weight.shape[1]
    origin = names.comment(f"{layer.node.name}: weight, (token, feature)")
    table = layer.tables.add(layer.id("w"), op.weight.data, origin)
    bounds = (int(op.weight.data.min()), int(op.weight.data.max()))
    w, word = layer.code, computed(bounds)
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", x.size):
            w(f"const {table.ctype} *row = {table.name} + (size_t){x.name}[i] * {features}u;")
            with w.loop("j", features):
                value = load(Buffer("row", table.ctype, bounds, (features,)), "j", word)
                w(store(y, f"i * {features}u + j", value, word))
        layer.list_spikes(y)
