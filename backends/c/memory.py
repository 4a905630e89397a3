"""Memory that a network takes, by section and layer, known before any compiler runs.

Tables are constants (``.rodata``, in flash); arrays of states, values and spike lists are static
variables (``.bss``, in RAM).  Every array starts at a multiple of 4.  The size of the code depends
on the compiler and is measured in the linked program (``board``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snnc.backends.c.names import escaped
from snnc.backends.c.words import SIZES

if TYPE_CHECKING:
    from snnc.backends.c.network import Network

FORMAT = "snnc.memory/1"


@dataclass(frozen=True)
class LayerMemory:
    """Bytes of a layer: constant tables, and variables."""

    name: str
    rodata: int
    bss: int


def aligned(size: int, ctype: str) -> int:
    """Bytes up to where the next variable may start."""
    unit = max(4, SIZES[ctype])
    return -(-size // unit) * unit


def layer_memory(net: Network) -> list[LayerMemory]:
    """Memory of every layer that has any; the last entry is the network's own variables."""
    found = []
    for name, layer in net.layers.items():
        tables = [t for t in net.tables.entries if t.name.startswith(layer.prefix)]
        rodata = sum(aligned(t.bytes, t.ctype) for t in tables)
        bss = sum(aligned(SIZES[ctype] * size, ctype) for ctype, size in layer.arrays.values())
        if rodata or bss:
            found.append(LayerMemory(name, rodata, bss))
    # counters of steps, and whether a sample runs
    found.append(LayerMemory("", 0, 4 * net.graph.phases + 4))
    return found


def total_memory(net: Network) -> LayerMemory:
    """Memory of the whole network."""
    rows = layer_memory(net)
    return LayerMemory("all", sum(r.rodata for r in rows), sum(r.bss for r in rows))


def memory_json(net: Network) -> str:
    """Return ``memory.json``."""
    rows, total = layer_memory(net), total_memory(net)
    document = {
        "format": FORMAT,
        "machine": net.machine.name,
        "sections": {
            ".rodata": total.rodata,
            ".data": 0,
            ".bss": total.bss,
        },
        "layers": [{"name": r.name, ".rodata": r.rodata, ".bss": r.bss} for r in rows],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def memory_text(net: Network) -> str:
    """Return ``memory.txt``."""
    rows, total = layer_memory(net), total_memory(net)
    names = [escaped(r.name)[:32] or "(network)" for r in [*rows, total]]
    width = max(map(len, names))
    lines = [f"{'memory in bytes':<{width}}  flash .rodata  RAM .bss"]
    for name, r in zip(names, [*rows, total], strict=True):
        lines.append(f"{name:<{width}}  {r.rodata:13,}  {r.bss:8,}")
    return "\n".join([*lines, "The code comes on top; there is no heap and no .data.", ""])
