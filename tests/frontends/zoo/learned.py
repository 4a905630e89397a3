"""LIF with learned threshold and leak: ``u = sigmoid(raw) u + x``, subtract, static input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, Case, loud


class Triangle(torch.autograd.Function):
    """A step with a triangular surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, theta: Tensor, gamma: float) -> Tensor:
        ctx.save_for_backward(u, theta)
        ctx.gamma = gamma
        return (u >= theta).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        u, theta = ctx.saved_tensors
        slope = torch.clamp(1 - (u - theta).abs() / ctx.gamma, min=0) / ctx.gamma
        return grads[0] * slope, None, None


class LearnedLIF(nn.Module):
    """(B, N, D) to (B, T, N, D), or to the mean over T."""

    def __init__(self, size: int, steps: int, mean: bool = False) -> None:
        super().__init__()
        self.T, self.mean = steps, mean
        self.theta = nn.Parameter(torch.rand(size) + 0.4)
        self.raw = nn.Parameter(torch.rand(size) * 3 - 1)

    def forward(self, x: Tensor) -> Tensor:
        beta = torch.sigmoid(self.raw)
        u, out = torch.zeros_like(x), []
        for _ in range(self.T):
            u = beta * u + x
            s = Triangle.apply(u, self.theta, 1.0)
            u = u - s * self.theta
            out.append(s)
        spikes = torch.stack(out, dim=1)
        return spikes.mean(1) if self.mean else spikes


class Twice(nn.Module):
    """Two populations, the second over the rates of the first."""

    def __init__(self, size: int, steps: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, size), nn.Linear(size, size)
        self.first, self.second = (LearnedLIF(size, steps, mean=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.fc2(self.first(self.fc1(x))))
        return y


class RateNet(nn.Module):
    def __init__(self, size: int, steps: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, size), nn.Linear(size, 5)
        self.lif = LearnedLIF(size, steps)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.lif(self.fc1(x)).mean(1))
        return y


CASES = [
    Case("learned/LIF", lambda: (LearnedLIF(8, 9).eval(), torch.rand(BATCH, 4, 8))),
    Case("learned/LIF vector", lambda: (LearnedLIF(8, 9).eval(), torch.rand(BATCH, 8))),
    Case("learned/LIF mean", lambda: (LearnedLIF(8, 9, True).eval(), torch.rand(BATCH, 4, 8))),
    Case("learned/rates of rates", lambda: (loud(Twice(8, 7)), torch.randn(BATCH, 3, 8))),
    Case("learned/rate net", lambda: (loud(RateNet(16, 6)), torch.randn(BATCH, 3, 16))),
]
