"""E-3DSNN: Multispike neurons and 3-D convolutions over voxels, where only occupied ones matter.

A submanifold convolution keeps the set of occupied voxels: its output is masked by its input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, Family
from examples.families.layers import Multispike


class Submanifold(nn.Module):
    """A 3-D convolution whose result is kept at occupied voxels only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor, occupied: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x)) * occupied
        return y


class E3DSNN(nn.Module):
    """Voxels (B, 1, D, H, W) of 0 and 1 to scores."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = Submanifold(1, size), Submanifold(size, size)
        self.third, self.fire = Submanifold(size, size), Multispike(4)
        self.pool, self.head = nn.MaxPool3d(2), nn.Linear(size, 5)

    def forward(self, voxels: Tensor) -> Tensor:
        x = self.fire(self.first(voxels, voxels))
        x = x + self.second(x, voxels)
        coarse = self.pool(voxels)
        x = self.third(self.pool(self.fire(x)), coarse)
        y: Tensor = self.head(self.fire(x).amax((2, 3, 4)))
        return y


FAMILIES = [
    Family(
        "E E-3DSNN (voxels)",
        lambda: E3DSNN(6),
        lambda: (torch.rand(BATCH, 1, 6, 6, 6) < 0.3).float(),
        options={"static": True, "steps": 1},
    ),
]
