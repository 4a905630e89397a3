"""The LIF family with explicit state, two cells and a readout behind one unroll."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.lif_cells import (
    LIF,
    Adaptive,
    AlphaSynapse,
    Cell,
    ComplexNumber,
    Delayed,
    FixedDelay,
    Gated,
    Recurrent,
    Refractory,
    Resonator,
    Synaptic,
    TwoCompartments,
)
from examples.families.lif_family import Network
from tests.frontends.zoo.case import Case, loud, sequence


def _network(cell: type[Cell], refused: str = "", gain: float = 2.0) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Network(cell), gain), sequence(6)

    return Case(f"family/{cell.__name__}", make, refused=refused)


def _step(cell: type[Cell]) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(cell(6, 10), 2.0), sequence(6, axis=0)

    state = (torch.zeros(10),) * cell.count
    options = {"time_axis": 0, "step_module": True, "state": (state,)}
    return Case(f"family/{cell.__name__} step", make, options)


CASES = [
    *map(_network, (LIF, Adaptive, Recurrent, Synaptic, AlphaSynapse, Refractory)),
    *map(_network, (FixedDelay, TwoCompartments, Gated)),
    _network(Resonator, gain=12.0),
    _network(Delayed),
    _network(ComplexNumber),
    *map(_step, (LIF, Adaptive, Recurrent, Synaptic, AlphaSynapse, Refractory)),
    *map(_step, (TwoCompartments, Resonator, Gated)),
]
