"""Layers that add up events: the linear one, and what it shares with those over windows.

``event(acc, id)`` adds what one spike contributes; ``event(acc, id, x)`` what element ``id`` of
value ``x`` contributes.  ``tick`` starts the accumulators, sends every event and finishes.
"""

from __future__ import annotations

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load
from snnc.backends.c.layouts import in_order
from snnc.backends.c.pairs import emit_pairs
from snnc.backends.c.quads import emit_quads
from snnc.backends.c.words import literal
from snnc.intops import IntLinear
from snnc.params import Param


def emit_linear(layer: Layer) -> None:
    """Weights lie column after column: one event adds one column to one row of outputs."""
    op = layer.node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    if pairs := layer.plan.pairs(layer.node):
        emit_pairs(layer, pairs)
        return
    if quads := layer.plan.quads(layer.node):
        emit_quads(layer, quads)
        return
    out, fan_in = op.weight.shape
    (x,), y = layer.plan.operands(layer.node), layer.output()
    origin = names.comment(f"{layer.node.name}: weight, (in, out)")
    table = layer.tables.add(layer.id("w"), in_order(op.weight.data, x.channels).T, origin)
    w = layer.code
    with w.block(f"static void {layer.id('event')}({parameters(x, y.ctype)})"):
        rows = y.size // out
        column = "id" if rows == 1 else f"(id % {fan_in}u)"
        w(f"const {table.ctype} *restrict w = {table.name} + (size_t){column} * {out}u;")
        if rows > 1:
            w(f"acc += (size_t)(id / {fan_in}u) * {out}u;")
        with w.loop("j", out):
            w(add_weight("acc[j]", "w[j]", x, y.ctype))
    with w.block(f"static void {layer.tick}(void)"):
        first = op.bias if op.shift == 0 else None
        start_sums(layer, y.name, y.ctype, y.size, first)
        send_events(layer, x, y.name, y.ctype)
        if op.shift:
            bias = bias_term(layer, op.bias, f"i % {out}u" if rows > 1 else "i", y.ctype)
            with w.loop("i", y.size):
                w(f"{y.name}[i] = {y.name}[i] * {literal(1 << op.shift, y.ctype)}{bias};")


def parameters(x: Buffer, word: str) -> str:
    """Parameters of ``event``."""
    return f"{word} *restrict acc, uint32_t id" + ("" if x.is_spikes else f", {word} x")


def add_weight(place: str, weight: str, x: Buffer, word: str) -> str:
    """Statement that adds what a weight contributes."""
    if x.is_spikes:
        return f"{place} += {weight};"
    return f"{place} += x * ({word}){weight};"


def start_sums(layer: Layer, acc: str, word: str, size: int, bias: Param | None) -> None:
    """Set accumulators to zero, or to the bias."""
    if bias is None or not bias.data.any():
        layer.code(f"memset({acc}, 0, sizeof {acc});")
        return
    out = bias.data.size
    with layer.code.loop("i", size):
        index = "i" if size == out else f"i % {out}u"
        layer.code(f"{acc}[i] = {_bias_value(layer, bias, index, word)};")


def bias_term(layer: Layer, bias: Param | None, index: str, word: str) -> str:
    """`` + bias``, or nothing."""
    return f" + {_bias_value(layer, bias, index, word)}" if bias and bias.data.any() else ""


def _bias_value(layer: Layer, bias: Param, index: str, word: str) -> str:
    lo, hi = int(bias.data.min()), int(bias.data.max())
    if lo == hi:
        return literal(lo, word)
    origin = names.comment(f"{layer.node.name}: bias")
    table = layer.tables.add(layer.id("b"), bias.data, origin)
    return f"({word}){table.name}[{index}]"


def send_events(layer: Layer, x: Buffer, acc: str, word: str) -> None:
    """Call ``event`` for every spike, or for every nonzero element."""
    w, event = layer.code, layer.id("event")
    if x.ids:
        with w.block(f"for (uint32_t n = 0u; n < {x.ids}_n; n++)"):
            w(f"{event}({acc}, {x.ids}[n]);")
        return
    with w.block(f"for (uint32_t id = 0u; id < {x.size}u; id++)"):
        payload = "" if x.is_spikes else f", {load(x, 'id', word)}"
        w(f"if ({x.name}[id] != 0) {{ {event}({acc}, id{payload}); }}")
