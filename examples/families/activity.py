"""How often populations fire in the integer program; a silent one makes "exact" say nothing.

A population is what one neuron kernel gives.  Spikes have a rate between 0 and 1; of counts and
other graded values, a value that is not zero counts as firing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.intops import IntNeuron
from snnc.types import SPIKE, Int

Array = npt.NDArray[Any]

#: A population that fires less often than this, or pauses less often, is as good as silent.
LEAST = 0.005


class Activity:
    """Counts what every population gives while a program runs."""

    def __init__(self, program: Graph, simulator: Simulator) -> None:
        self._clock = simulator.clock
        self._spikes: dict[tuple[str, int], bool] = {}
        self._names: dict[tuple[str, int], str] = {}
        for node in program:
            if isinstance(node.op, IntNeuron):
                for i, (out, kind) in enumerate(
                    zip(node.op.kernel.outputs, node.types, strict=True)
                ):
                    assert isinstance(kind.dtype, Int), "programs are integers"
                    self._spikes[node.name, i] = kind.dtype == SPIKE
                    self._names[node.name, i] = f"{node.name}.{out}"
        self._fired = dict.fromkeys(self._spikes, 0)
        self._seen = dict.fromkeys(self._spikes, 0)
        self._range: dict[tuple[str, int], tuple[int, int]] = {}

    def count(self, clock: str, values: dict[tuple[str, int], Array]) -> None:
        """Add the populations of one clock, after the values of a step are known."""
        for key in self._spikes:
            if self._clock[key[0]] != clock or not values[key].size:
                continue
            y = values[key]
            lo, hi = self._range.get(key, (int(y.flat[0]), int(y.flat[0])))
            self._range[key] = min(lo, int(y.min())), max(hi, int(y.max()))
            self._fired[key] += int(np.count_nonzero(y))
            self._seen[key] += y.size

    @property
    def rates(self) -> dict[str, float]:
        """Firing rate of every population of spikes."""
        return {
            self._names[key]: self._fired[key] / self._seen[key]
            for key, spikes in self._spikes.items()
            if spikes and self._seen[key]
        }

    def silent(self, least: float = LEAST) -> dict[str, float]:
        """Populations, with their rates, that hardly fire, hardly pause, or never change."""
        found: dict[str, float] = {}
        for key, seen in self._seen.items():
            if seen:
                rate, (lo, hi) = self._fired[key] / seen, self._range[key]
                most = 1 - least if self._spikes[key] else 1.0
                if not least <= rate <= most or lo == hi:
                    found[self._names[key]] = rate
        return found
