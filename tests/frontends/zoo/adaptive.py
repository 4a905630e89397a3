"""Adaptive spiking neurons: ``v += (i - v) / (softplus(tau) + 1)``, reset to zero."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence


class ASN(nn.Module):
    def __init__(self, inputs: int, size: int, theta: float = 1.0) -> None:
        super().__init__()
        self.proj, self.tau = nn.Linear(inputs, size), nn.Parameter(torch.randn(size) + 1)
        self.size, self.theta = size, theta

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = v + (self.proj(x) - v) / (functional.softplus(self.tau) + 1.0)
        s = (v >= self.theta).float()
        return s, v * (1 - s)


class NormalizedASN(ASN):
    """The spike uses the membrane before the normalization over the layer."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__(inputs, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        s, v = super().forward(x, v)
        return s, self.norm(v)


class ASNSNN(nn.Module):
    def __init__(self, cell: type[ASN], sizes: list[int], outputs: int, steps: int) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(cell(a, b) for a, b in pairs)
        self.readout, self.num_steps = nn.Linear(sizes[-1], outputs), steps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
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
        v, out = None, []
        tau = functional.softplus(self.tau) + 1.0
        for _ in range(self.num_steps):
            i = self.bn(self.conv(x))
            v = torch.zeros_like(i) if v is None else v
            v = v + (i - v) / tau
            s = (v >= 0.5).float()
            v = v * (1 - s)
            out.append(self.pool(s))
        return torch.stack(out, 1)


class VisionASN(nn.Module):
    def __init__(self, cell: type[ASN], steps: int) -> None:
        super().__init__()
        self.encoder = ConvASN(4, steps)
        self.classifier = ASNSNN(cell, [64, 16, 12], 5, steps)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.encoder(x).flatten(2))[0]
        return y


class LanguageASN(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.snn = ASNSNN(ASN, [6, 8], 20, steps)

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.snn(self.embedding(tokens))[0]
        return y


class GradedASN(nn.Module):
    """Integer activations 0 … D, sent as one graded event or as D spikes (I-LIF, Multispike)."""

    def __init__(self, inputs: int, size: int, unfolded: bool) -> None:
        super().__init__()
        self.proj, self.readout = nn.Linear(inputs, size), nn.Linear(size, 3)
        self.size, self.unfolded, self.most = size, unfolded, 4

    def forward(self, x: Tensor) -> Tensor:
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


def _image() -> Tensor:
    return torch.rand(BATCH, 3, 8, 8) * 2


def _step(cell: type[ASN], code: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(cell(5, 7)), sequence(5, axis=0)

    options = {"time_axis": 0, "step_module": True, "state": (torch.zeros(7),)}
    return Case(f"adaptive/{cell.__name__} step", make, options, code)


CASES = [
    _step(ASN),
    _step(NormalizedASN),
    Case("adaptive/ASN-SNN", lambda: (loud(ASNSNN(ASN, [5, 9, 7], 3, STEPS)), sequence(5))),
    Case(
        "adaptive/NASN-SNN",
        lambda: (loud(ASNSNN(NormalizedASN, [5, 9, 7], 3, STEPS)), sequence(5)),
    ),
    Case("adaptive/ConvASN", lambda: (loud(ConvASN(4, STEPS)), _image())),
    Case("adaptive/Vision-ASN", lambda: (loud(VisionASN(ASN, STEPS), 8.0), _image())),
    Case("adaptive/Vision-NASN", lambda: (loud(VisionASN(NormalizedASN, STEPS), 8.0), _image())),
    Case(
        "adaptive/Language-ASN",
        lambda: (loud(LanguageASN(STEPS)), torch.randint(20, (BATCH, STEPS))),
    ),
    Case(
        "adaptive/I-LIF graded",
        lambda: (loud(GradedASN(5, 8, False)), sequence(5)),
        {"time_axis": 1},
    ),
    Case(
        "adaptive/Multispike unfolded",
        lambda: (loud(GradedASN(5, 8, True)), sequence(5)),
        {"time_axis": 1},
    ),
]
