"""Loops that are easy to get wrong: odd first steps, sizes that coincide, T in the code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.frontends.zoo.adaptive import ASN, ASNSNN
from tests.frontends.zoo.attention import Rates
from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence, spike
from tests.frontends.zoo.loops import Loop, fire, lif


def no_first_state(net: Any, x: Tensor) -> Tensor:
    """The membrane is None before the first step, and the input after it."""
    v, out = None, []
    for t in range(x.shape[1]):
        i = net.fc(x[:, t])
        v, s = fire(i if v is None else 0.8 * v + i)
        out.append(s)
    y: Tensor = net.out(torch.stack(out, 1).mean(1))
    return y


def running_sum(net: Any, x: Tensor) -> Tensor:
    v, total = net.zeros(x), 0.0
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        total = total + s
    y: Tensor = net.out(total / x.shape[1])
    return y


def late_sum(net: Any, x: Tensor) -> Tensor:
    """A list that is filled from step 2 on."""
    v, kept = net.zeros(x), []
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        if t >= 2:
            kept.append(s)
    return torch.stack(kept).mean(0)


def coinciding_sizes(net: Any, x: Tensor) -> Tensor:
    """Batch T + 1, features T + 1, T neurons, and a layer over all steps at once."""
    v, out = torch.zeros(x.shape[0], STEPS), []
    currents = net.wide(x)
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + currents[:, t])
        out.append(s)
    y: Tensor = net.narrow(torch.stack(out, 1)).mean(1)
    return y


def weighted_readout(net: Any, x: Tensor) -> Tensor:
    """A learned weight for every step."""
    return (lif(net, x) * net.weights[:, None]).sum(1)


def contracted_readout(net: Any, x: Tensor) -> Tensor:
    return torch.einsum("btn,t->bn", lif(net, x), net.weights)


def buffer_state(net: Any, x: Tensor) -> Tensor:
    """The membrane is a registered buffer, reset by the first line."""
    net.v = net.start.expand(x.shape[0], -1).clone()
    out = []
    for t in range(x.shape[1]):
        net.v.mul_(0.8).add_(net.fc(x[:, t]))
        s = spike(net.v - 1)
        net.v.sub_(s)
        out.append(s)
    return torch.stack(out, 1)


def masked_reset(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), []
    for t in range(x.shape[1]):
        v = 0.8 * v + net.fc(x[:, t])
        s = spike(v - 1)
        v[s > 0] = 0.0
        out.append(s)
    return torch.stack(out, 1)


def preallocated(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), torch.zeros(x.shape[0], x.shape[1], 8)
    for t in range(x.shape[1]):
        v, out[:, t] = fire(0.8 * v + net.fc(x[:, t]))
    return out.mean(1)


def time_first(net: Any, x: Tensor) -> Tensor:
    return lif(net, x.transpose(0, 1)).transpose(0, 1)


def joined_axes(net: Any, x: Tensor) -> Tensor:
    """(B*T, …), sample by sample."""
    y = x.unflatten(0, (-1, net.num_steps))
    return lif(net, y).flatten(0, 1)


class FixedAttention(nn.Module):
    """Rates over a number of steps that is written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = Rates(12)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.rates(x, 6)


class FixedAdaptive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = ASNSNN(ASN, [6, 8, 8], 3, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)[0]
        return y


class MiniSpikformer(nn.Module):
    """(T, B, tokens, channels): attention of spikes, with T folded into the batch."""

    def __init__(self, channels: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.heads = heads
        for name in "qkvo":
            setattr(self, name, nn.Linear(channels, channels))
            setattr(self, f"{name}_norm", nn.BatchNorm1d(channels))
        self.head = nn.Linear(channels, 5)

    def neurons(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x[0]), []
        for i in x:
            v = v + (i - v) / 2
            s = spike(v - 0.5)
            v = v * (1 - s)
            out.append(s)
        return torch.stack(out)

    def branch(self, name: str, x: Tensor) -> Tensor:
        y = getattr(self, name)(x.flatten(0, 1)).transpose(-1, -2)
        y = getattr(self, f"{name}_norm")(y).transpose(-1, -2)
        return self.neurons(y.reshape(x.shape).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        t, b, n, c = x.shape
        q, k, v = (
            self.branch(name, x).reshape(t, b, n, self.heads, -1).transpose(2, 3) for name in "qkv"
        )
        y = (q @ k.transpose(-2, -1)) * 0.25 @ v
        y = self.neurons(y.transpose(2, 3).reshape(t, b, n, c))
        y = x + self.branch("o", y)
        out: Tensor = self.head(functional.relu(y).mean(2)).mean(0)
        return out


def _case(name: str, body: Any, example: Any = None, **parts: Any) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        built = {k: v() for k, v in parts.items()}
        return loud(Loop(body, **built)), sequence(6) if example is None else example()

    return Case(f"adversarial/{name}", make, {"time_axis": 1})


def _weights() -> nn.Parameter:
    return nn.Parameter(torch.rand(STEPS) + 0.1)


def _joined() -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Loop(joined_axes)), sequence(6).flatten(0, 1)

    return Case("adversarial/joined axes", make, {"time_axis": 0, "batch_axis": 0, "steps": STEPS})


CASES = [
    _case("no first state", no_first_state),
    _case("running sum over the steps", running_sum),
    _case("list filled late", late_sum),
    _case(
        "sizes that coincide",
        coinciding_sizes,
        lambda: torch.randn(STEPS + 1, STEPS, STEPS + 1) * 2,
        wide=lambda: nn.Linear(STEPS + 1, STEPS),
        narrow=lambda: nn.Linear(STEPS, STEPS + 1),
    ),
    _case("weighted readout", weighted_readout, weights=_weights),
    _case("contracted readout", contracted_readout, weights=_weights),
    _case("state in a buffer", buffer_state, start=lambda: torch.rand(8), v=lambda: torch.rand(8)),
    _case("masked reset", masked_reset),
    _case("preallocated result", preallocated),
    Case(
        "adversarial/time first",
        lambda: (loud(Loop(time_first)), sequence(6, axis=0)),
        {"time_axis": 0},
    ),
    _joined(),
    Case(
        "adversarial/fixed attention",
        lambda: (loud(FixedAttention()), torch.randn(BATCH, 3, 12) * 2),
        {"steps": 6, "static": True},
    ),
    Case(
        "adversarial/fixed adaptive",
        lambda: (loud(FixedAdaptive()), torch.randn(BATCH, 5, 6) * 2),
        {"time_axis": 1},
    ),
    Case(
        "adversarial/mini Spikformer",
        lambda: (loud(MiniSpikformer()), spike(torch.randn(STEPS, BATCH, 7, 12))),
        {"time_axis": 0},
    ),
]
