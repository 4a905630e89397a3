"""Dynamic confidence: a sample is done at the first step whose confidence is high enough.

The scores of a step are the running mean of the readout, its confidence the largest softmax.  At
fixed T the network keeps the scores of the step at which each sample is done.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.training import fit
from examples.models import spike


class EarlyExit(nn.Module):
    """(B, F) to the scores at the exit (B, classes) and the number of steps used (B, 1)."""

    def __init__(self, inputs: int, size: int, classes: int, steps: int, margin: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, size), nn.Linear(size, classes)
        self.num_steps, self.margin = steps, margin

    def confident(self, total: Tensor) -> Tensor:
        """Whether to leave: by the margin of the best two sums, or by softmax."""
        if self.margin:
            behind = total.amax(-1, keepdim=True) - total
            return ((behind < 4.0).float().sum(-1, keepdim=True) <= 1).float()
        return (total.softmax(-1).amax(-1, keepdim=True) >= 0.75).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        current = self.first(x)
        v = torch.zeros_like(current)
        total = kept = torch.zeros(len(x), self.second.out_features)
        going, used = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        for _ in range(self.num_steps):
            v = 0.75 * v + current
            s = spike(v - 1)
            v = v - s
            total = total + self.second(s)
            kept = going * total + (1 - going) * kept
            used = used + going
            going = going * (1 - self.confident(total))
        return (total if self.training else kept), used


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=10, lr=1e-2)


_DIGITS = Task("digits", datasets.digits_flat, _learn, worse=1.0)

FAMILIES = [
    Family(
        "E dynamic confidence (softmax)",
        lambda: EarlyExit(64, 32, 10, 12, False),
        lambda: torch.rand(BATCH, 64),
        options={"static": True},
        task=_DIGITS,
    ),
    Family(
        "E dynamic confidence (margin)",
        lambda: EarlyExit(64, 32, 10, 12, True),
        lambda: torch.rand(BATCH, 64),
        options={"static": True},
    ),
]
