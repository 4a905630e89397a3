"""Learned delays: DCLS (a weight and a delay per synapse) and delays for motion.

In training the place of a weight along time is a Gaussian around a learned position; in use it is
the rounded position, so that each synapse has one weight and one delay in whole steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.training import fit
from examples.models import spike


class Delays(nn.Module):
    """(B, inputs, T) to (B, outputs, T) over the last ``reach`` steps."""

    def __init__(self, inputs: int, outputs: int, reach: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (2 / inputs) ** 0.5)
        self.place = nn.Parameter(torch.rand(outputs, inputs) * (reach - 1))
        self.reach, self.sigma = reach, 1.0

    def kernel(self) -> Tensor:
        """Weights over time (outputs, inputs, reach); the newest step comes last."""
        steps, place = torch.arange(self.reach), self.place.clamp(0, self.reach - 1).unsqueeze(-1)
        if self.training:
            near = torch.exp(-(((steps - place) / self.sigma) ** 2) / 2)
            near = near / near.sum(-1, keepdim=True)
        else:
            near = (steps == torch.round(place)).float()
        return self.weight.unsqueeze(-1) * near

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv1d(functional.pad(x, (self.reach - 1, 0)), self.kernel())


class Fires(nn.Module):
    """LIF over the last axis; ``decay_input`` is false, a spike sets to zero."""

    def __init__(self, tau: float = 1.005) -> None:
        super().__init__()
        self.decay = 1 - 1 / tau

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x[..., 0]), []
        for t in range(x.shape[-1]):
            v = self.decay * v + x[..., t]
            s = spike(v - 1)
            v = v * (1 - s)
            out.append(s)
        return torch.stack(out, -1)


class DelayNet(nn.Module):
    """(B, T, F) through two layers with delays and BatchNorm; scores are means over time."""

    def __init__(self, inputs: int, size: int, classes: int, reach: int, tau: float) -> None:
        super().__init__()
        self.first, self.second = Delays(inputs, size, reach), Delays(size, size, reach)
        self.norm1, self.norm2 = nn.BatchNorm1d(size), nn.BatchNorm1d(size)
        self.fire1, self.fire2 = Fires(tau), Fires(tau)
        self.head = nn.Linear(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        s = self.fire1(self.norm1(self.first(x.transpose(1, 2))))
        s = self.fire2(self.norm2(self.second(s)))
        y: Tensor = self.head(s.transpose(1, 2)).mean(1)
        return y


class Motion(nn.Module):
    """Direction of a moving bar: kernels over space and time, then a logistic readout."""

    def __init__(self, kernels: int, reach: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(1, kernels, 3, bias=False) for _ in range(reach))
        self.head, self.kernels = nn.Linear(kernels, 4), kernels

    def forward(self, events: Tensor) -> Tensor:
        """(B, T, H, W) of spikes to probabilities (B, 4)."""
        b, steps, h, w = events.shape
        past = [torch.zeros(b, 1, h, w) for _ in self.convs]
        v, total = (torch.zeros(b, self.kernels, h - 2, w - 2) for _ in range(2))
        for t in range(steps):
            past = [*past[1:], events[:, t].unsqueeze(1)]
            v = 0.5 * v + sum(conv(x) for conv, x in zip(self.convs, past, strict=True))
            s = spike(v - 1)
            v = v * (1 - s)
            total = total + s
        return torch.sigmoid(self.head(total.mean((2, 3))))


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=20, lr=1e-2)


_SPOKEN = Task("spoken digits", datasets.spoken_digits, _learn)

FAMILIES = [
    Family(
        "E DCLS learned delays",
        lambda: DelayNet(20, 48, 10, 8, 2.0),
        lambda: torch.rand(BATCH, 40, 20),
        options={"time_axis": 1},
        task=_SPOKEN,
        lava=False,
    ),
    Family(
        "E DCLS learned delays, small",
        lambda: DelayNet(6, 8, 5, 4, 1.005),
        lambda: torch.rand(BATCH, 12, 6),
        options={"time_axis": 1},
    ),
    Family(
        "E heterogeneous delays (motion)",
        lambda: Motion(4, 4),
        lambda: (torch.rand(BATCH, 12, 8, 8) < 0.3).float(),
        options={"time_axis": 1},
    ),
]
