"""Spiking attention blocks: each runs its populations over steps of its own and hands on rates."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, STEPS, Case, loud

#: Tokens and features of the blocks.
TOKENS, SIZE, HEADS = 3, 8, 2


class Population(nn.Module):
    """LIF with decay ``exp(-1/tau)`` and reset to 0.5, driven by a constant: rates over T steps."""

    def __init__(self, steps: int, tau: float = 4.0, theta: float = 1.0) -> None:
        super().__init__()
        self.T, self.decay, self.theta = steps, math.exp(-1 / tau), theta

    def forward(self, current: Tensor) -> Tensor:
        u, spikes = torch.zeros_like(current), []
        for _ in range(self.T):
            u = self.decay * u + current
            s = (u >= self.theta).float()
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
            s = (u >= 1 + a).float()
            a = 0.9 * a + 0.5 * s
            u = u * (1 - s)
            total = total + s
        return total / self.T


class Attention(nn.Module):
    """Softmax attention of the rates; entries whose logit is exactly zero are dropped."""

    def __init__(self, steps: int, masked: bool = True) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(SIZE, SIZE) for _ in range(4))
        self.qs, self.ks, self.vs = (Population(steps) for _ in range(3))
        self.masked = masked

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        d = c // HEADS
        q, k, v = (
            r.view(b, n, HEADS, d).transpose(1, 2)
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
        clock, u, total = torch.zeros_like(x), torch.zeros_like(x), 0
        for _ in range(self.T):
            u = 0.9 * u + self.fc((due == clock).float())
            s = (u >= 0.5).float()
            u = u - 0.5 * s
            clock = clock + 1
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
            s = (u >= 1).float()
            u = u * (1 - s)
            total = total + s
        y: Tensor = self.block(total / self.T)
        return y


def _tokens() -> Tensor:
    return torch.randn(BATCH, TOKENS, SIZE)


def _image() -> Tensor:
    return torch.rand(BATCH, 1, 8, 8) * 2


CASES = [
    Case("blocks/attention", lambda: (loud(Attention(10)), _tokens())),
    Case("blocks/attention without mask", lambda: (loud(Attention(4, False)), _tokens())),
    Case("blocks/MLP", lambda: (loud(Mlp(Population(6))), _tokens())),
    Case("blocks/MLP of adaptive neurons", lambda: (loud(Mlp(Adaptive(8))), _tokens())),
    Case("blocks/whole block", lambda: (loud(Block(10)), _tokens())),
    Case("blocks/two blocks", lambda: (loud(nn.Sequential(Block(4), Block(4))), _tokens())),
    Case("blocks/with LayerNorm", lambda: (loud(Normalized(6)), _tokens())),
    Case("blocks/patches", lambda: (loud(Patches(Block(4), Block(4))), _image())),
    Case("blocks/latency", lambda: (loud(Latency(Block(STEPS), STEPS)), _tokens().sigmoid())),
    Case("blocks/recurrent", lambda: (loud(Recurrent(Block(6), 6)), _tokens())),
    Case("blocks/steps of their own", lambda: (loud(Block(4, 7)), _tokens())),
    Case(
        "blocks/MLPs with steps of their own",
        lambda: (loud(nn.Sequential(Mlp(Population(6)), Mlp(Population(9)))), _tokens()),
    ),
]
