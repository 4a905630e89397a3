"""Cells of the LIF family with explicit state: ``(x, states) -> (spikes, states)``, one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        decay = torch.exp(-functional.softplus(self.a - 2))
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
