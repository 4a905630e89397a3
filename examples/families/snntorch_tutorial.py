"""Networks of the snnTorch tutorials: ``Leaky`` in MLP and CNN; ``Synaptic`` and ``RLeaky``."""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from examples.families import datasets
from examples.families.family import BATCH, STEPPED, Family, Split, Task
from examples.families.training import fit


class Tutorial5(nn.Module):
    """An image, flattened, is the current of all steps; the readout counts spikes."""

    def __init__(self, inputs: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        self.fc1, self.lif1 = nn.Linear(inputs, hidden), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snn.Leaky(beta=0.95)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(membranes, 1).mean(1), torch.stack(spikes, 1)


class Tutorial6(nn.Module):
    """Convolutions with max-pooling of the currents before each ``Leaky``."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        self.conv1, self.lif1 = nn.Conv2d(1, 6, 3), snn.Leaky(beta=0.5)
        self.conv2, self.lif2 = nn.Conv2d(6, 8, 3), snn.Leaky(beta=0.5)
        self.fc, self.lif3 = nn.Linear(8 * 2 * 2, 10), snn.Leaky(beta=0.5)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = (lif.init_leaky() for lif in (self.lif1, self.lif2, self.lif3))
        spikes = []
        for _ in range(self.num_steps):
            spk, mem1 = self.lif1(self.pool(self.conv1(x)), mem1)
            spk, mem2 = self.lif2(self.pool(self.conv2(spk)), mem2)
            spk, mem3 = self.lif3(self.fc(spk.flatten(1)), mem3)
            spikes.append(spk)
        return torch.stack(spikes, 1).sum(1)


class Explicit(nn.Module):
    """Any neuron of the library over (B, T, F), with its states explicit."""

    def __init__(self, neuron: Any, states: int) -> None:
        super().__init__()
        self.fc, self.neuron, self.head = nn.Linear(6, 10), neuron, nn.Linear(10, 4)
        self.states = states

    def forward(self, x: Tensor) -> Tensor:
        state = (torch.zeros(x.size(0), 10),) * self.states
        out = []
        for t in range(x.shape[1]):
            s, *state = self.neuron(self.fc(x[:, t]), *state)
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=15, lr=1e-2)


def _sequence() -> Tensor:
    return torch.randn(BATCH, 12, 6) * 2


FAMILIES = [
    Family(
        "E snnTorch tutorial 5 (MLP)",
        lambda: Tutorial5(64, 64, 25),
        lambda: torch.rand(BATCH, 64),
        options={"static": True},
        task=Task("digits", datasets.digits_flat, _learn),
    ),
    Family(
        "E snnTorch tutorial 6 (CNN)",
        lambda: Tutorial6(12),
        lambda: torch.rand(BATCH, 1, 14, 14),
        options={"static": True},
        exact=True,
    ),
    Family(
        "E snnTorch Synaptic",
        lambda: Explicit(snn.Synaptic(alpha=0.9, beta=0.8), 2),
        _sequence,
        STEPPED,
    ),
    Family(
        "E snnTorch RLeaky",
        lambda: Explicit(snn.RLeaky(beta=0.9, linear_features=10), 2),
        _sequence,
        STEPPED,
    ),
]
