"""What an inference costs: bit budget and synaptic operations, counted in the integer program.

The bit budget of a network is ``T b_w b_s``: steps, bits of a weight and bits of the widest event
(arXiv:2311.10802).  A synaptic operation is one weight, not zero, that one event, not zero, meets;
what is computed once for all steps counts once.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.execution import OPERATORS
from snnc.backends.numpy.simulator import Simulator

Array = npt.NDArray[Any]


class Operations:
    """Counts synaptic operations and the widest event while a program runs."""

    def __init__(self, simulator: Simulator) -> None:
        self.total, self.widest = 0, 1
        self._ones = copy.copy(simulator)
        layers = ("IntLinear", "IntConv", "IntConvTranspose")
        self._nodes = [n for n in simulator.nodes if n["op"].rstrip("123d") in layers]
        weights = {n["name"]: simulator.param(n["attributes"]["weight"]) for n in self._nodes}
        self._ones.exact = {n: (w != 0).astype(np.float64) for n, w in weights.items()}
        self._ones.packed = {}

    def count(self, clock: str, values: dict[tuple[str, int], Array]) -> None:
        """Add the layers of one clock, after the values of a step are known."""
        for node in self._nodes:
            if self._ones.clock[node["name"]] != clock:
                continue
            events = [values[e["src"], e["out"]] for e in node["inputs"][:1] if not e["delay"]]
            if not events:
                continue
            plain = {**node["attributes"], "bias": None, "shift": 0}
            met = OPERATORS[node["op"]](self._ones, {**node, "attributes": plain}, _marks(events))
            self.total += int(met.sum())
            size = int(np.abs(events[0]).max(initial=0))
            self.widest = max(self.widest, size.bit_length())


def _marks(events: list[Array]) -> list[Array]:
    return [(x != 0).astype(np.int64) for x in events]
