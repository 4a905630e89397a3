"""SpikingBrain in a tiny configuration: counts by a threshold of each token, linear attention.

A token's threshold is its mean magnitude divided by k; its signed counts ``round(x / threshold)``
go into the layers.  Gated linear attention keeps ``S = g S + k^T v`` and reads ``q S``; RMSNorm
before and SwiGLU behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families.family import BATCH, STEPS, Family


class Counted(nn.Module):
    """A linear layer of signed counts, of which the token's threshold is the unit."""

    def __init__(self, inputs: int, outputs: int, fineness: float = 2.0) -> None:
        super().__init__()
        self.linear, self.fineness = nn.Linear(inputs, outputs, bias=False), fineness
        self.most = 15  # four bits and a sign

    def forward(self, x: Tensor) -> Tensor:
        theta = x.abs().mean(-1, keepdim=True) / self.fineness + 1e-2
        counts = torch.clamp(torch.round(x / theta), -self.most, self.most)
        y: Tensor = self.linear(counts) * theta
        return y


class SpikingBrain(nn.Module):
    """Tokens (B, T) to logits (B, T, symbols), one token per step."""

    def __init__(self, symbols: int, size: int, steps: int) -> None:
        super().__init__()
        self.size, self.num_steps = size, steps
        self.embedding, self.head = nn.Embedding(symbols, size), nn.Linear(size, symbols)
        self.before, self.between = nn.RMSNorm(size, eps=1e-3), nn.RMSNorm(size, eps=1e-3)
        self.q, self.k, self.v, self.gate, self.out = (Counted(size, size) for _ in range(5))
        self.up, self.swish, self.down = (
            Counted(a, b) for a, b in ((size, 2 * size), (size, 2 * size), (2 * size, size))
        )

    def forward(self, tokens: Tensor) -> Tensor:
        memory, logits = torch.zeros(tokens.size(0), self.size, self.size), []
        for t in range(self.num_steps):
            x = self.embedding(tokens[:, t])
            y = self.before(x)
            q, k = torch.relu(self.q(y)), torch.relu(self.k(y))
            g = torch.clamp(torch.sigmoid(self.gate(y) + 2), max=0.96875)
            memory = g.unsqueeze(2).expand_as(memory) * memory
            memory = memory + k.unsqueeze(2) * self.v(y).unsqueeze(1)
            read = (q.unsqueeze(1) @ memory).squeeze(1) / self.size
            x = x + self.out(read)
            y = self.between(x)
            x = x + self.down(functional.silu(self.swish(y)) * self.up(y))
            logits.append(self.head(x))
        return torch.stack(logits, 1)


FAMILIES = [
    Family(
        "E SpikingBrain, tiny",
        lambda: SpikingBrain(10, 8, STEPS),
        lambda: torch.randint(10, (BATCH, STEPS)),
        gain=0.8,
    ),
]
