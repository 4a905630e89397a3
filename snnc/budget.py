"""Budgets of bytes or bit operations, and the bits of each layer that meet one at least loss.

Every layer starts with the most bits.  Layers are narrowed one by one, each time the one whose
outputs change least for what is saved, until the whole fits; what is then left over widens the
layers that gain most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from snnc.diagnostics import fail

#: Units: what they count, and how much of it.
UNITS: dict[str, tuple[str, float]] = {
    "B": ("bytes", 1),
    "kB": ("bytes", 1e3),
    "KiB": ("bytes", 1 << 10),
    "MB": ("bytes", 1e6),
    "MiB": ("bytes", 1 << 20),
    "bitops": ("bit operations", 1),
    "kbitops": ("bit operations", 1e3),
    "Mbitops": ("bit operations", 1e6),
    "Gbitops": ("bit operations", 1e9),
}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


@dataclass(frozen=True)
class Budget:
    """Most that a network may take.

    Attributes:
        kind: ``bytes`` of constants and states, weights packed to their bits, or ``bit
            operations``: weights that are not zero, met by events, times their bits, per sample.
        limit: In those.
        text: As the user wrote it.
    """

    kind: str
    limit: float
    text: str


def parse_budget(text: str) -> Budget:
    """Read ``64KiB`` or ``2Mbitops``.

    >>> parse_budget("1.5 KiB").limit, parse_budget("2Mbitops").kind
    (1536.0, 'bit operations')

    Raises:
        CompileError: E340 for anything else.
    """
    found = _TEXT.fullmatch(text)
    if found is None or found[2] not in UNITS or not float(found[1]):
        help_ = f"write a number above 0 and one of {', '.join(UNITS)}, such as 64KiB"
        if found is not None and (near := _unit(found[2])) is not None:
            help_ = f"did you mean {found[1]}{near}?"
        raise fail("E340", f"--budget {text!r} is no size and no number of operations", help=help_)
    kind, size = UNITS[found[2]]
    return Budget(kind, float(found[1]) * size, text.strip())


def _unit(text: str) -> str | None:
    """The unit that is written with other capitals, if it is one."""
    return next((u for u in UNITS if u not in (text, "B") and u.lower() == text.lower()), None)


@dataclass(frozen=True)
class Layer:
    """What the bits of one layer's weights cost and change, by number of bits.

    Attributes:
        cost: In what the budget counts.
        error: Of the outputs, if this layer alone is quantized.
    """

    cost: Mapping[int, float]
    error: Mapping[int, float]


def least_loss(layers: Mapping[str, Layer], limit: float) -> dict[str, int] | None:
    """Bits of every layer whose costs are within the limit together; None if there are none."""
    chosen = {name: max(layer.cost) for name, layer in layers.items()}

    def total() -> float:
        return sum(layers[n].cost[b] for n, b in chosen.items())

    while total() > limit:
        moves = [
            (_slope(layers[n], b, lower), n, lower)
            for n, b in chosen.items()
            for lower in layers[n].cost
            if lower < b and layers[n].cost[lower] < layers[n].cost[b]
        ]
        if not moves:
            return None
        _, name, bits = min(moves)
        chosen[name] = bits
    while True:  # what is left over
        room = limit - total()
        gains = [
            (layers[n].error[b] - layers[n].error[more], n, more)
            for n, b in chosen.items()
            for more in layers[n].cost
            if more > b and layers[n].cost[more] - layers[n].cost[b] <= room
        ]
        best = max(gains, default=(0.0, "", 0))
        if best[0] <= 0:
            return chosen
        chosen[best[1]] = best[2]


def _slope(layer: Layer, bits: int, fewer: int) -> float:
    """Error per saving."""
    saved = layer.cost[bits] - layer.cost[fewer]
    return max(0.0, layer.error[fewer] - layer.error[bits]) / saved
