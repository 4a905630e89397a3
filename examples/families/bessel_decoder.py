"""Neural decoding for implants: a spiking decoder whose output is smoothed by a Bessel filter.

A low-pass of two second-order sections, in direct form II transposed, on the decoded velocity.
The coefficients are those of a fourth-order Bessel filter at a tenth of the sampling rate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, Family
from examples.models import spike

#: Rows of b0, b1, b2, a1, a2: scipy.signal.bessel(4, 0.2, output="sos").
SECTIONS = (
    (0.00428742029, 0.00857484059, 0.00428742029, -1.07701238578, 0.30094304188),
    (1.0, 2.0, 1.0, -1.14096125555, 0.4473003959),
)


class Filtered(nn.Module):
    """Spike counts (B, T, channels) to velocities (B, T, 2)."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(channels, size), nn.Linear(size, 2)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        v = torch.zeros(x.size(0), self.size)
        memory = [torch.zeros(x.size(0), 2) for _ in range(2 * len(SECTIONS))]
        out = []
        for t in range(x.shape[1]):
            v = 0.75 * v + self.first(x[:, t])
            s = spike(v - 1)
            v = v - s
            y = self.second(s)
            for i, (b0, b1, b2, a1, a2) in enumerate(SECTIONS):
                u = y
                y = b0 * u + memory[2 * i]
                memory[2 * i] = b1 * u - a1 * y + memory[2 * i + 1]
                memory[2 * i + 1] = b2 * u - a2 * y
            out.append(y)
        return torch.stack(out, 1)


FAMILIES = [
    Family(
        "E SNN + Bessel filter (iBMI)",
        lambda: Filtered(8, 12),
        lambda: torch.poisson(torch.full((BATCH, 24, 8), 0.5)),
        STEPPED,
    ),
]
