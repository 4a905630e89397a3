"""Layers that add up events: linear, convolution and pooling.

``event(acc, id)`` adds what one spike contributes; ``event(acc, id, x)`` what element ``id`` of
value ``x`` contributes.  ``tick`` starts the accumulators, sends every event and finishes.
"""

from __future__ import annotations

from contextlib import ExitStack

from snnc.backends.c import names
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.pairs import emit_pairs
from snnc.backends.c.plan import Buffer, bounds_of
from snnc.backends.c.sums import sum_bounds
from snnc.backends.c.words import computed, literal
from snnc.intops import IntConv2d, IntLinear, IntMaxPool2d, IntSumPool2d
from snnc.params import Param


def emit_linear(layer: Layer) -> None:
    """Weights lie column after column: one event adds one column to one row of outputs."""
    op = layer.node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    if pairs := layer.plan.pairs(layer.node):
        emit_pairs(layer, pairs)
        return
    out, fan_in = op.weight.shape
    (x,), y = layer.plan.operands(layer.node), layer.output()
    origin = names.comment(f"{layer.node.name}: weight, (in, out)")
    table = layer.tables.add(layer.id("w"), op.weight.data.T, origin)
    w = layer.code
    with w.block(f"static void {layer.id('event')}({_parameters(x, y.ctype)})"):
        rows = y.size // out
        column = "id" if rows == 1 else f"(id % {fan_in}u)"
        w(f"const {table.ctype} *restrict w = {table.name} + (size_t){column} * {out}u;")
        if rows > 1:
            w(f"acc += (size_t)(id / {fan_in}u) * {out}u;")
        with w.loop("j", out):
            w(_add("acc[j]", "w[j]", x, y.ctype))
    with w.block(f"static void {layer.tick}(void)"):
        start = op.bias if op.shift == 0 else None
        _start(layer, y.name, y.ctype, y.size, start)
        _send(layer, x, y.name, y.ctype)
        if op.shift:
            bias = _bias(layer, op.bias, f"i % {out}u" if rows > 1 else "i", y.ctype)
            with w.loop("i", y.size):
                w(f"{y.name}[i] = {y.name}[i] * {literal(1 << op.shift, y.ctype)}{bias};")


def emit_conv2d(layer: Layer) -> None:
    """Scatter: an event adds a vector over the output channels to each pixel that it reaches.

    Accumulators are (H, W, C), so that these vectors are contiguous; ``tick`` transposes.
    """
    op = layer.node.op
    assert isinstance(op, IntConv2d), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    channels, height, width = y.shape
    each, per_group, kh, kw = channels // op.groups, *op.weight.shape[1:]
    by_input = op.weight.data.reshape(op.groups, each, per_group, kh, kw).transpose(0, 2, 3, 4, 1)
    origin = names.comment(f"{layer.node.name}: weight, (in, height, width, out per group)")
    table = layer.tables.add(layer.id("w"), by_input, origin)
    bounds = bounds_of(layer.node)
    word = computed(bounds, sum_bounds(op, x.bounds))
    acc = layer.id("acc")
    layer.array(acc, word, y.size, "(height, width, channel)")
    w = layer.code
    with w.block(f"static void {layer.id('event')}({_parameters(x, word)})"):
        _, rows, columns = x.shape
        w(f"const uint32_t channel = id / {rows * columns}u;")
        first = "" if op.groups == 1 else f" + (size_t)(channel / {per_group}u) * {each}u"
        w(f"const {table.ctype} *w = {table.name} + (size_t)channel * {kh * kw * each}u;")
        with ExitStack() as stack:
            _reach(layer, stack, op, (kh, kw), x, y)
            w(f"{word} *restrict a = acc + (size_t)(oy * {width} + ox) * {channels}u{first};")
            w(f"const {table.ctype} *restrict v = w + (size_t)(ky * {kw} + kx) * {each}u;")
            with w.loop("o", each):
                w(_add("a[o]", "v[o]", x, word))
    with w.block(f"static void {layer.tick}(void)"):
        _start(layer, acc, word, y.size, None)
        _send(layer, x, acc, word)
        with w.loop("o", channels):
            bias = _bias(layer, op.bias, "o", word)
            scale = f" * {literal(1 << op.shift, word)}" if op.shift else ""
            with w.loop("p", height * width):
                value = f"{acc}[p * {channels}u + o]{scale}{bias}"
                w(store(y, f"o * {height * width}u + p", value, word))
        layer.list_spikes(y)


def emit_pool(layer: Layer) -> None:
    """Sum pooling, and maximum pooling of spikes (there the maximum is a logical or)."""
    op = layer.node.op
    assert isinstance(op, IntSumPool2d | IntMaxPool2d), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    _, height, width = y.shape
    w = layer.code
    with w.block(f"static void {layer.id('event')}({_parameters(x, y.ctype)})"):
        w(f"const uint32_t channel = id / {x.shape[1] * x.shape[2]}u;")
        with ExitStack() as stack:
            _reach(layer, stack, op, op.kernel, x, y)
            size = height * width
            w(f"{y.ctype} *a = acc + (size_t)channel * {size}u + (size_t)(oy * {width} + ox);")
            is_or = isinstance(op, IntMaxPool2d)
            w("*a = 1u;" if is_or else f"*a += {'1' if x.is_spikes else 'x'};")
    with w.block(f"static void {layer.tick}(void)"):
        _start(layer, y.name, y.ctype, y.size, None)
        _send(layer, x, y.name, y.ctype)
        layer.list_spikes(y)


