"""Adaptive spiking neurons (arXiv:2604.12365): ``v += (W x + b - v) / (softplus(tau) + 1)``.

A spike where ``v >= theta`` sets v to zero.  NASN then normalizes the membranes of the layer; the
spike is that of the membrane before.  The readout sees the membranes after the last step.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.families import datasets
from examples.families.family import BATCH, STEPPED, STEPS, Family, Split, Task
from examples.families.spike_gpt import SHAKESPEARE
from examples.families.training import fit
from examples.models import spike


class ASN(nn.Module):
    """One layer, one step: input and membrane to spikes and membrane."""

    def __init__(self, inputs: int, size: int, theta: float = 1.0) -> None:
        super().__init__()
        self.proj, self.tau = nn.Linear(inputs, size), nn.Parameter(torch.randn(size) + 1)
        self.size, self.theta = size, theta

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        v = v + (self.proj(x) - v) / (functional.softplus(self.tau) + 1.0)
        s = spike(v - self.theta)
        return s, v * (1 - s)


class NormalizedASN(ASN):
    """The spike uses the membrane before the normalization over the layer."""

    def __init__(self, inputs: int, size: int, theta: float = 1.0) -> None:
        super().__init__(inputs, size, theta)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        s, v = super().forward(x, v)
        return s, self.norm(v)


class ASNSNN(nn.Module):
    """Layers over the steps of (B, T, F); returns the readout and the spikes of the last layer."""

    def __init__(self, cell: type[ASN], sizes: list[int], outputs: int, steps: int) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(cell(a, b) for a, b in pairs)
        self.readout, self.num_steps = nn.Linear(sizes[-1], outputs), steps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Readout (B, outputs) and spikes (B, T, size)."""
        states = [torch.zeros(x.size(0), m.size, device=x.device) for m in self.layers]
        spikes = []
        for t in range(self.num_steps):
            s = x[:, t, :]
            for i, layer in enumerate(self.layers):
                s, states[i] = layer(s, states[i])
            spikes.append(s)
        return self.readout(states[-1]), torch.stack(spikes, dim=1)


class ConvASN(nn.Module):
    """A static image through convolution, BatchNorm and one time constant per channel."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn, self.pool = nn.BatchNorm2d(channels), nn.AdaptiveAvgPool2d(4)
        self.tau, self.num_steps = nn.Parameter(torch.rand(channels, 1, 1)), steps

    def forward(self, x: Tensor) -> Tensor:
        """Pooled spikes (B, T, channels, 4, 4)."""
        v, out = None, []
        tau = functional.softplus(self.tau) + 1.0
        for _ in range(self.num_steps):
            i = self.bn(self.conv(x))
            v = torch.zeros_like(i) if v is None else v
            v = v + (i - v) / tau
            s = spike(v - 0.5)
            v = v * (1 - s)
            out.append(self.pool(s))
        return torch.stack(out, 1)


class VisionASN(nn.Module):
    """A convolutional encoder in front of an ASN-SNN."""

    def __init__(self, cell: type[ASN], steps: int) -> None:
        super().__init__()
        self.encoder = ConvASN(4, steps)
        self.classifier = ASNSNN(cell, [64, 16, 12], 5, steps)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, 5)."""
        y: Tensor = self.classifier(self.encoder(x).flatten(2))[0]
        return y


class LanguageASN(nn.Module):
    """An embedding in front of an ASN-SNN, one token per step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.snn = ASNSNN(ASN, [6, 8], 20, steps)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores (B, 20) of the next token."""
        y: Tensor = self.snn(self.embedding(tokens))[0]
        return y


class GradedASN(nn.Module):
    """Integer activations 0 … D, sent as one graded event or as D spikes (I-LIF, Multispike)."""

    def __init__(self, inputs: int, size: int, unfolded: bool) -> None:
        super().__init__()
        self.proj, self.readout = nn.Linear(inputs, size), nn.Linear(size, 3)
        self.size, self.unfolded, self.most = size, unfolded, 4

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, T, 3)."""
        v, out = torch.zeros(x.size(0), self.size), []
        for t in range(x.size(1)):
            v = 0.5 * v + self.proj(x[:, t])
            if self.unfolded:
                y = sum(((v >= k + 0.5).float() for k in range(self.most)), torch.zeros_like(v))
            else:
                y = torch.round(torch.clamp(v, 0, self.most))
            v = v - y
            out.append(self.readout(y / self.most))
        return torch.stack(out, 1)


class NextToken(nn.Module):
    """The same with scores after every step: (B, T) to (B, T, symbols)."""

    def __init__(self, symbols: int, size: int, steps: int) -> None:
        super().__init__()
        self.embedding, self.num_steps = nn.Embedding(symbols, size), steps
        self.layers = nn.ModuleList(ASN(size, size, 0.5) for _ in range(2))
        self.readout = nn.Linear(size, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the token that follows each."""
        states = [torch.zeros(tokens.size(0), m.size) for m in self.layers]
        out = []
        for t in range(self.num_steps):
            s = self.embedding(tokens[:, t])
            for i, layer in enumerate(self.layers):
                s, states[i] = layer(s, states[i])
            out.append(self.readout(s))
        return torch.stack(out, 1)


def _learn(net: nn.Module, split: Split) -> None:
    fit(net, split, epochs=30, lr=2e-2)


_DIGITS = Task("digits", datasets.digits_rows, _learn)


def _sequence() -> Tensor:
    return torch.randn(BATCH, STEPS, 5) * 2


def _image() -> Tensor:
    return torch.rand(BATCH, 3, 8, 8) * 2


#: The cells, and the least share of spikes in common: a normalization is rounded.
_CELLS = (("ASN", ASN, 0.999), ("NASN", NormalizedASN, 0.995))
_STEP: dict[str, Any] = {"time_axis": 1, "step_module": True, "state": (torch.zeros(7),)}

FAMILIES = [
    *(
        Family(f"A {name}", partial(cell, 5, 7), _sequence, _STEP, least=least)
        for name, cell, least in _CELLS
    ),
    *(
        Family(
            f"A {name}-SNN",
            partial(ASNSNN, cell, [8, 64, 64], 10, 8),
            lambda: torch.rand(BATCH, 8, 8),
            STEPPED,
            task=_DIGITS,
            least=least,
        )
        for name, cell, least in _CELLS
    ),
    *(
        Family(f"A Vision-{name}", partial(VisionASN, cell, STEPS), _image, least=least)
        for name, cell, least in _CELLS
    ),
    Family(
        "A Language-ASN",
        lambda: NextToken(65, 128, 32),
        lambda: torch.randint(65, (BATCH, 32)),
        task=SHAKESPEARE,
        lava=False,
    ),
    Family(
        "A Language-ASN, last state",
        lambda: LanguageASN(STEPS),
        lambda: torch.randint(20, (BATCH, STEPS)),
    ),
    Family(
        "A I-LIF counts, graded",
        lambda: GradedASN(5, 8, False),
        _sequence,
        STEPPED,
        exact=True,
    ),
    Family(
        "A I-LIF counts, unfolded",
        lambda: GradedASN(5, 8, True),
        _sequence,
        STEPPED,
    ),
]
