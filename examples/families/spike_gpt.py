"""SpikeGPT (arXiv:2302.13939): RWKV blocks with a LIF (tau = 2) behind each part.

Token shift ``x mu + x_before (1 - mu)``; WKV is a weighted mean of the values with weights
``exp(k)`` that decay by ``exp(w)`` a token, ``w = -exp(raw)``, kept as numerator and denominator
relative to the running maximum of the exponents; receptance through a sigmoid; squared ReLU in the
channel part; LayerNorm before each; a real residual stream.  One token per step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, STEPS, Family, Split, Task
from examples.families.training import fit
from examples.models import spike

#: Exponent of an empty memory.
NOTHING = -16.0


def lif(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """``v += (x - v) / 2``, set to zero by a spike."""
    v = v + (x - v) / 2
    s = spike(v - 1)
    return s, v * (1 - s)


class TimeMix(nn.Module):
    """WKV of one token after the other."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.key, self.value, self.gate, self.out = (
            nn.Linear(size, size, bias=False) for _ in range(4)
        )
        self.mix = nn.Parameter(torch.rand(3, size))
        self.decay = nn.Parameter(torch.linspace(-3, 0, size))
        self.first = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        before, top, a, b = state
        k, v, r = (
            layer(x * mu + before * (1 - mu))
            for layer, mu in zip((self.key, self.value, self.gate), self.mix, strict=True)
        )
        k = torch.clamp(k, -8, 8)
        own = self.first + k
        peak = torch.maximum(top, own)
        old, new = torch.exp(top - peak), torch.exp(own - peak)
        # one of the weights is 1, and b is at least 1 from the first token on: so is the divisor
        y = (old * a + new * v) / torch.clamp(old * b + new, min=1.0)
        later = top - torch.exp(self.decay)
        peak = torch.maximum(later, k)
        old, new = torch.exp(later - peak), torch.exp(k - peak)
        state = (x, peak, old * a + new * v, old * b + new)
        return self.out(torch.sigmoid(r) * y), state


class ChannelMix(nn.Module):
    """Squared ReLU, gated."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.gate, self.mix = nn.Linear(size, size), nn.Parameter(torch.rand(2, size))

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        k = self.key(x * self.mix[0] + before * (1 - self.mix[0]))
        r = self.gate(x * self.mix[1] + before * (1 - self.mix[1]))
        y: Tensor = torch.sigmoid(r) * self.value(torch.relu(k) ** 2)
        return y


class SpikeGPT(nn.Module):
    """Tokens (B, T) to logits (B, T, symbols)."""

    def __init__(self, symbols: int, size: int, depth: int, steps: int) -> None:
        super().__init__()
        self.size, self.num_steps = size, steps
        self.embedding, self.head = nn.Embedding(symbols, size), nn.Linear(size, symbols)
        self.times = nn.ModuleList(TimeMix(size) for _ in range(depth))
        self.channels = nn.ModuleList(ChannelMix(size) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2 * depth + 1))

    def forward(self, tokens: Tensor) -> Tensor:
        zero = torch.zeros(tokens.size(0), self.size)
        memory = [(zero, zero + NOTHING, zero, zero) for _ in self.times]
        before, v1, v2 = ([zero for _ in self.times] for _ in range(3))
        logits = []
        for t in range(self.num_steps):
            x = self.embedding(tokens[:, t])
            for i in range(len(memory)):
                y, memory[i] = self.times[i](self.norms[2 * i](x), memory[i])
                s, v1[i] = lif(y, v1[i])
                x = x + s
                y = self.norms[2 * i + 1](x)
                s, v2[i] = lif(self.channels[i](y, before[i]), v2[i])
                before[i] = y
                x = x + s
            logits.append(self.head(self.norms[-1](x)))
        return torch.stack(logits, 1)


def bits_per_character(logits: Tensor, following: Tensor) -> float:
    """Mean cross-entropy in bits."""
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
    return loss.item() / 0.6931471805599453


def learn(net: nn.Module, split: Split) -> None:
    """Next characters."""
    fit(net, split, epochs=1, lr=5e-3, batch=50, loss=_loss)


def _loss(logits: Tensor, following: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())


SHAKESPEARE = Task(
    "tiny-shakespeare", datasets.shakespeare, learn, "bits/char", bits_per_character, 0.01
)

FAMILIES = [
    Family(
        "E SpikeGPT (RWKV), 2 blocks",
        lambda: SpikeGPT(65, 64, 2, 32),
        lambda: torch.randint(65, (BATCH, 32)),
        task=SHAKESPEARE,
        least=0.995,
        lava=False,
    ),
    Family(
        "E SpikeGPT (RWKV), small",
        lambda: SpikeGPT(10, 8, 1, STEPS),
        lambda: torch.randint(10, (BATCH, STEPS)),
        least=0.995,
    ),
]
