"""TS-LIF (arXiv:2503.05108): two compartments, slow and fast, each with spikes of its own.

``v1 = c0 v1 + c1 x - y v2``, ``v2 = c2 v2 + c3 x - k v1``; spikes where a compartment reaches
theta are mixed by learned weights; ``v1 -= gamma s1`` and ``v2 -= theta s2``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.training import fit
from examples.models import spike


class TSLIF(nn.Module):
    """One layer, one step, on states (v1, v2)."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.proj, self.norm = nn.Linear(inputs, size, bias=False), nn.BatchNorm1d(size)
        self.c = nn.Parameter(torch.tensor([0.8, 0.5, 0.6, 0.8]).repeat(size, 1))
        self.cross = nn.Parameter(torch.full((2, size), 0.1))
        self.mix, self.theta, self.gamma = nn.Parameter(torch.rand(size)), 0.5, 0.5

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        v1, v2 = state
        i = self.norm(self.proj(x))
        c0, c1, c2, c3 = (self.c[:, k].clamp(-0.9, 0.9) for k in range(4))
        y, k = self.cross.clamp(-0.05, 0.3)
        v1 = c0 * v1 + c1 * i - y * v2
        v2 = c2 * v2 + c3 * i - k * v1
        s1, s2 = spike(v1 - self.theta), spike(v2 - self.theta)
        mix = torch.sigmoid(self.mix)
        return mix * s2 + (1 - mix) * s1, (v1 - self.gamma * s1, v2 - self.theta * s2)


class Forecaster(nn.Module):
    """(B, T, series): two layers, whose spikes are summed with decay and read after the last step.

    The forecast also depends linearly on the last values seen.
    """

    def __init__(self, series: int, size: int, future: int, steps: int) -> None:
        super().__init__()
        self.first, self.second = TSLIF(series, size), TSLIF(size, size)
        self.head, self.last = (nn.Linear(n, series * future) for n in (size, series))
        self.num_steps, self.size = steps, size
        self.decay = nn.Parameter(torch.linspace(0, 3, size))

    def forward(self, x: Tensor) -> Tensor:
        zero = torch.zeros(x.size(0), self.size)
        state1, state2, total = (zero, zero), (zero, zero), zero
        decay = torch.sigmoid(self.decay)
        for t in range(self.num_steps):
            s, state1 = self.first(x[:, t], state1)
            s, state2 = self.second(s, state2)
            total = decay * total + (1 - decay) * s
        y: Tensor = self.head(total) + self.last(x[:, self.num_steps - 1])
        return y


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=8, lr=1e-2, loss=functional.mse_loss)


def mean_squared_error(found: Tensor, wanted: Tensor) -> float:
    """In units of the series' variance."""
    return functional.mse_loss(found, wanted).item()


ETT = Task("ETTh1", datasets.electricity, _learn, "MSE", mean_squared_error, 0.02)

FAMILIES = [
    Family(
        "E TS-LIF forecaster",
        lambda: Forecaster(7, 64, 8, 32),
        lambda: torch.randn(BATCH, 32, 7),
        task=ETT,
        lava=False,
    ),
    Family(
        "E TS-LIF forecaster, small",
        lambda: Forecaster(3, 8, 2, 12),
        lambda: torch.randn(BATCH, 12, 3),
    ),
]
