"""The LIF family with explicit state, two cells and a readout behind one unroll."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families import datasets
from examples.families.family import BATCH, STEPS, Family, Split, Task
from examples.families.training import fit
from examples.models import spike

States = tuple[Tensor, ...]


class Cell(nn.Module):
    """A cell with ``count`` states of its size that start at zero."""

    count = 1

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.w, self.size = nn.Linear(inputs, size), size
        self.beta = nn.Parameter(torch.rand(size) * 0.5 + 0.4)
        self.theta = nn.Parameter(torch.rand(size) * 0.5 + 0.5)
        self.a, self.b, self.c = (nn.Parameter(torch.rand(size)) for _ in range(3))
        self.more()

    def more(self) -> None:
        """Further parameters."""

    def start(self, x: Tensor) -> States:
        return (torch.zeros(x.shape[0], self.size),) * self.count


class LIF(Cell):
    """``v = beta v + W x``; theta is subtracted."""

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v = torch.clamp(self.beta, 0, 0.999) * state[0] + self.w(x)
        s = spike(v - self.theta)
        return s, (v - s * self.theta,)


class Adaptive(Cell):
    """The threshold rises by a decaying trace of the own spikes."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, a = state
        v = torch.sigmoid(self.beta) * v + self.w(x)
        s = spike(v - (self.theta + functional.softplus(self.a) * a))
        b = torch.clamp(self.b, 0, 0.99)
        return s, (v * (1 - s), b * a + (1 - b) * s)


class Recurrent(Cell):
    """The spikes of the step before arrive through weights of their own."""

    count = 2

    def more(self) -> None:
        self.rec = nn.Linear(self.size, self.size, bias=False)

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, before = state
        v = torch.clamp(self.beta, 0, 0.99) * v + self.w(x) + self.rec(before)
        s = spike(v - self.theta)
        return s, (v - self.theta * s.detach(), s)


class Synaptic(Cell):
    """Current-based synapse."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        i, v = state
        i = torch.exp(-1 / (functional.softplus(self.a) + 1)) * i + self.w(x)
        v = self.beta * v + i
        s = spike(v - self.theta)
        return s, (i, v - s * self.theta)


class AlphaSynapse(Cell):
    """Two cascaded currents: a post-synaptic potential with a rise."""

    count = 3

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        rise, i, v = state
        rise = self.a * rise + self.w(x)
        i = self.b * i + (1 - self.b) * rise
        v = self.beta * v + i
        s = spike(v - self.theta)
        return s, (rise, i, v * (1 - s))


class Refractory(Cell):
    """A synaptic current and an absolute refractory timer of two steps."""

    count = 3

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, i, timer = state
        i = torch.exp(-1 / (functional.softplus(self.a) + 1)) * i + self.w(x)
        awake = (timer <= 0).float()
        v = self.beta * v + i * awake
        s = spike(v - self.theta) * awake
        v = torch.where(s > 0, torch.zeros_like(v), v)
        return s, (v, i, torch.clamp(timer - 1, min=0) + s * 2)


class Delayed(Cell):
    """Learned output delays: a history of spikes, shifted each step and read by index."""

    depth = 4

    def start(self, x: Tensor) -> States:
        v = torch.zeros(x.shape[0], self.size)
        return v, torch.zeros(x.shape[0], self.size, self.depth)

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, history = state
        v = self.beta * v + self.w(x)
        s = spike(v - self.theta)
        history = torch.cat([s.unsqueeze(-1), history[..., :-1]], dim=-1)
        steps = torch.round(self.a * (self.depth - 1)).long()
        index = steps.view(1, -1, 1).expand(x.shape[0], -1, 1)
        return history.gather(-1, index).squeeze(-1), (v - s * self.theta, history)


class FixedDelay(Cell):
    """Every spike arrives three steps later, through a list."""

    count = 4

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, *queue = state
        v = self.beta * v + self.w(x)
        s = spike(v - self.theta)
        return queue[0], (v - s * self.theta, *queue[1:], s)


class TwoCompartments(Cell):
    """Dendrite and soma with coupling both ways."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        dendrite, soma = state
        i = self.w(x)
        dendrite = torch.sigmoid(self.a) * dendrite + 0.2 * torch.sigmoid(self.b) * soma + 0.5 * i
        soma = torch.sigmoid(self.beta) * soma + 0.3 * torch.sigmoid(self.c) * dendrite + 0.4 * i
        first, second = spike(dendrite - self.theta), spike(soma - self.theta)
        out = self.a * first + (1 - self.a) * second
        return out, (dendrite - self.a * first, soma - self.theta * second)


