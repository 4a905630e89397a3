"""UltraLIF: leak and input meet in a soft maximum of temperature eps instead of a sum.

``u = eps log(exp((v + a)/eps) + exp(x/eps))``; in use either eps -> 0, which leaves a maximum, or a
graded spike ``sigmoid((u - theta)/eps)`` at the temperature of the training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families.family import BATCH, STEPPED, STEPS, Family
from examples.models import spike


class UltraLIF(nn.Module):
    """(B, T, F) through one layer and a readout that is averaged; hard for ``eps`` 0."""

    def __init__(self, inputs: int, size: int, eps: float) -> None:
        super().__init__()
        self.proj, self.head, self.eps = nn.Linear(inputs, size), nn.Linear(size, 4), eps
        self.leak, self.theta = nn.Parameter(torch.rand(size) * 0.3), 1.0

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.size(0), self.proj.out_features), []
        for t in range(x.shape[1]):
            i = self.proj(x[:, t])
            if self.eps == 0:
                u = torch.maximum(v - self.leak, i)
                s = spike(u - self.theta)
            else:
                old = v - self.leak
                peak = torch.maximum(old, i)
                u = peak + self.eps * functional.softplus(-torch.abs(old - i) / self.eps)
                s = torch.sigmoid((u - self.theta) / self.eps)
            v = u - s * self.theta
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


FAMILIES = [
    Family(
        "E UltraLIF, hard limit",
        lambda: UltraLIF(6, 10, 0.0),
        lambda: torch.randn(BATCH, STEPS, 6),
        STEPPED,
    ),
    Family(
        "E UltraLIF, soft",
        lambda: UltraLIF(6, 10, 0.25),
        lambda: torch.randn(BATCH, STEPS, 6),
        STEPPED,
    ),
]
