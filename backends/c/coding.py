"""Codes: spikes from values and the number of the step."""

from __future__ import annotations

from snnc.backends.c.layer import Layer, load, store
from snnc.intops import IntRateCode

_GOLDEN = "UINT32_C(0x9E3779B9)"


def emit_rate_code(layer: Layer) -> None:
    """Compare the hash of step and element with the limit; the step's key is hashed once.

    The layer counts its own steps, modulo 2**32 as the hash: the network's counter may stop where
    no further step is special.
    """
    op = layer.node.op
    assert isinstance(op, IntRateCode), "dispatched by type"
    (x,), y, w = layer.plan.operands(layer.node), layer.output(), layer.code
    step = layer.id("step")
    layer.counter(step)
    with w.block(f"static void {layer.tick}(void)"):
        w(f"{step} = snn_modular_32({step}, 1u, 1u);")
        w(f"const uint32_t key = snn_mix_32(snn_modular_32({step}, {_GOLDEN}, {op.seed}u));")
        with w.loop("i", y.size):
            w(f"const uint64_t h = snn_mix_32(key ^ snn_modular_32((uint32_t)i, {_GOLDEN}, 0u));")
            w(f"const int64_t v = {load(x, 'i', 'int64_t')};")
            w("const uint64_t n = (v > 0) ? (uint64_t)v : 0u;")
            limit = f"((n * UINT64_C({op.multiplier})) >> {op.shift})"
            w(store(y, "i", f"h < {limit}", "int32_t"))
        layer.list_spikes(y)
    layer.reset(f"{step} = 0u;")
