"""A reservoir of Izhikevich neurons.

``v += dt (0.04 v² + 5 v + 140 - u + i)`` and ``u += dt a (b v - u)``; a spike where v reaches 30 mV
sets v to c and adds d to u.  A linear readout sees filtered spikes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, Family
from examples.models import spike


class Reservoir(nn.Module):
    """(B, T, F) to (B, T, 2); the recurrent weights are fixed."""

    def __init__(self, inputs: int, size: int, dt: float = 0.5) -> None:
        super().__init__()
        self.proj, self.own = nn.Linear(inputs, size), nn.Linear(size, size, bias=False)
        self.head, self.size, self.dt = nn.Linear(size, 2), size, dt
        kind = torch.rand(size)
        self.a, self.b = 0.02 + 0.08 * kind, 0.25 - 0.05 * kind
        self.c, self.d = -65 + 15 * kind**2, 8 - 6 * kind**2

    def forward(self, x: Tensor) -> Tensor:
        v = torch.full((x.size(0), self.size), -65.0)
        u, s, trace = (torch.zeros(x.size(0), self.size) + k for k in (-13.0, 0.0, 0.0))
        out = []
        for t in range(x.shape[1]):
            i = 8.0 + 4.0 * torch.tanh(self.proj(x[:, t])) + self.own(s)
            v = torch.clamp(v + self.dt * (0.04 * v * v + 5 * v + 140 - u + i), -120, 40)
            u = u + self.dt * self.a * (self.b * v - u)
            s = spike(v - 30)
            v = torch.where(s > 0, self.c, v)
            u = u + s * self.d
            trace = 0.9 * trace + s
            out.append(self.head(trace))
        return torch.stack(out, 1)


FAMILIES = [
    Family(
        "E Izhikevich reservoir",
        lambda: Reservoir(3, 12),
        lambda: torch.randn(BATCH, 100, 3),
        STEPPED,
        least=0.99,
    ),
]
