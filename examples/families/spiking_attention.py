"""Spiking attention (arXiv:2503.11234): softmax attention of rates, in blocks with spiking MLPs.

Queries, keys and values are rates of populations over T steps of a constant current:
``u = u exp(-1/tau) + P x``, a spike where ``u >= theta`` sets u to 0.5.  Weights whose logit is
exactly zero are dropped after the softmax, and nothing is normalized again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, STEPS, Family, Split, Task
from examples.families.training import fit
from examples.models import spike

#: Features and heads of the blocks.
SIZE, HEADS = 8, 2


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
                s = spike(u - self.theta)
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


class Population(nn.Module):
    """LIF with decay ``exp(-1/tau)`` and reset to 0.5, driven by a constant: rates over T steps."""

    def __init__(self, steps: int, tau: float = 4.0, theta: float = 1.0) -> None:
        super().__init__()
        self.T, self.decay, self.theta = steps, math.exp(-1 / tau), theta

    def forward(self, current: Tensor) -> Tensor:
        u, spikes = torch.zeros_like(current), []
        for _ in range(self.T):
            u = self.decay * u + current
            s = spike(u - self.theta)
            u = torch.where(s > 0, torch.full_like(u, 0.5), u)
            spikes.append(s)
        return torch.stack(spikes).sum(0) / self.T


class Adaptive(nn.Module):
    """A threshold that rises with every spike and decays, so that rates stay low."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.T = steps

    def forward(self, current: Tensor) -> Tensor:
        u, a, total = torch.zeros_like(current), torch.zeros_like(current), 0
        for _ in range(self.T):
            u = 0.8 * u + current
            s = spike(u - (1 + a))
            a = 0.9 * a + 0.5 * s
            u = u * (1 - s)
            total = total + s
        return total / self.T


class Attention(nn.Module):
    """Softmax attention of the rates; entries whose logit is exactly zero are dropped."""

    def __init__(
        self, steps: int, masked: bool = True, size: int = SIZE, heads: int = HEADS
    ) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(size, size) for _ in range(4))
        self.qs, self.ks, self.vs = (Population(steps) for _ in range(3))
        self.masked, self.heads = masked, heads

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        d = c // self.heads
        q, k, v = (
            r.view(b, n, self.heads, d).transpose(1, 2)
            for r in (self.qs(self.q(x)), self.ks(self.k(x)), self.vs(self.v(x)))
        )
        logits = q @ k.transpose(-2, -1) / math.sqrt(d)
        weights = logits.softmax(-1)
        if self.masked:
            weights = torch.where(logits == 0, torch.zeros_like(weights), weights)
        y: Tensor = self.out((weights @ v).transpose(1, 2).reshape(b, n, c))
        return y


class Mlp(nn.Module):
    """A spiking population in the place of GELU."""

    def __init__(self, population: nn.Module) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(SIZE, 2 * SIZE), nn.Linear(2 * SIZE, SIZE)
        self.act = population

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.act(self.up(x)))
        return y


class Block(nn.Module):
    """Attention and MLP, each with a residual connection."""

    def __init__(self, steps: int, mlp_steps: int | None = None, masked: bool = True) -> None:
        super().__init__()
        self.attention = Attention(steps, masked)
        self.mlp = Mlp(Population(mlp_steps or steps))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        y: Tensor = x + self.mlp(x)
        return y


class Normalized(Block):
    """The same with LayerNorm before each part."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.before, self.between = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        y: Tensor = x + self.mlp(self.between(x))
        return y


class Patches(nn.Module):
    """An analog convolution that cuts an image into tokens, blocks, and a linear head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Conv2d(1, SIZE, 4, 4), nn.Sequential(*blocks)
        self.head = nn.Linear(SIZE, 5)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        y: Tensor = self.head(self.blocks(tokens).mean(1))
        return y


class Latency(nn.Module):
    """Bright pixels spike early: one spike a pixel, at step ``(1 - x) (T - 1)``, rounded."""

    def __init__(self, block: nn.Module, steps: int) -> None:
        super().__init__()
        self.fc, self.block, self.T = nn.Linear(SIZE, SIZE), block, steps

    def forward(self, x: Tensor) -> Tensor:
        due = torch.round((1 - x) * (STEPS - 1))
        u, total = torch.zeros_like(x), 0
        for t in range(self.T):
            u = 0.9 * u + self.fc((due == t).float())
            s = spike(u - 0.5)
            u = u - 0.5 * s
            total = total + s
        y: Tensor = self.block(total / self.T)
        return y


class Recurrent(nn.Module):
    """Rates of a population that reads its own spikes of the step before, then a block."""

    def __init__(self, block: nn.Module, steps: int) -> None:
        super().__init__()
        self.fc, self.own, self.block = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE), block
        self.T = steps

    def forward(self, x: Tensor) -> Tensor:
        drive, u, s, total = self.fc(x), torch.zeros_like(x), torch.zeros_like(x), 0
        for _ in range(self.T):
            u = 0.8 * u + drive + self.own(s)
            s = spike(u - 1)
            u = u * (1 - s)
            total = total + s
        y: Tensor = self.block(total / self.T)
        return y


class Classifier(nn.Module):
    """Tokens (B, N, F) through an analog layer, spiking attention and a spiking MLP to scores."""

    def __init__(self, features: int, tokens: int, size: int, heads: int, classes: int) -> None:
        super().__init__()
        self.embed, self.attention = nn.Linear(features, size), Attention(8, True, size, heads)
        self.place = nn.Parameter(torch.randn(tokens, size) / 4)
        self.up, self.act, self.head = (
            nn.Linear(size, size),
            Population(8),
            nn.Linear(size, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.place
        x = x + self.attention(x)
        y: Tensor = self.head(self.act(self.up(x)).mean(1))
        return y


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=20, lr=1e-2)


def _tokens() -> Tensor:
    return torch.randn(BATCH, 3, SIZE)


FAMILIES = [
    Family(
        "B spiking attention, classifier",
        lambda: Classifier(4, 16, 32, 4, 10),
        lambda: torch.rand(BATCH, 16, 4),
        {"static": True},
        task=Task("digits", datasets.digits_tokens, _learn),
    ),
    Family("B spiking attention", lambda: SpikingAttention(SIZE, HEADS), _tokens),
    Family("B block with spiking MLP", lambda: Block(6), _tokens),
    Family("B adaptive thresholds", lambda: Mlp(Adaptive(8)), _tokens),
    Family("B recurrent, then a block", lambda: Recurrent(Block(6), 6), _tokens),
    Family(
        "B latency code, then a block",
        lambda: Latency(Block(STEPS), STEPS),
        lambda: torch.rand(BATCH, 3, SIZE),
    ),
    Family(
        "B image patches, two blocks",
        lambda: Patches(Block(4), Block(4)),
        lambda: torch.rand(BATCH, 1, 8, 8) * 2,
    ),
    Family("B block with LayerNorm", lambda: Normalized(6), _tokens, least=0.995),
]
