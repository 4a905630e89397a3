"""Linear layers on 32-bit cores: four 8-bit weights in a word (``runtime/snn_quads_*.h``).

The arithmetic is that of ``packing``, with two sums of 16 bits in each 32-bit word: word ``j`` of a
column is the sum over k of ``(w[4 j + k] + offset) << 8 k``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.c import names
from snnc.backends.c.layer import Layer, store
from snnc.backends.c.packing import PairRows
from snnc.backends.c.pairs import spike_list
from snnc.backends.c.plan import Plan
from snnc.backends.c.true_sums import scaling
from snnc.intops import IntLinear

#: The functions of the runtime by the element type of what they sum to.
INSTANCES = {"int16_t": "SNN_QUADS(snn_quads_16, int16_t, SNN_SET)",
             "int32_t": "SNN_QUADS(snn_quads_32, int32_t, SNN_MORE)"}  # fmt: skip


def instances(plan: Plan) -> list[str]:
    """Definitions of the functions that the layers call."""
    linear = [n for n in plan.nodes if isinstance(n.op, IntLinear)]
    used = {quads.ctype for n in linear if (quads := plan.quads(n))}
    return [text for ctype, text in INSTANCES.items() if ctype in used]


def pack_quads(weight: npt.NDArray[Any], offset: int) -> npt.NDArray[np.uint32]:
    """Columns (in, P) of a weight (out, in); absent outputs have weight 0.

    >>> [hex(n) for n in pack_quads(np.array([[1], [2], [3], [-1], [4]]), 1)[0]]
    ['0x40302', '0x1010105']
    """
    out, fan_in = weight.shape
    padded = np.full((-(-out // 4) * 4, fan_in), offset, np.uint8)
    padded[:out] += weight.astype(np.uint8)  # modulo 256
    return np.ascontiguousarray(padded.T).view("<u4").astype(np.uint32)


def emit_quads(layer: Layer, quads: PairRows) -> None:
    """Write columns and ``tick`` of a linear layer."""
    op = layer.node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.plan.value(layer.node.name)
    lo, hi = y.bounds
    words = -(-y.size // 4)
    layer.array(y.name, y.ctype, 4 * words, f"in [{lo}, {hi}]")
    origin = names.comment(f"{layer.node.name}: four weights in a word, each + {quads.offset}")
    packed = pack_quads(op.weight.data, quads.offset)
    table = layer.tables.add(layer.id("w"), packed, origin, "uint32_t")
    ids, count = spike_list(layer, x)
    each, w = f"{quads.offset * 0x10001}u", layer.code
    with w.block(f"static void {layer.tick}(void)"):
        if x.ids is None:
            w(f"const uint32_t {count} = snn_list_16({x.name}, {x.size}u, {ids});")
        if y.ctype == "int16_t":
            w(f"snn_quads_16({table.name}, {words}u, {ids}, {count}, {each}, {y.name});")
        else:
            w(f"memset({y.name}, 0, sizeof {y.name});")
            call = f"snn_quads_32({table.name}, {words}u, {ids}"
            if quads.most:
                with w.block(f"for (uint32_t n = 0u; n < {count}; n += {quads.most}u)"):
                    w(f"const uint32_t rest = {count} - n;")
                    w(f"const uint32_t some = (rest < {quads.most}u) ? rest : {quads.most}u;")
                    w(f"{call} + n, some, {each}, {y.name});")
            else:
                w(f"{call}, {count}, {each}, {y.name});")
        if (scaled := scaling(layer, op)) != "{}":
            with w.loop("j", y.size):
                w(store(y, "j", scaled.format(f"{y.name}[j]", at="j"), "int32_t"))
