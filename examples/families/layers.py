"""Layers over (T, B, …), as the published transformers write them: time first, then the batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from examples.models import spike


def scale(size: int) -> float:
    """``1 / sqrt(size)`` of an attention head, as a power of two: 1/8 of 64."""
    return 0.5 ** round(math.log2(size) / 2)


class Fire(nn.Module):
    """LIF that decays its input, ``v += (x - v) / tau``, and is set to zero by a spike."""

    def __init__(self, theta: float = 1.0, tau: float = 2.0) -> None:
        super().__init__()
        self.theta, self.tau = theta, tau

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x[0]), []
        for t in range(len(x)):
            v = v + (x[t] - v) / self.tau
            s = spike(v - self.theta)
            v = v * (1 - s)
            out.append(s)
        return torch.stack(out)


class Multispike(nn.Module):
    """A count without memory: ``floor(clamp(D x, 0, D) + 1/2) / D``."""

    def __init__(self, most: int = 4) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        y = torch.clamp(self.most * x, 0, self.most)
        count = torch.floor(y + 0.5)
        return (y + (count - y).detach() if self.training else count) / self.most


class Each(nn.Module):
    """Apply layers to every step: (T, B, …) seen as (T B, …)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(0, 1))
        return y.reshape(x.shape[0], x.shape[1], *y.shape[1:])


class Tokens(nn.Module):
    """Linear and BatchNorm on tokens (T, B, N, C)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        t, b, n, _ = x.shape
        y = self.linear(x.flatten(0, 1)).transpose(1, 2)
        y = self.norm(y).transpose(1, 2)
        return y.reshape(t, b, n, -1)


def conv(inputs: int, outputs: int, size: int = 3, **more: int) -> nn.Sequential:
    """Convolution and BatchNorm, of the same image size for stride 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False, **more),
        nn.BatchNorm2d(outputs),
    )
