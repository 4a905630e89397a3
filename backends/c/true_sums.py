"""True sums from those of pairs of weights, which are modulo 65536 (``packing``)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, store
from snnc.backends.c.packing import PairRows
from snnc.backends.c.sums import raw_bounds
from snnc.backends.c.words import Bounds, literal
from snnc.intops import IntConv, IntLinear


def add_read(layer: Layer, pairs: PairRows, y: Buffer, out: int, scaled: str) -> None:
    """``read``: true sums from those of ``count`` spikes, all within 16 bits."""
    w, op = layer.code, layer.node.op
    assert isinstance(op, IntLinear | IntConv), "layers with pairs"
    bounds = raw_bounds(op, layer.plan.operands(layer.node)[0].bounds)
    parameters = f"{y.ctype} *restrict y, uint32_t count" + (", size_t tile" if pairs.tile else "")
    with w.block(f"SNN_ROWS void {layer.id('read')}({parameters})"):
        w(f"/* modulo 65536: {pairs.offset} less per spike, 256 times hi less */")
        w(f"const uint32_t base = {65536 - pairs.offset}u * (count % 65536u);")
        read_sums(layer, pairs, y, out, scaled, (layer.id("lo"), layer.id("hi")), bounds)


def read_sums(
    layer: Layer,
    pairs: PairRows,
    y: Buffer,
    out: int,
    scaled: str,
    sums: tuple[str, str],
    bounds: Bounds,
) -> None:
    """Loops that read ``sums``, the arrays of low words and of high bytes, less ``base``."""
    w, (lo, hi), first = layer.code, sums, min(pairs.words, out)
    y, low, high = replace(y, name="y"), f"{lo}[j] - 256 * {hi}[j]", f"{hi}[j]"
    loops = [(first, [(0, low)]), (out - first, [(first, high)])]
    if pairs.tile or out == 2 * first:
        loops = [(pairs.tile or first, [(0, low), (pairs.words, high)])]
    for size, parts in loops:
        with w.loop("j", size) if size else nullcontext():
            for start, text in parts if size else []:
                at = f"j + {start}u" if start else "j"
                at += " + tile" if pairs.tile else ""
                value = f"SNN_SIGNED({text} + (uint16_t)base)"
                if pairs.most:
                    w(f"{y.name}[{at}] += {value};")
                    continue
                # of any distinct spikes; intervals cannot follow sums modulo 65536 (proof.py)
                name = "high" if start else "low"
                w(f"const int32_t {name} = {value};")
                w(f"/*@ admit certified: {bounds[0]} <= {name} <= {bounds[1]}; */")
                w(store(y, at, scaled.format(name, at=at), "int32_t"))


def scaling(layer: Layer, op: IntLinear | IntConv) -> str:
    """``({} << shift) + bias`` as a format, without a shift of negative numbers.

    Neurons that read raw sums do that themselves.
    """
    if layer.plan.raw_sums(layer.node):
        return "{}"
    text = "{}" if op.shift == 0 else f"{{}} * {literal(1 << op.shift, 'int32_t')}"
    if op.bias is None or not op.bias.data.any():
        return text
    lo, hi = int(op.bias.data.min()), int(op.bias.data.max())
    if lo == hi:
        return f"{text} + {literal(lo, 'int32_t')}"
    origin = names.comment(f"{layer.node.name}: bias")
    table = layer.tables.add(layer.id("b"), op.bias.data, origin)
    return f"{text} + (int32_t){table.name}[{{at}}]"
