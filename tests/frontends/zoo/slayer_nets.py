"""Neurons with the integer states of lava-dl's SLAYER, written from their equations.

States are integers in units of ``1 / scale`` (SLAYER: 64 for weights, 2**12 for states); decays
are 12-bit integers, products with them are shifted toward zero:

    ``decayed(v, d) = sgn(v) * (|v| * (4096 - d) >> 12)``

CUBA    ``u' = decayed(u, du) + x``, ``v' = decayed(v, dv) + u'``, fire at ``v' >= theta``, then
        ``v = 0``
ALIF    the same without reset; threshold ``th`` and refractory state ``r`` decay toward their rest
        values, fire at ``v' - r >= th``, then ``r += 2 th`` and ``th += step``
RF      a rotation of (re, im) by integer sine and cosine; fires where ``im`` crosses zero upward
        with ``re`` at or above the threshold
RF-IZ   the same rotation; fires at ``im >= theta``, then ``re = 0`` and ``im = theta - 1``
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import Case, loud, sequence

#: Scale of the states and bits of a decay.
SCALE, BITS = 1 << 12, 12

SIZE = 6


def toward_zero(x: Tensor) -> Tensor:
    """An integer shift by ``BITS`` that rounds toward zero."""
    sign = 2 * (x > 0).to(torch.int64) - 1
    return sign * ((sign * x) >> BITS)


def fixed(x: Tensor) -> Tensor:
    """Real input as an integer, rounded toward zero."""
    return (SCALE * x).to(torch.int64)


class Neuron(nn.Module):
    """(T, B, N) currents to spikes; decays are learned, in units of ``2**-BITS``."""

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        self.theta = int(threshold * SCALE)
        self.decays = nn.Parameter(torch.rand(4, SIZE) * 1000 + 300)

    def kept(self, index: int) -> Tensor:
        """What a decay leaves, as an integer."""
        return (1 << BITS) - torch.round(self.decays[index]).to(torch.int64)

    def begin(self, x: Tensor) -> tuple[Tensor, ...]:
        """Initial states."""
        return tuple(torch.zeros(x.shape[0], SIZE, dtype=torch.int64) for _ in range(4))

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Spikes and new states."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        state, out = self.begin(x[0]), []
        for t in range(x.shape[0]):
            s, state = self.step(x[t], *state)
            out.append(s.to(x.dtype))
        return torch.stack(out)


class Cuba(Neuron):
    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        u, v, *rest = state
        u = toward_zero(u * self.kept(0)) + fixed(x)
        v = toward_zero(v * self.kept(1)) + u
        s = v >= self.theta
        return s, (u, v * (s.to(torch.int64) < 0.5), *rest)


class GradedCuba(Neuron):
    """Spikes carry the membrane."""

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        u, v, *rest = state
        u = toward_zero(u * self.kept(0)) + fixed(x)
        v = toward_zero(v * self.kept(1)) + u
        s = v >= self.theta
        return (v * s) / SCALE, (u, v * ~s, *rest)


class Alif(Neuron):
    STEP = SCALE // 4

    def begin(self, x: Tensor) -> tuple[Tensor, ...]:
        u, v, r, th = super().begin(x)
        return u, v, r, th + self.theta

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        u, v, r, th = state
        u = toward_zero(u * self.kept(0)) + fixed(x)
        v = toward_zero(v * self.kept(1)) + u
        r = toward_zero(r * self.kept(2))
        th = toward_zero((th - self.theta) * self.kept(3)) + self.theta
        s = v >= th + r
        return s, (u, v, r + 2 * th * s, th + self.STEP * s)


class Resonator(Neuron):
    """Rotation by the angle and length that four decays stand for."""

    def rotated(self, x: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
        """Both parts after one step."""
        size = self.kept(0).double() * 0.98
        angle = self.decays[1].double() / 1500
        cos = torch.round(size * torch.cos(angle)).to(torch.int64)
        sin = torch.round(size * torch.sin(angle)).to(torch.int64)
        new = toward_zero(cos * re) - toward_zero(sin * im) + fixed(x)
        return new, toward_zero(sin * re) + toward_zero(cos * im)


class Rf(Resonator):
    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        re, im, *rest = state
        new, turned = self.rotated(x, re, im)
        s = (new >= self.theta) & (im < 0) & (turned >= 0)
        return s, (new, turned, *rest)


class RfIzhikevich(Resonator):
    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        re, im, *rest = state
        re, im = self.rotated(x, re, im)
        s = im >= self.theta
        return s, (re * ~s, torch.where(s, self.theta - 1, im), *rest)


class Network(nn.Module):
    """SLAYER's weights: 8 bits, in even multiples of 1/64."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.fc1, self.neuron, self.fc2 = nn.Linear(5, SIZE, bias=False), neuron, nn.Linear(SIZE, 3)
        with torch.no_grad():
            w = self.fc1.weight
            w.copy_((torch.round(w * 3 * 32) / 32).clamp(-256 / 64, 254 / 64))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.neuron(self.fc1(x)))
        return y


def _case(name: str, kind: type[Neuron], threshold: float) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        spikes = (sequence(5, axis=0) > 0).float()
        return loud(Network(kind(threshold)), 1.0), spikes

    return Case(f"slayer/{name}", make, {"time_axis": 0})


CASES = [
    _case("CUBA", Cuba, 1.0),
    _case("CUBA graded", GradedCuba, 1.0),
    _case("ALIF", Alif, 0.5),
    _case("RF", Rf, 0.2),
    _case("RF-IZ", RfIzhikevich, 0.5),
]
