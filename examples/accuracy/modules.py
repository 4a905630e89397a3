"""The networks that no family of ``examples.families`` has in this form."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families.adaptive_spiking import ASN, ASNSNN
from examples.models import LIF, spike


class DenseNet(nn.Module):
    """Layers of LIF neurons with a learned leak; the score is the mean over time."""

    def __init__(self, sizes: tuple[int, ...], steps: int) -> None:
        super().__init__()
        self.num_steps = steps
        pairs = list(itertools.pairwise(sizes))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.neurons = nn.ModuleList(LIF(b) for _, b in pairs[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes) of (N, features)."""
        current = self.layers[0](x.flatten(1))
        states: list[Tensor | None] = [None] * len(self.neurons)
        scores = []
        for _ in range(self.num_steps):
            arriving = current
            for i, neuron in enumerate(self.neurons):
                spikes, states[i] = neuron(arriving, states[i])
                arriving = self.layers[i + 1](spikes)
            scores.append(arriving)
        return torch.stack(scores).mean(0)


class ConvNet(nn.Module):
    """Two convolutions with BatchNorm and pools, and a readout."""

    def __init__(self, steps: int = 8) -> None:
        super().__init__()
        self.num_steps = steps
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(16)
        self.lif1, self.lif2 = LIF(8), LIF(16)
        self.pool, self.readout = nn.AvgPool2d(2), nn.Linear(16 * 7 * 7, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 10) of images (N, 1, 28, 28)."""
        current = self.bn1(self.conv1(image))
        v1 = v2 = None
        scores = []
        for _ in range(self.num_steps):
            s1, v1 = self.lif1(current, v1)
            s2, v2 = self.lif2(self.bn2(self.conv2(s1)), v2)
            scores.append(self.readout(self.pool(s2).flatten(1)))
        return torch.stack(scores).mean(0)


class RecurrentALIF(nn.Module):
    """One layer whose spikes come back a step later and raise its thresholds for a while.

    ``v = beta v + W x + R s``; a spike where ``v >= theta + softplus(k) a``, which costs theta;
    ``a = rho a + s``.  The score is the sum over time.
    """

    def __init__(self, inputs: int, size: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.num_steps, self.size = steps, size
        self.w, self.r = nn.Linear(inputs, size), nn.Linear(size, size, bias=False)
        self.readout = nn.Linear(size, outputs)
        first = (2.0, 2.5, 0.2, 1.0)
        self.beta, self.rho, self.k, self.theta = (
            nn.Parameter(torch.full((size,), value)) for value in first
        )
        nn.init.kaiming_uniform_(self.w.weight, a=0.5)
        nn.init.normal_(self.r.weight, 0, 0.05)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, outputs) of (N, T, inputs)."""
        v = a = s = torch.zeros(x.shape[0], self.size)
        beta, rho = torch.sigmoid(self.beta), torch.sigmoid(self.rho)
        scores = []
        for t in range(self.num_steps):
            v = beta * v + self.w(x[:, t]) + self.r(s)
            s = spike(v - (self.theta + functional.softplus(self.k) * a))
            v, a = v - s * self.theta, rho * a + s
            scores.append(self.readout(s))
        return torch.stack(scores, 1).sum(1)


class SteadyASN(ASNSNN):
    """Layers of ASN or NASN that fire before they have learned anything.

    Args:
        cell: Of every layer.
        sizes: Inputs and neurons.
        outputs: Of the readout.
        steps: Of the input.
        mean: Whether the readout sees the mean of membranes over time, not the last ones.
    """

    def __init__(
        self, cell: type[ASN], sizes: list[int], outputs: int, steps: int, mean: bool = False
    ) -> None:
        super().__init__(cell, sizes, outputs, steps)
        self.mean = mean
        for layer in self.layers:
            assert isinstance(layer, ASN), "made by the class above"
            nn.init.kaiming_uniform_(layer.proj.weight, a=0.5)
            nn.init.constant_(layer.tau, 2.0)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override] # the scores alone
        """Scores (B, outputs)."""
        states = [torch.zeros(x.size(0), m.size) for m in self.layers]
        last = []
        for t in range(self.num_steps):
            s = x[:, t, :]
            for i, layer in enumerate(self.layers):
                s, states[i] = layer(s, states[i])
            last.append(states[-1])
        score: Tensor = self.readout(torch.stack(last, 1).mean(1) if self.mean else last[-1])
        return score
