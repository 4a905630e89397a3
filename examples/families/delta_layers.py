"""Delta activation layers: only changes of a quantized activation are sent, and summed up again.

``d_t = Q(x_t) - Q(x_sent)`` where its magnitude reaches a threshold, else 0; the receiver keeps
``acc = acc + W d``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, STEPS, Family


class DeltaNet(nn.Module):
    """(B, T, F): a ReLU layer whose changes are sent to the next."""

    def __init__(self, inputs: int, size: int, step: float = 0.125, least: float = 0.25) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, size)
        self.second, self.head = nn.Linear(size, size, bias=False), nn.Linear(size, 4)
        self.step, self.least, self.size = step, least, size

    def forward(self, x: Tensor) -> Tensor:
        sent, acc = (torch.zeros(x.size(0), self.size) for _ in range(2))
        out = []
        for t in range(x.shape[1]):
            level = torch.clamp(torch.round(torch.relu(self.first(x[:, t])) / self.step), max=255)
            change = level - sent
            change = change * (torch.abs(change) >= self.least / self.step).float()
            sent = sent + change
            acc = acc + self.second(change * self.step)
            out.append(self.head(torch.relu(acc)))
        return torch.stack(out, 1)


FAMILIES = [
    Family(
        "E delta activation layers",
        lambda: DeltaNet(6, 10),
        lambda: torch.randn(BATCH, STEPS, 6).cumsum(1) / 3,
        STEPPED,
        exact=True,
    ),
]
