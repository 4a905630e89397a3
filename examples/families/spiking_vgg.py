"""Convolutional networks: VGG at one time step (IIR-SNN), and for frames of an event camera.

IIR-SNN gives each layer a learned threshold and leak; at T = 1 nothing of the state is left.  The
event networks use ParametricLIF, one learned decay per layer, and AvgPool or MaxPool.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, Family
from examples.models import spike


class LearnedLIF(nn.Module):
    """Learned leak and threshold; spikes subtract the threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.leak, self.theta = nn.Parameter(torch.rand(()) + 1), nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = torch.sigmoid(self.leak) * v + x
        s = spike(v - self.theta)
        return s, v - self.theta * s


class ParametricLIF(nn.Module):
    """``v += (x - v) sigmoid(w)``, set to zero by a spike."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = v + (x - v) * torch.sigmoid(self.w)
        s = spike(v - 0.5)
        return s, v * (1 - s)


class SpikingVGG(nn.Module):
    """Stages of convolution, BatchNorm, neurons; (B, C, H, W) or (B, T, C, H, W) to scores."""

    def __init__(
        self, neurons: type[nn.Module], channels: list[int], pool: nn.Module, steps: int, end: int
    ) -> None:
        super().__init__()
        self.num_steps, self.pool = steps, pool
        pairs = itertools.pairwise(channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in channels[1:])
        self.neurons = nn.ModuleList(neurons() for _ in self.convs)
        self.hidden, self.fire = nn.Linear(channels[-1] * end * end, 16), neurons()
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        frames = [x[:, t] for t in range(x.shape[1])] if x.ndim == 5 else [x] * self.num_steps
        states: list[Tensor | None] = [None] * (len(self.convs) + 1)
        scores = []
        for frame in frames:
            y = frame
            parts = zip(self.convs, self.norms, self.neurons, strict=True)
            for i, (conv, norm, neurons) in enumerate(parts):
                current, v = norm(conv(y)), states[i]
                y, states[i] = neurons(current, torch.zeros_like(current) if v is None else v)
                y = self.pool(y)
            current, v = self.hidden(y.flatten(1)), states[-1]
            s, states[-1] = self.fire(current, torch.zeros_like(current) if v is None else v)
            scores.append(self.head(s))
        return torch.stack(scores, 1).mean(1)


def _events() -> Tensor:
    return torch.poisson(torch.full((BATCH, 16, 2, 16, 16), 0.3))


FAMILIES = [
    Family(
        "E VGG at one time step (IIR-SNN)",
        lambda: SpikingVGG(LearnedLIF, [1, 8, 8, 16], nn.MaxPool2d(2), 1, 2),
        lambda: torch.rand(BATCH, 1, 16, 16),
        options={"static": True},
        exact=True,
    ),
    Family(
        "E event-camera VGG (PLIF)",
        lambda: SpikingVGG(ParametricLIF, [2, 8, 8], nn.AvgPool2d(2), 16, 4),
        _events,
    ),
    Family(
        "E DVS-gesture CNN (max-pool)",
        lambda: SpikingVGG(ParametricLIF, [2, 8, 8], nn.MaxPool2d(2), 16, 4),
        _events,
    ),
]