def emit_max_pool(layer: Layer) -> None:
    """Maximum pooling; padding is skipped, and every window has an element (checked)."""
    op = layer.node.op
    assert isinstance(op, IntMaxPool2d), "dispatched by type"
    (x,) = layer.plan.operands(layer.node)
    if x.is_spikes:
        emit_pool(layer)
        return
    y, w = layer.output(), layer.code
    word = computed(x.bounds)
    channels, height, width = y.shape
    _, rows, columns = x.shape
    with w.block(f"static void {layer.tick}(void)"), ExitStack() as stack:
        for name, count in (("c", channels), ("oy", height), ("ox", width)):
            stack.enter_context(w.block(_for(name, count)))
        w(f"{word} best = {literal(x.bounds[0], word)};")
        with w.block(_for("ky", op.kernel[0])):
            w(f"const int32_t iy = oy * {op.stride[0]} + ky - {op.padding[0]};")
            w(f"if (iy < 0 || iy >= {rows}) {{ continue; }}")
            with w.block(_for("kx", op.kernel[1])):
                w(f"const int32_t ix = ox * {op.stride[1]} + kx - {op.padding[1]};")
                w(f"if (ix < 0 || ix >= {columns}) {{ continue; }}")
                w(f"const {word} x = {load(x, f'(c * {rows} + iy) * {columns} + ix', word)};")
                w("best = (x > best) ? x : best;")
        w(store(y, f"(c * {height} + oy) * {width} + ox", "best", word))


def _for(name: str, count: int) -> str:
    return f"for (int32_t {name} = 0; {name} < {count}; {name}++)"


def _parameters(x: Buffer, word: str) -> str:
    return f"{word} *restrict acc, uint32_t id" + ("" if x.is_spikes else f", {word} x")


def _add(place: str, weight: str, x: Buffer, word: str) -> str:
    if x.is_spikes:
        return f"{place} += {weight};"
    return f"{place} += x * ({word}){weight};"


def _start(layer: Layer, acc: str, word: str, size: int, bias: Param | None) -> None:
    if bias is None or not bias.data.any():
        layer.code(f"memset({acc}, 0, sizeof {acc});")
        return
    out = bias.data.size
    with layer.code.loop("i", size):
        index = "i" if size == out else f"i % {out}u"
        layer.code(f"{acc}[i] = {_bias_value(layer, bias, index, word)};")


def _bias(layer: Layer, bias: Param | None, index: str, word: str) -> str:
    return f" + {_bias_value(layer, bias, index, word)}" if bias and bias.data.any() else ""


def _bias_value(layer: Layer, bias: Param, index: str, word: str) -> str:
    lo, hi = int(bias.data.min()), int(bias.data.max())
    if lo == hi:
        return literal(lo, word)
    origin = names.comment(f"{layer.node.name}: bias")
    table = layer.tables.add(layer.id("b"), bias.data, origin)
    return f"({word}){table.name}[{index}]"


def _send(layer: Layer, x: Buffer, acc: str, word: str) -> None:
    """Call ``event`` for every spike, or for every nonzero element."""
    w, event = layer.code, layer.id("event")
    if x.ids:
        with w.block(f"for (uint32_t n = 0u; n < {x.ids}_n; n++)"):
            w(f"{event}({acc}, {x.ids}[n]);")
        return
    with w.block(f"for (uint32_t id = 0u; id < {x.size}u; id++)"):
        payload = "" if x.is_spikes else f", {load(x, 'id', word)}"
        w(f"if ({x.name}[id] != 0) {{ {event}({acc}, id{payload}); }}")


def _reach(
    layer: Layer,
    stack: ExitStack,
    op: IntConv2d | IntSumPool2d | IntMaxPool2d,
    kernel: tuple[int, int],
    x: Buffer,
    y: Buffer,
) -> None:
    """Open loops over the outputs (oy, ox) that input pixel ``id`` reaches through (ky, kx)."""
    w = layer.code
    dilation = op.dilation if isinstance(op, IntConv2d) else (1, 1)
    _, rows, columns = x.shape
    w(f"const int32_t row = (int32_t)((id / {columns}u) % {rows}u) + {op.padding[0]};")
    w(f"const int32_t column = (int32_t)(id % {columns}u) + {op.padding[1]};")
    for axis, (o, k, at) in enumerate((("oy", "ky", "row"), ("ox", "kx", "column"))):
        stack.enter_context(w.block(_for(k, kernel[axis])))
        stride, step = op.stride[axis], dilation[axis]
        w(f"const int32_t d{o} = {at} - {k}{'' if step == 1 else f' * {step}'};")
        w(f"const int32_t {o} = d{o}{'' if stride == 1 else f' / {stride}'};")
        uneven = "" if stride == 1 else f" || d{o} % {stride} != 0"
        w(f"if (d{o} < 0{uneven} || {o} >= {y.shape[1 + axis]}) {{ continue; }}")
