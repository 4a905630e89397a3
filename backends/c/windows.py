"""Layers over windows: convolutions and pools, over any number of axes.

Axes are called z, y, x: ``ox`` counts outputs, ``kx`` places in the window.
"""

from __future__ import annotations

import math
from contextlib import ExitStack

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer, bounds_of
from snnc.backends.c.events import add_weight, bias_term, parameters, send_events, start_sums
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.nest import nest, row_major, walk
from snnc.backends.c.scatter import emit_scatter
from snnc.backends.c.sums import sum_bounds
from snnc.backends.c.window_rows import emit_windows
from snnc.backends.c.words import computed, literal
from snnc.intops import IntConv, IntConvTranspose, IntMaxPool, IntSumPool
from snnc.windows import Sizes


def emit_conv(layer: Layer) -> None:
    """Scatter: an event adds a vector over the output channels to each place that it reaches.

    Most convolutions are written by ``window_rows`` and ``scatter``.

    Accumulators are (…, C), so that these vectors are contiguous; ``tick`` transposes.
    """
    op = layer.node.op
    assert isinstance(op, IntConv | IntConvTranspose), "dispatched by type"
    if pairs := layer.plan.windows(layer.node):
        emit_windows(layer, pairs)
        return
    if layer.plan.scatters(layer.node):
        emit_scatter(layer)
        return
    (x,), y = layer.plan.operands(layer.node), layer.output()
    out, per_group, *kernel = op.weight.shape
    each, taps = out // op.groups, math.prod(kernel)
    by_input = op.weight.data.reshape(op.groups, each, per_group, taps).transpose(0, 2, 3, 1)
    origin = names.comment(f"{layer.node.name}: weight, (in, window, out per group)")
    table = layer.tables.add(layer.id("w"), by_input, origin)
    bounds = bounds_of(layer.node)
    word = computed(bounds, sum_bounds(op, x.bounds))
    acc = layer.id("acc")
    layer.array(acc, word, y.size, "(place, channel)")
    w = layer.code
    with w.block(f"static void {layer.id('event')}({parameters(x, word)})"):
        w(f"const uint32_t channel = {_channel(x)};")
        first = "" if op.groups == 1 else f" + (size_t)(channel / {per_group}u) * {each}u"
        w(f"const {table.ctype} *w = {table.name} + (size_t)channel * {taps * each}u;")
        with ExitStack() as stack:
            _reach(layer, stack, op, tuple(kernel), x, y)
            w(f"{word} *restrict a = acc + (size_t)({_flat('o', y.shape[1:])}) * {out}u{first};")
            w(f"const {table.ctype} *restrict v = w + (size_t)({_flat('k', kernel)}) * {each}u;")
            with w.loop("o", each):
                w(add_weight("a[o]", "v[o]", x, word))
    with w.block(f"static void {layer.tick}(void)"):
        start_sums(layer, acc, word, y.size, None)
        send_events(layer, x, acc, word)
        bias = (op.bias.data.size, *[1] * (len(y.shape) - 1)) if op.bias else ()
        walks = [y.walk(y.shape), walk(y.shape, y.shape, out), row_major(bias, y.shape)]
        with nest(w, y.shape, walks) as loops:
            to, of, channel = (loops.at(place) for place in walks)
            scale = f" * {literal(1 << op.shift, word)}" if op.shift else ""
            bias_text = bias_term(layer, op.bias, channel, word)
            w(store(y, to, f"{acc}[{of}]{scale}{bias_text}", word))
        layer.list_spikes(y)


def emit_pool(layer: Layer) -> None:
    """Sum pooling, and maximum pooling of spikes (there the maximum is a logical or)."""
    op = layer.node.op
    assert isinstance(op, IntSumPool | IntMaxPool), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    if layer.plan.pools_rows(layer.node):
        _pool_rows(layer, op, x, y)
        return
    w = layer.code
    with w.block(f"static void {layer.id('event')}({parameters(x, y.ctype)})"):
        w(f"const uint32_t channel = {_channel(x)};")
        with ExitStack() as stack:
            _reach(layer, stack, op, op.kernel, x, y)
            w(f"{y.ctype} *a = acc + {_element(y, 'channel', 'o')};")
            is_or = isinstance(op, IntMaxPool)
            w("*a = 1u;" if is_or else f"*a += {'1' if x.is_spikes else 'x'};")
    with w.block(f"static void {layer.tick}(void)"):
        start_sums(layer, y.name, y.ctype, y.size, None)
        send_events(layer, x, y.name, y.ctype)
        layer.list_spikes(y)


def _pool_rows(layer: Layer, op: IntSumPool | IntMaxPool, x: Buffer, y: Buffer) -> None:
    """Pooling of bytes whose channels are innermost, place after place of every window."""
    w, join, each = layer.code, layer.id("join"), y.channels
    sign = "+" if isinstance(op, IntSumPool) else "|"
    types = "uint8_t *restrict to, const uint8_t *restrict from"
    with w.block(f"SNN_ROWS void {join}({types})"), w.loop("c", each):
        w(f"to[c] = (uint8_t)(to[c] {sign} from[c]);")
    axes = _axes(len(op.kernel))
    with w.block(f"static void {layer.tick}(void)"):
        w(f"memset({y.name}, 0, sizeof {y.name});")
        with ExitStack() as stack:
            for a, count in zip(axes, y.shape[1:], strict=True):
                stack.enter_context(w.block(_for(f"o{a}", count)))
            _taps(layer, stack, op, x)
            to, start = _element(y, "0", "o"), _element(x, "0", "i")
            w(f"{join}({y.name} + {to}, {x.name} + {start});")
        layer.list_spikes(y)


