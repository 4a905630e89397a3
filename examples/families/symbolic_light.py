"""SymbolicLight: two paths gated by spikes, a decaying sum and attention in a local window.

From its description, as no code is public: tokens drive LIF neurons; the values of those that
fire are summed with exponential decay, and are attended to by softmax over the last tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPS, Family
from examples.models import spike


class SymbolicLight(nn.Module):
    """Tokens (B, T) to logits (B, T, symbols), one token per step."""

    def __init__(self, symbols: int, size: int, window: int, steps: int) -> None:
        super().__init__()
        self.size, self.window, self.num_steps = size, window, steps
        self.embedding, self.head = nn.Embedding(symbols, size), nn.Linear(size, symbols)
        self.drive, self.q, self.k, self.v = (nn.Linear(size, size) for _ in range(4))
        self.mix, self.out = nn.Linear(2 * size, size), nn.Linear(size, size)
        self.decay = nn.Parameter(torch.linspace(0, 3, size))

    def forward(self, tokens: Tensor) -> Tensor:
        zero = torch.zeros(tokens.size(0), self.size)
        u, total = zero, zero
        k = v = torch.zeros(tokens.size(0), self.window, self.size)
        logits = []
        decay = torch.sigmoid(self.decay)
        for t in range(self.num_steps):
            x = self.embedding(tokens[:, t])
            u = 0.5 * u + self.drive(x)
            s = spike(u - 1)
            u = u * (1 - s)
            gated = s * self.v(x)
            total = decay * total + (1 - decay) * gated
            k = torch.cat([k[:, 1:], self.k(x).unsqueeze(1)], 1)
            v = torch.cat([v[:, 1:], gated.unsqueeze(1)], 1)
            scores = (self.q(x).unsqueeze(1) @ k.transpose(1, 2)) / math.sqrt(self.size)
            local = (scores.softmax(-1) @ v).squeeze(1)
            x = x + self.out(self.mix(torch.cat([total, local], -1)))
            logits.append(self.head(x))
        return torch.stack(logits, 1)


FAMILIES = [
    Family(
        "E SymbolicLight",
        lambda: SymbolicLight(10, 8, 3, STEPS),
        lambda: torch.randint(10, (BATCH, STEPS)),
    ),
]
