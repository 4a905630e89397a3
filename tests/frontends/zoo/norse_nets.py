"""Cells and layers of Norse 1.1: state in named tuples, None before the first step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import norse.torch as nt
import torch
from norse.torch.functional import coba_lif, izhikevich
from torch import Tensor, nn

from tests.frontends.zoo.case import STEPS, Case, loud, sequence

SIZE = 6
#: Leaky or spiking, not both: they need no loud input.
_INTEGRATORS = {"LI", "LICell", "LIBoxCell", "LILinearCell", "IAF", "IAFCell"}


class ByStep(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.fc1, self.cell, self.fc2 = nn.Linear(5, SIZE), cell, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        state, out = None, []
        for t in range(x.shape[0]):
            s, state = self.cell(self.fc1(x[t]), state)
            out.append(self.fc2(s))
        return torch.stack(out)


def _gain(name: str) -> float:
    return 4.0 if name in _INTEGRATORS else 40.0


def _cell(name: str, make_cell: Callable[[], nn.Module], refused: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(ByStep(make_cell()), _gain(name)), sequence(5, axis=0)

    return Case(f"norse/{name}", make, {"time_axis": 0}, refused)


def _step(name: str, make_net: Callable[[], nn.Module], gain: float) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(make_net(), gain), torch.rand(STEPS, 3, 6)

    options = {"time_axis": 0, "step_module": True, "state": None}
    return Case(f"norse/{name}", make, options)


class AllSteps(nn.Module):
    """Linear, a layer that takes all steps, linear."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.fc1, self.layer, self.fc2 = nn.Linear(5, SIZE), layer, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.layer(self.fc1(x))[0])
        return y


class Conductances(nn.Module):
    """``coba_lif_feed_forward_step``; CobaLIFCell itself does not read its input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, SIZE), nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        zeros, out = torch.zeros(x.shape[1], SIZE), []
        state = coba_lif.CobaLIFFeedForwardState(v=zeros - 20, g_e=zeros, g_i=zeros)
        for t in range(x.shape[0]):
            s, state = coba_lif.coba_lif_feed_forward_step(self.fc1(x[t]), state)
            out.append(self.fc2(s))
        return torch.stack(out)


def _layer(name: str, make_layer: Callable[[], nn.Module]) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(AllSteps(make_layer()), _gain(name)), sequence(5, axis=0)

    return Case(f"norse/{name} layer", make, {"time_axis": 0})


CASES = [
    *(
        _cell(name, getattr(nt, name))
        for name in (
            *("LIFCell", "LIFBoxCell", "LICell", "LIBoxCell", "LSNNCell", "LIFAdExCell"),
            *("LIFExCell", "LIFRefracCell", "IAFCell", "LIFAdExRefracCell"),
        )
        if hasattr(nt, name)
    ),
    *(
        _cell(name, partial(getattr(nt, name), SIZE, SIZE))
        for name in (
            *("LIFRecurrentCell", "LSNNRecurrentCell", "LIFAdExRecurrentCell"),
            *("LIFExRecurrentCell", "LIFRefracRecurrentCell", "LIFMCRecurrentCell"),
            *("LIFAdExRefracRecurrentCell", "LIFMCRefracRecurrentCell"),
        )
        if hasattr(nt, name)
    ),
    # it does not read its input
    _cell("CobaLIFCell", lambda: nt.CobaLIFCell(SIZE, SIZE), "E139"),
    Case(
        "norse/coba_lif_feed_forward_step",
        lambda: (loud(Conductances(), 20.0), sequence(5, axis=0)),
        {"time_axis": 0},
    ),
    _cell("LILinearCell", partial(nt.LILinearCell, SIZE, SIZE)),
    *(_layer(name, getattr(nt, name)) for name in ("LIF", "LI", "IAF", "LSNN", "LIFAdEx", "LIFEx")),
    *(
        _layer(name, partial(getattr(nt, name), SIZE, SIZE))
        for name in (
            *("LIFRecurrent", "LSNNRecurrent", "LIFAdExRecurrent", "LIFExRecurrent"),
            *("LIFRefracRecurrent", "LIFAdExRefracRecurrent"),
        )
    ),
    _layer("Izhikevich", lambda: nt.Izhikevich(izhikevich.tonic_spiking)),
    _layer(
        "IzhikevichRecurrent",
        lambda: nt.IzhikevichRecurrent(SIZE, SIZE, izhikevich.tonic_spiking),
    ),
    _cell("IzhikevichCell", lambda: nt.IzhikevichCell(izhikevich.tonic_spiking)),
    _cell(
        "IzhikevichRecurrentCell",
        lambda: nt.IzhikevichRecurrentCell(SIZE, SIZE, izhikevich.tonic_spiking),
    ),
    _step(
        "SequentialState LIFCell",
        lambda: nt.SequentialState(nn.Linear(6, 12), nt.LIFCell(), nn.Linear(12, 4), nt.LICell()),
        40.0,
    ),
    _step(
        "SequentialState LIFBoxCell",
        lambda: nt.SequentialState(nn.Linear(6, 12), nt.LIFBoxCell(), nn.Linear(12, 4)),
        20.0,
    ),
    Case(
        "norse/LIF all steps",
        lambda: (
            loud(
                nt.SequentialState(
                    *(nt.Lift(nn.Linear(6, 12)), nt.LIF()),
                    *(nt.Lift(nn.Linear(12, 4)), nt.LIFRecurrent(4, 4)),
                ),
                40.0,
            ),
            torch.rand(STEPS, 3, 6),
        ),
        {"time_axis": 0},
    ),
]
