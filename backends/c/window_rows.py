"""Convolutions as linear layers with a row for every place: the spikes of its window.

All spikes are listed once, row by row, each with its number ``x * C + c`` in the row; ``starts``
says where the list of a place begins.  The window of an output is then a few stretches of the
list, which are copied one behind the other: plus a constant, spike numbers are numbers of columns.
Their sums stay in small arrays, while a spike that adds its weights wherever it reaches would
load and store the sums again and again.

Places outside the input have empty lists, so that no window needs a test.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer
from snnc.backends.c.packing import PairRows
from snnc.backends.c.pairs import add_functions, finish_sums, send_sums, start_rows
from snnc.backends.c.row_lists import SLACK, appended, fill_up
from snnc.backends.c.true_sums import scaling
from snnc.backends.c.wide import add_wide, fill_wide, is_wide
from snnc.backends.c.words import index_type
from snnc.intops import IntConv

#: Numbers that are copied at once.
_CHUNK = 8


@dataclass(frozen=True, slots=True)
class Windows:
    """Sizes along the axes of a convolution, with the padding as part of the input.

    Attributes:
        op: The convolution.
        channels: Of its input.
        inputs: Extents of the input.
        outputs: Extents of the output.
        extents: Places that windows reach, or the input with the padding before it.
    """

    op: IntConv
    channels: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    extents: tuple[int, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Extents of a window."""
        return self.op.weight.shape[2:]

    @property
    def fan_in(self) -> int:
        """Columns of the weight."""
        return prod(self.kernel) * self.channels

    @property
    def largest(self) -> int:
        """A bound of the numbers in lists, those of a row and those of columns."""
        return max(self.fan_in + 1, self.extents[-1] * self.channels)

    @property
    def index(self) -> str:
        """Type of these numbers."""
        return index_type(self.largest)


def windows_of(op: IntConv, x: Buffer, y: Buffer) -> Windows:
    """The sizes for a layer."""
    inputs, outputs, kernel = x.shape[1:], y.shape[1:], op.weight.shape[2:]
    axes = zip(inputs, outputs, kernel, op.stride, op.padding, op.dilation, strict=True)
    extents = tuple(max(i + p, (o - 1) * s + (k - 1) * d + 1) for i, o, k, s, p, d in axes)
    return Windows(op, x.shape[0], inputs, outputs, extents)


def emit_windows(layer: Layer, pairs: PairRows) -> None:
    """Write lists, columns and functions of a convolution."""
    op = layer.node.op
    assert isinstance(op, IntConv), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    size, out = windows_of(op, x, y), op.weight.shape[0]
    weight = op.weight.data.reshape(out, size.channels, -1).swapaxes(1, 2).reshape(out, -1)
    scaled = scaling(layer, op)
    wide = is_wide(pairs, weight, y, scaled)
    if wide:
        add_wide(layer, weight, size.index)
    else:
        add_functions(layer, pairs, y, weight, (1, size.index))
    most = x.size * pairs.repeats
    layer.array(layer.id("all"), size.index, most + SLACK + _CHUNK, "spikes, row by row")
    starts = prod(size.extents[:-1]) * (size.extents[-1] + 1)
    layer.array(layer.id("starts"), index_type(most + 1), starts, "(row, place)")
    window = size.fan_in * pairs.repeats + SLACK + _CHUNK
    layer.array(layer.id("ids"), size.index, window, "one window")
    _list(layer, size, x, pairs)
    w = layer.code
    with w.block(f"static void {layer.tick}(void)"):
        w(f"{layer.id('list')}();")
        start_rows(layer, pairs, y)
        with ExitStack() as loops:
            place = ""
            for n, extent in enumerate(size.outputs):
                loops.enter_context(w.loop(f"o{n}", extent))
                place = f"({place}) * {extent}u + o{n}" if place else f"o{n}"
            row = f"{y.name} + ({place}) * {out}u"
            w(f"{size.index} *end = {layer.id('ids')};")
            _gather(layer, size)
            if wide:
                fill_wide(layer, layer.id("ids"), size.fan_in)
                w(f"{layer.id('add')}({row}, {layer.id('ids')}, count);")
            else:
                fill_up(layer, layer.id("ids"), size.fan_in)
                send_sums(layer, pairs, y, row, (layer.id("ids"), "count"))
        finish_sums(layer, pairs, y, scaled)


