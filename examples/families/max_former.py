"""Max-Former: max-pooling of currents, depth-wise convolutions early, token attention (QK).

Token attention sums the spikes of q over the channels of a head, fires on the sum, and lets the
keys of the tokens that fired pass.
"""

from __future__ import annotations

from torch import Tensor, nn

from examples.families.family import Family
from examples.families.layers import Each, Fire, conv
from examples.families.meta_spikeformer import Attention
from examples.families.spikformer import DIGITS, images


class Embedding(nn.Module):
    """Convolution, BatchNorm, and the maximum of the currents before any neuron."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.conv, self.pool = Each(conv(inputs, size)), Each(nn.MaxPool2d(3, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pool(self.conv(x))
        return y


class DepthWise(nn.Module):
    """A depth-wise convolution around a membrane shortcut: the mixer of early stages."""

    def __init__(self, size: int, reach: int) -> None:
        super().__init__()
        self.fire, self.conv = Fire(), Each(conv(size, size, reach, groups=size))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.conv(self.fire(x))
        return y


class TokenAttention(nn.Module):
    """Keys of the tokens whose queries fire together."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head, self.fire_q, self.fire_k, self.mask = Fire(), Fire(), Fire(), Fire(0.5)
        self.q, self.k, self.out = (Each(conv(size, size, 1)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        t, b, c, h, w = x.shape
        s = self.head(x)
        q = self.fire_q(self.q(s)).reshape(t, b, self.heads, c // self.heads, h, w)
        k = self.fire_k(self.k(s)).reshape(t, b, self.heads, c // self.heads, h, w)
        chosen = self.mask(q.sum(3, keepdim=True))
        y: Tensor = x + self.out((chosen * k).reshape(t, b, c, h, w))
        return y


class Mlp(nn.Module):
    """Two pointwise layers around a membrane shortcut."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fire1, self.up = Fire(), Each(conv(size, 2 * size, 1))
        self.fire2, self.down = Fire(), Each(conv(2 * size, size, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.down(self.fire2(self.up(self.fire1(x))))
        return y


class MaxFormer(nn.Module):
    """Three stages: depth-wise convolution, token attention, self-attention."""

    def __init__(self, size: int, classes: int, steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        self.stage1 = nn.Sequential(Embedding(1, size), DepthWise(size, 5), Mlp(size))
        self.fire2, self.fire3 = Fire(), Fire()
        self.stage2 = nn.Sequential(Embedding(size, size), TokenAttention(size, 2), Mlp(size))
        self.embed3, self.attention, self.mlp = Embedding(size, size), *_late(size)
        self.local = DepthWise(size, 3)
        self.last, self.head = Fire(), nn.Linear(size, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stage1(image.unsqueeze(0).repeat(self.num_steps, 1, 1, 1, 1))
        x = self.stage2(self.fire2(x))
        x = self.embed3(self.fire3(x))
        x = self.mlp(self.local(x + self.attention(x)))
        y: Tensor = self.head(self.last(x).flatten(3).mean(3)).mean(0)
        return y


def _late(size: int) -> tuple[nn.Module, nn.Module]:
    return Attention(size, 2, Fire), Mlp(size)


FAMILIES = [
    Family(
        "E Max-Former",
        lambda: MaxFormer(8, 10, 4),
        images,
        task=DIGITS,
        gain=2.5,
    ),
]
