"""ANN-to-SNN conversion: a trained ReLU network becomes IF neurons with thresholds per channel.

The threshold of a channel is the largest activation that calibration data give it.  Membranes
start at half a threshold, a spike (``>``) subtracts it and carries its height, and the readout may
begin after some steps (delayed evaluation).  IF neurons do not leak, so nothing is rounded.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, Family, Split, Task
from examples.families.training import fit


class ReLUNet(nn.Module):
    """The network that is trained, as an ANN."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        y: Tensor = self.layers[-1](x)
        return y


class Converted(nn.Module):
    """IF neurons in the place of ReLU; steps before ``begin`` are not read out."""

    def __init__(self, ann: ReLUNet, steps: int, begin: int = 0) -> None:
        super().__init__()
        self.ann, self.num_steps = ann, steps
        late = (torch.arange(steps) >= begin).float()
        self.register_buffer("late", late / late.sum())
        for i, layer in enumerate(ann.layers[:-1]):
            self.register_buffer(f"theta{i}", torch.ones(layer.out_features))

    def calibrate(self, x: Tensor) -> None:
        """Set the thresholds to the largest activations."""
        with torch.no_grad():
            for i, layer in enumerate(self.ann.layers[:-1]):
                x = torch.relu(layer(x))
                setattr(self, f"theta{i}", x.amax(0).clamp(min=1e-2))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            y: Tensor = self.ann(x)
            return y
        hidden, last = self.ann.layers[:-1], self.ann.layers[-1]
        thetas = [getattr(self, f"theta{i}") for i in range(len(hidden))]
        current = hidden[0](x)
        membranes = [torch.zeros(len(x), len(theta)) + theta / 2 for theta in thetas]
        scores = []
        for t in range(self.num_steps):
            s = x
            for i, theta in enumerate(thetas):
                membranes[i] = membranes[i] + (current if i == 0 else hidden[i](s))
                s = (membranes[i] > theta).float() * theta
                membranes[i] = membranes[i] - s
            scores.append(last(s) * self.late[t])
        return torch.stack(scores).sum(0)


def learn(net: nn.Module, split: Split) -> None:
    """Train as an ANN, then calibrate."""
    assert isinstance(net, Converted), "networks of this file"
    fit(net, split, epochs=20, lr=1e-2)
    net.calibrate(split[0])


_DIGITS = Task("digits", datasets.digits_flat, learn, worse=1.0)

FAMILIES = [
    Family(
        "E ANN-to-SNN",
        lambda: Converted(ReLUNet(64, 48, 40, 10), 32),
        lambda: torch.rand(BATCH, 64),
        options={"static": True},
        task=_DIGITS,
        exact=True,
    ),
    Family(
        "E ANN-to-SNN, delayed evaluation",
        lambda: Converted(ReLUNet(64, 48, 40, 10), 32, 8),
        lambda: torch.rand(BATCH, 64),
        options={"static": True},
        exact=True,
    ),
]
