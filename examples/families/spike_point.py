"""SpikePoint: groups of event points, rate-coded, through pointwise layers and a maximum.

The host groups points (farthest-point sampling, nearest neighbours); magnitudes of the offsets
become rates over 16 steps, here as given spikes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, Family
from examples.models import spike


class Pointwise(nn.Module):
    """1 x 1 convolution over points, BatchNorm, LIF."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        i = self.norm(self.conv(x))
        v = i / 2 if v is None else v + (i - v) / 2
        s = spike(v - 0.5)
        return s, v * (1 - s)


class SpikePoint(nn.Module):
    """(B, T, features, points) of spikes to scores (B, classes)."""

    def __init__(self, features: int, size: int, classes: int) -> None:
        super().__init__()
        self.lift, self.local = Pointwise(features, size), Pointwise(size, size)
        self.wide, self.head = Pointwise(size, 2 * size), nn.Linear(2 * size, classes)

    def forward(self, x: Tensor) -> Tensor:
        v: list[Tensor | None] = [None, None, None]
        scores = []
        for t in range(x.shape[1]):
            s, v[0] = self.lift(x[:, t], v[0])
            y, v[1] = self.local(s, v[1])
            y, v[2] = self.wide(s + y, v[2])
            scores.append(self.head(y.amax(-1)))
        return torch.stack(scores, 1).mean(1)


FAMILIES = [
    Family(
        "E SpikePoint",
        lambda: SpikePoint(6, 8, 5),
        lambda: (torch.rand(BATCH, 16, 6, 12) < 0.4).float(),
        STEPPED,
        exact=True,
    ),
]
