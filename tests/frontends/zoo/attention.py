"""Spiking attention: three populations with decay exp(-1/tau) and reset to 0.5."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, Case, loud


class Rates(nn.Module):
    """Rates of queries, keys and values, each over its own constant input."""

    def __init__(self, size: int, tau: float = 4.0) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(size, size) for _ in range(3))
        self.decay, self.theta = math.exp(-1 / tau), 1.0

    def forward(self, x: Tensor, time_steps: int = 10) -> tuple[Tensor, ...]:
        membranes = [torch.zeros_like(x) for _ in range(3)]
        counts: list[list[Tensor]] = [[], [], []]
        for _ in range(time_steps):
            for i, proj in enumerate((self.q, self.k, self.v)):
                u = membranes[i] * self.decay + proj(x)
                s = (u >= self.theta).float()
                membranes[i] = u * (1 - s) + 0.5 * s
                counts[i].append(s)
        return tuple(torch.stack(c).sum(0) / time_steps for c in counts)


class SpikingAttention(nn.Module):
    """Softmax attention of the rates; entries whose logit is zero are dropped."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.rates, self.out, self.heads = Rates(size), nn.Linear(size, size), heads

    def forward(self, x: Tensor, time_steps: int = 10) -> Tensor:
        b, n, c = x.shape
        d = c // self.heads
        q, k, v = (
            r.reshape(b, n, self.heads, d).transpose(1, 2) for r in self.rates(x, time_steps)
        )
        logits = q @ k.transpose(-2, -1) / math.sqrt(d)
        weights = logits.softmax(-1) * (logits != 0).float()
        y: Tensor = self.out((weights @ v).transpose(1, 2).reshape(b, n, c))
        return y


def _tokens() -> Tensor:
    return torch.randn(BATCH, 3, 16)


CASES = [
    Case("attention/rates", lambda: (loud(Rates(16)), _tokens())),
    Case("attention/SpikingAttention", lambda: (loud(SpikingAttention(16, 4)), _tokens())),
]
