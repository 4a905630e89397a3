"""Spike-driven Transformer V2 (arXiv:2404.03663) and QSD-Transformer (arXiv:2501.13492).

Residual connections carry membranes, real numbers; what is multiplied by weights are spikes.
SepConv blocks for images, attention whose projections are RepConv for tokens.  QSD keeps the graph
and puts a stateless count of 0 … 4 (``Multispike``, T = 1) in the place of each LIF.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from examples.families.family import Family
from examples.families.layers import Each, Fire, Multispike, conv, scale
from examples.families.spikformer import DIGITS, images

Neurons = Callable[[float], nn.Module]


class SepConv(nn.Module):
    """Pointwise up, depth-wise 7 x 7 without neurons behind it, pointwise down."""

    def __init__(self, size: int, neurons: Neurons) -> None:
        super().__init__()
        wide = 2 * size
        self.before, self.between = neurons(1.0), neurons(1.0)
        self.up = Each(conv(size, wide, 1))
        depth_wise = nn.Conv2d(wide, wide, 7, padding=3, groups=wide, bias=False)
        down = nn.Conv2d(wide, size, 1, bias=False)
        self.down = Each(depth_wise, down, nn.BatchNorm2d(size))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(self.between(self.up(self.before(x))))
        return y


class ConvBlock(nn.Module):
    """SepConv and a convolutional MLP, each around a membrane shortcut."""

    def __init__(self, size: int, neurons: Neurons) -> None:
        super().__init__()
        self.sep = SepConv(size, neurons)
        self.fire1, self.fire2 = neurons(1.0), neurons(1.0)
        self.conv1, self.conv2 = Each(conv(size, 2 * size)), Each(conv(2 * size, size))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.sep(x)
        y: Tensor = x + self.conv2(self.fire2(self.conv1(self.fire1(x))))
        return y


class RepConv(nn.Module):
    """1 x 1, BatchNorm that also fills the border, depth-wise 3 x 3, 1 x 1, BatchNorm."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(size, size, 1, bias=False), nn.BatchNorm2d(size)
        self.depth_wise = nn.Conv2d(size, size, 3, groups=size, bias=False)
        self.last = nn.Sequential(nn.Conv2d(size, size, 1, bias=False), nn.BatchNorm2d(size))
        self.outer = nn.BatchNorm2d(size)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.first(x))
        n = self.norm
        assert n.running_mean is not None, "eval needs statistics"
        assert n.running_var is not None, "eval needs statistics"
        border = n.bias - n.weight * n.running_mean / torch.sqrt(n.running_var + n.eps)
        inside = nn.functional.pad(y - border.view(-1, 1, 1), (1, 1, 1, 1)) + border.view(-1, 1, 1)
        z: Tensor = self.outer(self.last(self.depth_wise(inside)))
        return z


class Attention(nn.Module):
    """Spike-driven self-attention over pixels, ``Q (K^T V) s``."""

    def __init__(self, size: int, heads: int, neurons: Neurons) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale(size // heads)
        self.head = neurons(1.0)
        self.q, self.k, self.v, self.out = (Each(RepConv(size)) for _ in range(4))
        self.fire_q, self.fire_k, self.fire_v = (neurons(1.0) for _ in range(3))
        self.fire = neurons(0.5)

    def forward(self, x: Tensor) -> Tensor:
        t, b, c, h, w = x.shape
        s = self.head(x)
        q, k, v = (
            y.flatten(3).reshape(t, b, self.heads, c // self.heads, h * w).transpose(3, 4)
            for y in (self.fire_q(self.q(s)), self.fire_k(self.k(s)), self.fire_v(self.v(s)))
        )
        y = q @ (k.transpose(-2, -1) @ v) * self.scale
        y = self.fire(y.transpose(3, 4).reshape(t, b, c, h, w))
        z: Tensor = self.out(y)
        return z


class TransformerBlock(nn.Module):
    """Attention and MLP, each around a membrane shortcut."""

    def __init__(self, size: int, heads: int, neurons: Neurons) -> None:
        super().__init__()
        self.attention = Attention(size, heads, neurons)
        self.fire1, self.fire2 = neurons(1.0), neurons(1.0)
        self.up, self.down = Each(conv(size, 4 * size, 1)), Each(conv(4 * size, size, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        y: Tensor = x + self.down(self.fire2(self.up(self.fire1(x))))
        return y


class MetaSpikeformer(nn.Module):
    """(B, 1, H, W) repeated T times: a convolutional block, a transformer block, and a head."""

    def __init__(self, size: int, classes: int, steps: int, neurons: Neurons) -> None:
        super().__init__()
        self.num_steps = steps
        self.down1, self.block1 = Each(conv(1, size, stride=2)), ConvBlock(size, neurons)
        self.fire, self.down2 = neurons(1.0), Each(conv(size, 2 * size, stride=2))
        self.block2 = TransformerBlock(2 * size, 2, neurons)
        self.last, self.head = neurons(1.0), nn.Linear(2 * size, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = image.unsqueeze(0).repeat(self.num_steps, 1, 1, 1, 1)
        x = self.block1(self.down1(x))
        x = self.block2(self.down2(self.fire(x)))
        y: Tensor = self.head(self.last(x.flatten(3).mean(3).unsqueeze(2)).squeeze(2)).mean(0)
        return y


FAMILIES = [
    Family(
        "E Spike-driven Transformer V2",
        lambda: MetaSpikeformer(8, 10, 4, Fire),
        images,
        task=DIGITS,
        gain=2.5,
    ),
    Family(
        "E QSD-Transformer",
        lambda: MetaSpikeformer(8, 10, 1, lambda _: Multispike()),
        images,
        task=DIGITS,
        options={"static": True},
    ),
]
