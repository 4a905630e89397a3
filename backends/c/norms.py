"""Normalizations: three passes over the elements of each row."""

from __future__ import annotations

from math import prod

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.words import literal
from snnc.intops import IntLayerNorm, IntRMSNorm
from snnc.params import Param


def emit_norm(layer: Layer) -> None:
    """``(e * 2**guard * gain) / R + offset`` in words of 64 bits."""
    op = layer.node.op
    assert isinstance(op, IntLayerNorm | IntRMSNorm), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.output()
    n = prod(y.shape[-op.axes :])
    w, word = layer.code, "int64_t"
    value = load(x, "r + i", word)
    if op.centered:
        value = f"{literal(n, word)} * {value} - sum"
    with w.block(f"static void {layer.tick}(void)"):
        with w.block(f"for (size_t r = 0u; r < {y.size}u; r += {n}u)"):
            if op.centered:
                w("int64_t sum = 0;")
                with w.loop("i", n):
                    w(f"sum += {load(x, 'r + i', word)};")
            w("uint64_t top = 0u;")
            with w.loop("i", n):
                w(f"const uint64_t size = snn_magnitude_64({value});")
                w("top = size > top ? size : top;")
            w(f"int t = snn_bits_64(top) + ({op.lift - op.bits});", "t = t < 0 ? 0 : t;")
            w(f"const int shift = t - ({op.lift});")
            w("int64_t squares = 0;")
            with w.loop("i", n):
                w(f"const int64_t e = snn_scaled_64({value}, shift);", "squares += e * e;")
            w(f"const uint64_t q = (uint64_t)(squares + {n // 2}) / {n}u;")
            w(f"const uint64_t eps = t > 31 ? 0u : (UINT64_C({op.eps}) >> (2 * t));")
            w(f"int64_t root = (int64_t)snn_isqrt_64((q << {2 * op.guard}) + eps);")
            w("root = root < 1 ? 1 : root;")
            with w.loop("i", n):
                one = literal(1 << op.guard, word)
                w(f"const int64_t e = snn_scaled_64({value}, shift) * {one};")
                text = f"snn_div_64(e * {_constant(layer, 'gain', op.gain)}, root)"
                if op.offset is not None:
                    text += f" + {_constant(layer, 'offset', op.offset)}"
                w(store(y, "r + i", text, word))
        layer.list_spikes(y)


def _constant(layer: Layer, part: str, param: Param) -> str:
    lo, hi = int(param.data.min()), int(param.data.max())
    if lo == hi:
        return literal(lo, "int64_t")
    origin = names.comment(f"{layer.node.name}: {part}")
    table = layer.tables.add(layer.id(part), param.data, origin)
    return load(Buffer(table.name, table.ctype, (lo, hi), param.shape), "i", "int64_t")
