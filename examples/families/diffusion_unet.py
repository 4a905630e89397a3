"""A spiking diffusion U-Net (arXiv:2306.17046 and SDM): predicts the noise of one image.

IF neurons; each convolution's output is scaled by a learned gain of its time step (TSM); nearest
upsampling and skips by concatenation.  The embedding of the diffusion step is a constant per call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, Family
from examples.models import spike


class Stage(nn.Module):
    """Convolution with a gain per step, BatchNorm and IF neurons with a soft reset."""

    def __init__(self, inputs: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm, self.gain = nn.BatchNorm2d(outputs), nn.Parameter(1 + torch.rand(steps) / 2)

    def forward(self, x: Tensor, v: Tensor | None, t: int, shift: Tensor) -> tuple[Tensor, Tensor]:
        i = self.norm(self.gain[t] * self.conv(x)) + shift
        v = (torch.zeros_like(i) if v is None else v) + i
        s = spike(v - 1)
        return s, v - s


class DiffusionUNet(nn.Module):
    """(B, 1, H, W) and a fixed diffusion step to the noise (B, 1, H, W)."""

    def __init__(self, size: int, steps: int, step: float = 0.3) -> None:
        super().__init__()
        self.num_steps, self.step = steps, step
        self.time = nn.Sequential(nn.Linear(2, size), nn.SiLU(), nn.Linear(size, size))
        self.down, self.deep = Stage(1, size, steps), Stage(size, size, steps)
        self.up = Stage(2 * size, size, steps)
        self.pool, self.wide = nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")
        self.last = nn.Conv2d(size, 1, 3, padding=1)

    def forward(self, noisy: Tensor) -> Tensor:
        shift = self.time(torch.tensor([self.step, 1 - self.step])).view(-1, 1, 1)
        v: list[Tensor | None] = [None, None, None]
        out = []
        for t in range(self.num_steps):
            skip, v[0] = self.down(noisy, v[0], t, shift)
            deep, v[1] = self.deep(self.pool(skip), v[1], t, shift)
            joined = torch.cat([skip, self.wide(deep)], 1)
            s, v[2] = self.up(joined, v[2], t, shift)
            out.append(self.last(s))
        return torch.stack(out).mean(0)


FAMILIES = [
    Family(
        "E spiking diffusion U-Net",
        lambda: DiffusionUNet(4, 6),
        lambda: torch.randn(BATCH, 1, 8, 8),
        options={"static": True},
    ),
]
