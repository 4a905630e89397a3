"""LIF with a learned leak, built on SpikingJelly's ``ParametricLIFNode``."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

from examples.families.family import BATCH, Family


class Parametric(nn.Module):
    """(B, F) repeated T times; rates of the output neurons."""

    def __init__(self, inputs: int, size: int, steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        self.fc1, self.lif1 = nn.Linear(inputs, size), neuron.ParametricLIFNode(init_tau=3.0)
        self.fc2, self.lif2 = nn.Linear(size, 5), neuron.ParametricLIFNode(init_tau=1.5)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        return torch.stack(
            [self.lif2(self.fc2(self.lif1(self.fc1(x)))) for _ in range(self.num_steps)]
        ).mean(0)


FAMILIES = [
    Family(
        "C SpikingJelly ParametricLIF",
        lambda: Parametric(8, 12, 8),
        lambda: torch.randn(BATCH, 8),
        {"static": True},
    ),
]