def emit_max_pool(layer: Layer) -> None:
    """Maximum pooling; padding is skipped, and every window has an element (checked)."""
    op = layer.node.op
    assert isinstance(op, IntMaxPool), "dispatched by type"
    (x,) = layer.plan.operands(layer.node)
    if x.is_spikes:
        emit_pool(layer)
        return
    y, w = layer.output(), layer.code
    word = computed(x.bounds)
    axes = _axes(len(op.kernel))
    with w.block(f"static void {layer.tick}(void)"), ExitStack() as stack:
        stack.enter_context(w.block(_for("c", y.shape[0])))
        for a, count in zip(axes, y.shape[1:], strict=True):
            stack.enter_context(w.block(_for(f"o{a}", count)))
        w(f"{word} best = {literal(x.bounds[0], word)};")
        with ExitStack() as window:
            _taps(layer, window, op, x)
            w(f"const {word} x = {load(x, _element(x, 'c', 'i'), word)};")
            w("best = (x > best) ? x : best;")
        w(store(y, _element(y, "c", "o"), "best", word))


def _taps(layer: Layer, stack: ExitStack, op: IntSumPool | IntMaxPool, x: Buffer) -> None:
    """Open loops over the elements ``i`` of the window of ``o``."""
    w, axes = layer.code, _axes(len(op.kernel))
    sides = zip(axes, op.kernel, op.stride, op.padding, x.shape[1:], strict=True)
    for a, kernel, stride, padding, size in sides:
        stack.enter_context(w.block(_for(f"k{a}", kernel)))
        w(f"const int32_t i{a} = o{a} * {stride} + k{a} - {padding};")
        w(f"if (i{a} < 0 || i{a} >= {size}) {{ continue; }}")


def _axes(count: int) -> tuple[str, ...]:
    return tuple("zyx"[-count:]) if count <= 3 else tuple(map(str, range(count)))


def _flat(stem: str, sizes: Sizes | list[int], first: str = "") -> str:
    """Row-major number of the place ``(first, stem…)`` among ``sizes``.

    >>> _flat("o", (4, 5, 6)), _flat("i", (7, 8), "c")
    ('(oz * 5 + oy) * 6 + ox', '(c * 7 + iy) * 8 + ix')
    """
    text = first
    for axis, size in zip(_axes(len(sizes)), sizes, strict=True):
        inner = f"({text})" if " " in text else text
        text = f"{inner} * {size} + {stem}{axis}" if text else f"{stem}{axis}"
    return text


def _channel(x: Buffer) -> str:
    """Channel of element ``id``."""
    return f"id % {x.channels}u" if x.channels else f"id / {x.size // x.shape[0]}u"


def _element(buffer: Buffer, channel: str, stem: str) -> str:
    """Number of the element of a channel at the place ``stem…``."""
    place = f"(size_t)({_flat(stem, buffer.shape[1:])})"
    if buffer.channels:
        return f"{place} * {buffer.channels}u + (size_t){channel}"
    return f"(size_t){channel} * {buffer.size // buffer.shape[0]}u + {place}"


def _for(name: str, count: int) -> str:
    return f"for (int32_t {name} = 0; {name} < {count}; {name}++)"


def _reach(
    layer: Layer,
    stack: ExitStack,
    op: IntConv | IntConvTranspose | IntSumPool | IntMaxPool,
    kernel: Sizes,
    x: Buffer,
    y: Buffer,
) -> None:
    """Open loops over the outputs ``o`` that input element ``id`` reaches through ``k``.

    In a convolution ``o * stride + k * dilation = i + padding``, in a transposed one
    ``o = i * stride + k * dilation - padding``.
    """
    w, spreads = layer.code, isinstance(op, IntConvTranspose)
    ones = (1,) * len(kernel)
    dilation = op.dilation if isinstance(op, IntConv | IntConvTranspose) else ones
    axes, sizes = _axes(len(kernel)), x.shape[1:]
    for n, a in enumerate(axes):
        inner = math.prod(sizes[n + 1 :]) * max(1, x.channels)
        place = f"id % {sizes[n]}u" if inner == 1 else f"(id / {inner}u) % {sizes[n]}u"
        if spreads:
            w(f"const int32_t i{a} = (int32_t)({place}) * {op.stride[n]} - {op.padding[n]};")
        else:
            w(f"const int32_t i{a} = (int32_t)({place}) + {op.padding[n]};")
    for n, a in enumerate(axes):
        stack.enter_context(w.block(_for(f"k{a}", kernel[n])))
        stride, reach = op.stride[n], f"k{a}" + ("" if dilation[n] == 1 else f" * {dilation[n]}")
        if spreads:
            w(f"const int32_t o{a} = i{a} + {reach};")
            w(f"if (o{a} < 0 || o{a} >= {y.shape[1 + n]}) {{ continue; }}")
            continue
        w(f"const int32_t d{a} = i{a} - {reach};")
        w(f"const int32_t o{a} = d{a}{'' if stride == 1 else f' / {stride}'};")
        uneven = "" if stride == 1 else f" || d{a} % {stride} != 0"
        w(f"if (d{a} < 0{uneven} || o{a} >= {y.shape[1 + n]}) {{ continue; }}")
