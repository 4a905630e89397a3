"""Encoders inside the network: rate, latency, phase, population and delta, before one LIF layer.

The rate code compares with a fixed table of thresholds, one for each step and value: its spikes
are the same on every machine.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPS, Family
from examples.models import spike


class Encoded(nn.Module, abc.ABC):
    """(B, F) through an encoder over T steps into LIF neurons; scores are means over time."""

    def __init__(self, inputs: int, wide: int = 1) -> None:
        super().__init__()
        self.fc, self.head, self.num_steps = nn.Linear(inputs * wide, 10), nn.Linear(10, 4), STEPS
        self.dice = nn.Parameter(torch.rand(STEPS, inputs), requires_grad=False)
        self.places = nn.Parameter(torch.linspace(0, 1, 4), requires_grad=False)

    @abc.abstractmethod
    def code(self, x: Tensor, t: int) -> Tensor:
        """Spikes of one step."""

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.size(0), 10), []
        for t in range(self.num_steps):
            v = 0.75 * v + self.fc(self.code(x, t))
            s = spike(v - 1)
            v = v - s
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


class Rate(Encoded):
    """A spike where the value is above the step's threshold."""

    def code(self, x: Tensor, t: int) -> Tensor:
        return spike(x - self.dice[t])


class LatencyCode(Encoded):
    """One spike, the earlier the larger the value."""

    def code(self, x: Tensor, t: int) -> Tensor:
        return (torch.round((1 - x) * (STEPS - 1)) == t).float()


class Phase(nn.Module):
    """The bits of a value in [0, 1), the highest first; a step's spikes weigh half the last's."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.fc, self.head, self.num_steps = nn.Linear(inputs, 10), nn.Linear(10, 4), STEPS
        self.weight = nn.Parameter(0.5 ** torch.arange(1.0, STEPS + 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        sent, v, out = torch.zeros_like(x), torch.zeros(x.size(0), 10), []
        for t in range(self.num_steps):
            bit = spike(x - sent - self.weight[t])
            sent = sent + bit * self.weight[t]
            v = 0.75 * v + self.fc(bit * self.weight[t])
            s = spike(v - 1)
            v = v - s
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


class Population(Encoded):
    """Four receptive fields per value, rate-coded."""

    def code(self, x: Tensor, t: int) -> Tensor:
        field = torch.exp(-8 * (x.unsqueeze(-1) - self.places) ** 2)
        return spike(field - self.dice[t].unsqueeze(-1)).flatten(1)


class Delta(nn.Module):
    """(B, T, F): +1 or -1 where the value left what was sent by a step."""

    def __init__(self, inputs: int, step: float = 0.25) -> None:
        super().__init__()
        self.fc, self.head, self.step = nn.Linear(inputs, 10), nn.Linear(10, 4), step

    def forward(self, x: Tensor) -> Tensor:
        sent, v, out = torch.zeros_like(x[:, 0]), torch.zeros(x.size(0), 10), []
        for t in range(x.shape[1]):
            change = x[:, t] - sent
            up, down = spike(change - self.step), spike(-change - self.step)
            sent = sent + (up - down) * self.step
            v = 0.75 * v + self.fc(up - down)
            s = spike(v - 1)
            v = v - s
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


def _static(kind: type[nn.Module], name: str, *wide: int) -> Family:
    return Family(
        f"D encoder: {name}",
        lambda: kind(6, *wide),
        lambda: torch.rand(BATCH, 6),
        {"static": True},
        exact=True,
    )


FAMILIES = [
    _static(Rate, "rate"),
    _static(LatencyCode, "latency"),
    _static(Phase, "phase"),
    _static(Population, "population", 4),
    Family(
        "D encoder: delta",
        lambda: Delta(6),
        lambda: torch.randn(BATCH, STEPS, 6).cumsum(1) / 3,
        {"time_axis": 1},
    ),
]
