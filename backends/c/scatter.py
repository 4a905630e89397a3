"""Convolutions of few channels: a spike adds all its weights, row by row of the places it reaches.

The outputs that an input reaches depend on where it lies between two strides.  Each of these
cases has a table of its own, in the order of the outputs: the rows of weights are as contiguous
as the sums, and are added as such.  Tables of cases that reach fewer outputs are filled up with
zeros, and a border of sums around the output that nobody reads takes what falls beside it, so
that there is one code for all spikes, without a test.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer, bounds_of
from snnc.backends.c.events import bias_term, send_events
from snnc.backends.c.layer import Layer, store
from snnc.backends.c.nest import Walk, nest, row_major
from snnc.backends.c.sums import sum_bounds
from snnc.backends.c.words import SIZES, computed, literal
from snnc.intops import IntConv


@dataclass(frozen=True, slots=True)
class Reach:
    """One axis: an input i, moved by the padding, reaches ``taps`` outputs from ``i // stride`` on.

    Attributes:
        taps: Outputs that an input reaches at most.
        before: Sums before the first output.
        extent: Sums along the axis.
    """

    stride: int
    padding: int
    taps: int
    before: int
    extent: int

    @classmethod
    def of(cls, size: int, outputs: int, kernel: int, stride: int, padding: int) -> Reach:
        """The reach along an axis of so many inputs."""
        taps = -(-kernel // stride)
        # the last tap of input i lies at i // stride, counted from taps - 1 before it
        before = taps - 1
        last = (size - 1 + padding) // stride
        return cls(stride, padding, taps, before, max(outputs, last + 1) + before)

    def tap(self, case: int, n: int) -> int:
        """The place in the window for the n-th output of a case; it may lie beyond."""
        return case + self.stride * (self.taps - 1 - n)


def emit_scatter(layer: Layer) -> None:
    """Write sums, tables and functions of a convolution."""
    op = layer.node.op
    assert isinstance(op, IntConv), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    out, w = op.weight.shape[0], layer.code
    sides = zip(x.shape[1:], y.shape[1:], op.weight.shape[2:], op.stride, op.padding, strict=True)
    axes = [Reach.of(*side) for side in sides]
    origin = names.comment(f"{layer.node.name}: weight, (in, case, place, out)")
    table = layer.tables.add(layer.id("w"), _tables(op, axes), origin, "int16_t")
    acc, run = layer.id("acc"), axes[-1].taps * out
    layer.array(acc, "int16_t", prod(a.extent for a in axes) * out, "(place, channel), a border")
    _add(layer, axes, run)
    strides = [prod(a.extent for a in axes[n + 1 :]) * out for n in range(len(axes))]
    with w.block(f"static void {layer.id('event')}(int16_t *restrict acc, uint32_t id)"):
        w(f"uint32_t part = id / {x.size // x.shape[0]}u;", "size_t at = 0u;")
        for n, axis in enumerate(axes):
            inner = prod(x.shape[n + 2 :])
            place = (
                f"(id / {inner}u) % {x.shape[n + 1]}u" if inner > 1 else f"id % {x.shape[n + 1]}u"
            )
            w(f"const uint32_t i{n} = {place} + {axis.padding}u;")
            w(f"part = part * {axis.stride}u + i{n} % {axis.stride}u;")
            w(f"at += (size_t)(i{n} / {axis.stride}u) * {strides[n]}u;")
        size = prod(a.taps for a in axes) * out
        w(f"{layer.id('add')}(acc + at, {table.name} + (size_t)part * {size}u);")
    with w.block(f"static void {layer.tick}(void)"):
        w(f"memset({acc}, 0, sizeof {acc});")
        send_events(layer, x, acc, "int16_t")
        _finish(layer, op, axes, y)
        layer.list_spikes(y)


def _tables(op: IntConv, axes: list[Reach]) -> npt.NDArray[np.int64]:
    """The weight as (in, case…, place…, out); what lies beyond the window is 0."""
    weight = op.weight.data.astype(np.int64)
    out, channels, *kernel = weight.shape
    cases, places = [a.stride for a in axes], [a.taps for a in axes]
    found = np.zeros((channels, *cases, *places, out), np.int64)
    for case in product(*map(range, cases)):
        for place in product(*map(range, places)):
            taps = tuple(a.tap(c, n) for a, c, n in zip(axes, case, place, strict=True))
            if all(t < k for t, k in zip(taps, kernel, strict=True)):
                every = slice(None)
                to: tuple[slice | int, ...] = (every, *case, *place)
                of: tuple[slice | int, ...] = (every, every, *taps)
                found[to] = weight[of].T
    return found


def _add(layer: Layer, axes: list[Reach], run: int) -> None:
    """``add``: the weights of a spike, row by row."""
    w, out = layer.code, run // axes[-1].taps
    types = "int16_t *restrict sums, const int16_t *restrict w"
    with w.block(f"SNN_ROWS void {layer.id('add')}({types})"), ExitStack() as loops:
        to, of = "", ""
        for n, axis in enumerate(axes[:-1]):
            loops.enter_context(w.loop(f"k{n}", axis.taps))
            to = f"({to}) * {axis.extent}u + k{n}" if to else f"k{n}"
            of = f"({of}) * {axis.taps}u + k{n}" if of else f"k{n}"
        if to:
            w(f"int16_t *restrict a = sums + ({to}) * {axes[-1].extent * out}u;")
            w(f"const int16_t *restrict v = w + ({of}) * {run}u;")
        a, v = ("a", "v") if to else ("sums", "w")
        with w.loop("j", run):
            w(f"{a}[j] = (int16_t)({a}[j] + {v}[j]);")


def _finish(layer: Layer, op: IntConv, axes: list[Reach], y: Buffer) -> None:
    """Take the sums out of their border."""
    w, acc, out = layer.code, layer.id("acc"), op.weight.shape[0]
    first, strides = 0, [1]
    stride = out
    for axis in reversed(axes):
        first += axis.before * stride
        strides.insert(1, stride)
        stride *= axis.extent
    from_acc = Walk(tuple(strides))
    if layer.plan.raw_sums(layer.node):
        width = y.shape[-1] * out
        rows = Walk((0, *from_acc.strides[1:-1], 0))
        to = Walk((0, *y.walk(y.shape).strides[1:-1], 0))
        with nest(w, (1, *y.shape[1:-1], 1), [to, rows]) as loops:
            source = f"{acc} + {first}u + {loops.at(rows)}"
            w(f"memcpy({y.name} + {loops.at(to)}, {source}, {width * SIZES['int16_t']}u);")
        return
    bias = (op.bias.data.size, *[1] * (len(y.shape) - 1)) if op.bias else ()
    walks = [y.walk(y.shape), from_acc, row_major(bias, y.shape)]
    word = computed(bounds_of(layer.node), sum_bounds(op, (0, 1)))
    with nest(w, y.shape, walks) as loops:
        to_y, of, channel = (loops.at(walk) for walk in walks)
        scale = f" * {literal(1 << op.shift, word)}" if op.shift else ""
        text = f"({word}){acc}[{first}u + {of}]{scale}{bias_term(layer, op.bias, channel, word)}"
        w(store(y, to_y, text, word))
