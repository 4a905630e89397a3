"""LIF with learned threshold and leak: ``u = sigmoid(raw) u + x``, subtract, static input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.training import fit


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
        beta, theta = torch.sigmoid(self.raw), self.theta.clamp(min=0.05)
        u, out = torch.zeros_like(x), []
        for _ in range(self.T):
            u = beta * u + x
            s = Triangle.apply(u, theta, 1.0)
            u = u - s * theta
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
    """Rates over all steps between two layers."""

    def __init__(self, size: int, steps: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, size), nn.Linear(size, 5)
        self.lif = LearnedLIF(size, steps)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.lif(self.fc1(x)).mean(1))
        return y


class Digits(RateNet):
    """The rate net for ten classes."""

    def __init__(self, inputs: int, size: int, steps: int) -> None:
        super().__init__(size, steps)
        self.fc1, self.fc2 = nn.Linear(inputs, size), nn.Linear(size, 10)


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=20, lr=1e-2)


FAMILIES = [
    Family(
        "C learned theta and beta, digits",
        lambda: Digits(64, 64, 8),
        lambda: torch.rand(BATCH, 64),
        {"static": True},
        task=Task("digits", datasets.digits_flat, _learn),
    ),
    Family("C (B,N,D) to (B,T,N,D)", lambda: LearnedLIF(8, 9), lambda: torch.rand(BATCH, 4, 8)),
    Family("C mean over T", lambda: LearnedLIF(8, 9, True), lambda: torch.rand(BATCH, 4, 8)),
    Family("C rates of rates", lambda: Twice(8, 7), lambda: torch.randn(BATCH, 3, 8)),
]
