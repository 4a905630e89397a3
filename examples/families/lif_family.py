"""The LIF family with explicit state, two cells and a readout behind one unroll."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, STEPS, Family, Split, Task
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
from examples.families.training import fit
from examples.models import spike


class TwoLayers(nn.Module):
    """(B, T, …) through two cells; the readout is averaged over time."""

    def __init__(self, first: Cell, second: Cell, out: nn.Linear, steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        self.first, self.second, self.out = first, second, out

    def forward(self, x: Tensor) -> Tensor:
        s1, s2, out = self.first.start(x), self.second.start(x), []
        for t in range(x.shape[1]):
            y, s1 = self.first(x[:, t], s1)
            y, s2 = self.second(y, s2)
            out.append(self.out(y))
        return torch.stack(out, 1).mean(1)


class Network(TwoLayers):
    """(B, T, 6) through two cells of one kind."""

    def __init__(self, cell: type[Cell], steps: int = STEPS) -> None:
        super().__init__(cell(6, 10), cell(10, 10), nn.Linear(10, 3), steps)


class ConvNet(nn.Module):
    """A convolution under the same unrolling: (B, T, 1, H, W)."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.num_steps, self.conv, self.out = steps, nn.Conv2d(1, 4, 3), nn.Linear(4 * 9, 3)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.size(0), 4, 6, 6), []
        for t in range(self.num_steps):
            v = 0.9 * v + self.conv(x[:, t])
            s = spike(v - 1)
            v = v - s
            out.append(self.out(self.pool(s).flatten(1)))
        return torch.stack(out, 1).mean(1)


class Spoken(TwoLayers):
    """Spoken digits (B, 40, 20) through adaptive and recurrent neurons."""

    def __init__(self) -> None:
        super().__init__(Adaptive(20, 48), Recurrent(48, 48), nn.Linear(48, 10), 40)
        with torch.no_grad():  # so that neurons fire before they have learned anything
            self.first.w.weight.mul_(4)
            self.second.w.weight.mul_(4)


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=25, lr=1e-2)


def _network(cell: type[Cell], name: str) -> Family:
    return Family(f"D {name}", lambda: Network(cell), lambda: torch.randn(BATCH, STEPS, 6) * 2)


def _step(cell: type[Cell], name: str) -> Family:
    options = {"time_axis": 1, "step_module": True}
    state = (torch.zeros(10),) * cell.count
    return Family(
        f"D {name}, step by step",
        lambda: cell(6, 10),
        lambda: torch.randn(BATCH, STEPS, 6) * 2,
        {**options, "state": (state,)},
    )


FAMILIES = [
    Family(
        "D adaptive and recurrent, spoken",
        Spoken,
        lambda: torch.rand(BATCH, 40, 20),
        task=Task("spoken digits", datasets.spoken_digits, _learn),
        lava=False,
    ),
    _network(LIF, "LIF, learned theta and beta"),
    _network(Adaptive, "adaptive threshold"),
    _network(Recurrent, "recurrent"),
    _network(Synaptic, "synaptic current (CUBA)"),
    _network(AlphaSynapse, "alpha synapse"),
    _network(Refractory, "refractory timer"),
    _network(Delayed, "learned delays"),
    _network(FixedDelay, "delay of three steps"),
    _network(TwoCompartments, "two compartments"),
    _network(Resonator, "resonator"),
    _network(ComplexNumber, "complex state"),
    _network(Gated, "gated decay"),
    _step(LIF, "LIF"),
    _step(Recurrent, "recurrent"),
    _step(Refractory, "refractory timer"),
    Family("D convolution", ConvNet, lambda: torch.rand(BATCH, STEPS, 1, 8, 8)),
]