class Resonator(Cell):
    """Complex state as two real numbers; both parts fire."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        re, im = state
        decay = torch.exp(-functional.softplus(self.a))
        cos, sin = decay * torch.cos(3 * self.b), decay * torch.sin(3 * self.b)
        re, im = cos * re - sin * im + self.w(x), sin * re + cos * im
        first, second = spike(re - self.theta), spike(im - self.theta)
        return first + second, (re - first * self.theta, im - second * self.theta)


class ComplexNumber(Cell):
    """The same with a state of type complex64."""

    def more(self) -> None:
        self.pole = nn.Parameter(torch.complex(self.a.data * 0.8, self.b.data * 0.5))

    def start(self, x: Tensor) -> States:
        return (torch.zeros(x.shape[0], self.size, dtype=torch.complex64),)

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        z = self.pole * state[0] + self.w(x)
        s = spike(z.real - self.theta)
        return s, (z - s * self.theta,)


class Gated(Cell):
    """A decay that depends on the membrane through a sigmoid."""

    count = 2

    def forward(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        v, m = state
        v = self.beta * v + self.w(x)
        m = m * torch.sigmoid(self.a * v)
        s = spike(v - self.theta)
        m = m + s
        return s, (v - s * (self.theta + torch.sigmoid(m)), m)


class Network(nn.Module):
    """(B, T, 6) through two cells; the readout is averaged over time."""

    def __init__(self, cell: type[Cell], steps: int = STEPS) -> None:
        super().__init__()
        self.num_steps = steps
        self.first, self.second, self.out = cell(6, 10), cell(10, 10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        s1, s2, out = self.first.start(x), self.second.start(x), []
        for t in range(x.shape[1]):
            y, s1 = self.first(x[:, t], s1)
            y, s2 = self.second(y, s2)
            out.append(self.out(y))
        return torch.stack(out, 1).mean(1)


class ConvNet(nn.Module):
    """A convolution under the same unrolling: (B, T, 1, H, W)."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.num_steps, self.conv, self.out = steps, nn.Conv2d(1, 4, 3), nn.Linear(4 * 9, 3)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.size(0), 4, 6, 6), []
        for t in range(self.num_steps):
            v = 0.9 * v + self.conv(x[:, t])
            s = spike(v - 1)
            v = v - s
            out.append(self.out(self.pool(s).flatten(1)))
        return torch.stack(out, 1).mean(1)


class Spoken(nn.Module):
    """Spoken digits (B, 40, 20) through adaptive and recurrent neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.num_steps = 40
        self.first, self.second, self.out = Adaptive(20, 48), Recurrent(48, 48), nn.Linear(48, 10)
        with torch.no_grad():  # so that neurons fire before they have learned anything
            self.first.w.weight.mul_(4)
            self.second.w.weight.mul_(4)

    def forward(self, x: Tensor) -> Tensor:
        s1, s2, out = self.first.start(x), self.second.start(x), []
        for t in range(x.shape[1]):
            y, s1 = self.first(x[:, t], s1)
            y, s2 = self.second(y, s2)
            out.append(self.out(y))
        return torch.stack(out, 1).mean(1)


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=25, lr=1e-2)


def _network(cell: type[Cell], name: str) -> Family:
    return Family(f"D {name}", lambda: Network(cell), lambda: torch.randn(BATCH, STEPS, 6) * 2)


def _step(cell: type[Cell], name: str) -> Family:
    options = {"time_axis": 1, "step_module": True}
    state = (torch.zeros(10),) * cell.count
    return Family(
        f"D {name}, step by step",
        lambda: cell(6, 10),
        lambda: torch.randn(BATCH, STEPS, 6) * 2,
        {**options, "state": (state,)},
    )


FAMILIES = [
    Family(
        "D adaptive and recurrent, spoken",
        Spoken,
        lambda: torch.rand(BATCH, 40, 20),
        task=Task("spoken digits", datasets.spoken_digits, _learn),
        lava=False,
    ),
    _network(LIF, "LIF, learned theta and beta"),
    _network(Adaptive, "adaptive threshold"),
    _network(Recurrent, "recurrent"),
    _network(Synaptic, "synaptic current (CUBA)"),
    _network(AlphaSynapse, "alpha synapse"),
    _network(Refractory, "refractory timer"),
    _network(Delayed, "learned delays"),
    _network(FixedDelay, "delay of three steps"),
    _network(TwoCompartments, "two compartments"),
    _network(Resonator, "resonator"),
    _network(ComplexNumber, "complex state"),
    _network(Gated, "gated decay"),
    _step(LIF, "LIF"),
    _step(Recurrent, "recurrent"),
    _step(Refractory, "refractory timer"),
    Family("D convolution", ConvNet, lambda: torch.rand(BATCH, STEPS, 1, 8, 8)),
]
