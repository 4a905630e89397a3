"""Spikformer (arXiv:2209.15425) and V2: attention of spikes without softmax, ``Q (K^T V) s``.

A convolutional stem makes tokens; residual connections add spikes, so that values between blocks
are small counts; every LIF has tau = 2, in which nothing is rounded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.layers import Each, Fire, Tokens, conv, scale
from examples.families.training import fit


class SelfAttention(nn.Module):
    """Spiking self-attention over heads; the LIF behind it fires at 1/2."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale(size // heads)
        self.q, self.k, self.v, self.out = (Tokens(size, size) for _ in range(4))
        self.fire_q, self.fire_k, self.fire_v, self.fire_out = (Fire() for _ in range(4))
        self.fire = Fire(0.5)

    def forward(self, x: Tensor) -> Tensor:
        t, b, n, c = x.shape
        q, k, v = (
            s.reshape(t, b, n, self.heads, c // self.heads).transpose(2, 3)
            for s in (
                self.fire_q(self.q(x)),
                self.fire_k(self.k(x)),
                self.fire_v(self.v(x)),
            )
        )
        y = q @ (k.transpose(-2, -1) @ v) * self.scale
        y = self.fire(y.transpose(2, 3).reshape(t, b, n, c))
        z: Tensor = self.fire_out(self.out(y))
        return z


class Block(nn.Module):
    """Attention and MLP, each around a residual of spikes."""

    def __init__(self, size: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.attention = SelfAttention(size, heads)
        self.mlp = nn.Sequential(
            Tokens(size, ratio * size), Fire(), Tokens(ratio * size, size), Fire()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        y: Tensor = x + self.mlp(x)
        return y


class Spikformer(nn.Module):
    """(B, 1, H, W) repeated T times; ``pooled`` stems halve by max-pooling, others by stride."""

    def __init__(
        self, sizes: list[int], heads: int, depth: int, classes: int, steps: int, pooled: bool
    ) -> None:
        super().__init__()
        self.num_steps = steps
        stem: list[nn.Module] = []
        for inputs, outputs in zip([1, *sizes], sizes, strict=False):
            stem += [Each(conv(inputs, outputs, stride=1 if pooled else 2)), Fire()]
            stem += [Each(nn.MaxPool2d(3, 2, 1))] if pooled else []
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential(*(Block(sizes[-1], heads) for _ in range(depth)))
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        x = image.unsqueeze(0).repeat(self.num_steps, 1, 1, 1, 1)
        tokens = self.stem(x).flatten(3).transpose(2, 3)
        y: Tensor = self.head(self.blocks(tokens).mean(2)).mean(0)
        return y


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=3, lr=3e-3, batch=64)


_FASHION = Task("Fashion-MNIST", datasets.fashion, _learn)


def learn(net: nn.Module, split: Split) -> None:
    """Digits, for small transformers of images."""
    fit(net, split, epochs=15, lr=1e-2)


def _small(pooled: bool) -> Spikformer:
    return Spikformer([8, 32], 2, 1, 10, 4, pooled)


def images() -> Tensor:
    """(B, 1, 16, 16)."""
    return torch.rand(BATCH, 1, 16, 16) * 2


DIGITS = Task("digits", datasets.digits_large, learn)


FAMILIES = [
    Family(
        "E Spikformer, 4 blocks",
        lambda: Spikformer([36, 72, 144], 6, 4, 10, 2, False),
        lambda: torch.rand(BATCH, 1, 28, 28),
        task=_FASHION,
        exact=True,
        lava=False,
    ),
    Family(
        "E Spikformer V1, max-pool stem",
        lambda: _small(True),
        images,
        task=DIGITS,
        gain=2.5,
        exact=True,
    ),
    Family(
        "E Spikformer V2, strided stem",
        lambda: _small(False),
        images,
        task=DIGITS,
        gain=2.5,
        exact=True,
    ),
]