def _list(layer: Layer, size: Windows, x: Buffer, pairs: PairRows) -> None:
    """``list``: the spikes of all rows, and where those of a place start."""
    w, every, kind = layer.code, layer.id("all"), index_type(x.size * pairs.repeats + 1)
    width, before = size.inputs[-1], size.op.padding[-1]
    with w.block(f"static void {layer.id('list')}(void)"), ExitStack() as loops:
        w(f"{size.index} *end = {every};", f"const uint8_t *x = {x.name};")
        row = ""
        for n, extent in enumerate(size.inputs[:-1]):
            loops.enter_context(w.loop(f"i{n}", extent))
            own = f"i{n} + {size.op.padding[n]}u" if size.op.padding[n] else f"i{n}"
            row = f"({row}) * {size.extents[n]}u + {own}" if row else own
        w(f"{kind} *start = {layer.id('starts')} + ({row or '0u'}) * {size.extents[-1] + 1}u;")
        if before:
            with w.loop("k", before):
                w(f"start[k] = ({kind})(end - {every});")
        with w.block(f"for (uint32_t k = {before}u; k < {before + width}u; k++)"):
            w(f"start[k] = ({kind})(end - {every});")
            first = f"k * {size.channels}u"
            w(f"end = {appended(size.index, 'x', size.channels, pairs.bits, first, 'end')};")
            w(f"x += {size.channels}u;")
        with w.block(f"for (uint32_t k = {before + width}u; k <= {size.extents[-1]}u; k++)"):
            w(f"start[k] = ({kind})(end - {every});")


def _gather(layer: Layer, size: Windows) -> None:
    """Copy the stretches of the list that a window consists of."""
    w, op, last = layer.code, size.op, len(size.outputs) - 1
    bits = 15 if size.largest <= 1 << 15 else 16 if size.index == "uint16_t" else 32
    with ExitStack() as loops:
        row, tap = "", ""
        for n, extent in enumerate(size.kernel[:-1]):
            loops.enter_context(w.loop(f"k{n}", extent))
            place = _sum(_times(f"o{n}", op.stride[n]), _times(f"k{n}", op.dilation[n]))
            row = f"({row}) * {size.extents[n]}u + {place}" if row else place
            tap = f"({tap}) * {extent}u + k{n}" if tap else f"k{n}"
        left = _times(f"o{last}", op.stride[last])
        whole = op.dilation[last] == 1
        if not whole:
            loops.enter_context(w.loop("k", size.kernel[-1]))
            tap = f"({tap}) * {size.kernel[-1]}u + k" if tap else "k"
            left = _sum(left, f"k * {op.dilation[last]}u")
        start = f"({row or '0u'}) * {size.extents[-1] + 1}u + {left}"
        w(f"const size_t at = {start};")
        step = size.kernel[-1] if whole else 1
        columns = f"({tap or '0u'}) * {step * size.channels}u"
        w(f"const int32_t move = (int32_t)({columns}) - (int32_t)({left}) * {size.channels};")
        starts = layer.id("starts")
        w(f"const uint32_t n = (uint32_t){starts}[at + {step}u] - {starts}[at];")
        w(f"end = snn_copy_{bits}(end, {layer.id('all')} + {starts}[at], n, move);")


def _times(name: str, factor: int) -> str:
    return name if factor == 1 else f"{name} * {factor}u"


def _sum(a: str, b: str) -> str:
    return f"{a} + {b}"
