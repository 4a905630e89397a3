"""The neurons of the STEP platform, each in two layers.

A neuron is a step ``(x, states) -> (spikes, states)``; PSN is no recursion but a fixed matrix over
all steps at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, Family
from examples.models import spike

States = tuple[Tensor, ...]


class Neurons(nn.Module):
    """Parameters of a layer of neurons, and its number of states."""

    count = 1

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w, self.k = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(1.2))
        self.gates = nn.Parameter(torch.randn(4, size))


class IF(Neurons):
    """No leak."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = state[0] + x
        s = spike(v - 1)
        return s, (v - s,)


class LIF(Neurons):
    """tau = 2, which decays the input."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = state[0] + (x - state[0]) / 2
        s = spike(v - 1)
        return s, (v * (1 - s),)


class PLIF(Neurons):
    """A learned time constant per layer."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = state[0] + (x - state[0]) * torch.sigmoid(self.w)
        s = spike(v - 1)
        return s, (v * (1 - s),)


class KLIF(Neurons):
    """The membrane is scaled by k and rectified before it fires."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = state[0] + (x - state[0]) / 2
        v = torch.relu(self.k * v)
        s = spike(v - 1)
        return s, (v - s,)


class GLIF(Neurons):
    """Learned gates choose between kinds of leak, of input and of reset."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        a, b, c, d = torch.sigmoid(self.gates)
        v = state[0]
        v = (1 - a * (1 - 0.5)) * v - (1 - a) * 0.05 + (1 - b * 0.3) * x
        s = spike(v - 1)
        v = v - (1 - a) * (1 - c) * s - c * 0.5 * v * s
        return s, (v * (1 - d * s * 0.1),)


class CLIF(Neurons):
    """A complementary potential that remembers firing and deepens the reset."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        u, m = state
        u = 0.5 * u + x
        s = spike(u - 1)
        m = m * torch.sigmoid(0.5 * u) + s
        return s, (u - s * (1 + torch.sigmoid(m)), m)


class EIF(Neurons):
    """Leak and an exponential upstroke."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = state[0]
        v = v + (x - v + 0.5 * torch.exp(torch.clamp(v - 0.8, max=1.0))) / 2
        s = spike(v - 1)
        return s, (v * (1 - s),)


class ILIF(Neurons):
    """Counts of 0 to 4; what was not counted stays."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = 0.25 * state[0] + x
        y = torch.clamp(torch.round(v), 0, 4)
        return y, (v - y,)


class Chain(nn.Module):
    """(B, T, F) through two layers; scores are means over time."""

    def __init__(self, neurons: type[Neurons], size: int = 10) -> None:
        super().__init__()
        self.first, self.second, self.head = (
            nn.Linear(6, size),
            nn.Linear(size, size),
            nn.Linear(size, 4),
        )
        self.neurons1, self.neurons2, self.size = neurons(size), neurons(size), size

    def forward(self, x: Tensor) -> Tensor:
        zero = torch.zeros(x.size(0), self.size)
        a, b = (zero,) * self.neurons1.count, (zero,) * self.neurons2.count
        out = []
        for t in range(x.shape[1]):
            s, a = self.neurons1(self.first(x[:, t]), a)
            s, b = self.neurons2(self.second(s), b)
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


class PSN(nn.Module):
    """Parallel spiking neurons: ``H = W X`` over all T steps, a threshold per step."""

    def __init__(self, size: int, steps: int) -> None:
        super().__init__()
        self.first, self.second, self.head = (
            nn.Linear(6, size),
            nn.Linear(size, size),
            nn.Linear(size, 4),
        )
        mask = torch.tril(torch.ones(steps, steps))
        self.times = nn.ParameterList(torch.rand(steps, steps) * mask for _ in range(2))
        self.bias = nn.Parameter(torch.full((steps, 1), -1.0))

    def forward(self, x: Tensor) -> Tensor:
        for layer, time in zip((self.first, self.second), self.times, strict=True):
            current = layer(x).transpose(0, 1)
            h = torch.addmm(self.bias, time, current.flatten(1)).view(current.shape)
            x = spike(h).transpose(0, 1)
        y: Tensor = self.head(x).mean(1)
        return y


def _row(neurons: type[Neurons], exact: bool = False) -> Family:
    return Family(
        f"E STEP zoo: {neurons.__name__}",
        lambda: Chain(neurons),
        lambda: torch.randn(BATCH, 12, 6) * 2,
        STEPPED,
        exact=exact,
    )


FAMILIES = [
    *(_row(n, True) for n in (IF, LIF, ILIF)),
    *(_row(n) for n in (PLIF, KLIF, GLIF, CLIF, EIF)),
    Family("E STEP zoo: PSN", lambda: PSN(10, 7), lambda: torch.randn(BATCH, 7, 6) * 2, STEPPED),
]
