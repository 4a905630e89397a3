"""Lists of the spikes of one row or window, made where they are used."""

from __future__ import annotations

from snnc.backends.c.layer import Layer
from snnc.backends.c.packing import PASSES

#: Room behind a list: what is written without asking (``SNN_SLACK``), and what fills up a pass.
SLACK = 40
#: Neurons whose spikes are listed by bits (``snn_sets``).
SET = 128


def appended(index: str, x: str, n: int, bits: int, first: str, ids: str) -> str:
    """Call that appends the numbers of counts ``x[0 .. n-1]`` below ``2**bits`` to a list."""
    size = "16" if index == "uint16_t" else "32"
    if bits == 1:
        return f"snn_append_{size}({x}, {n}u, {first}, {ids})"
    return f"snn_repeat_{size}({x}, {n}u, {bits}u, {first}, {ids})"


def fill_up(layer: Layer, ids: str, spare: int) -> None:
    """Append the column of zeros to a list that stops at ``end``; declares its ``count``."""
    w, few = layer.code, PASSES[-1]
    w(*(f"end[{k}] = {spare}u;" for k in range(few - 1)))
    w(f"const uint32_t count = ((uint32_t)(end - {ids}) + {few - 1}u) / {few}u * {few}u;")
