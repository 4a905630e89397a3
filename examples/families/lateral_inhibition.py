"""Networks without normalization: excitatory and inhibitory populations that balance each other.

``I = W_ee x - W_ei (W_ie x)``, divided by the inhibition of the same neurons,
``g I / (W_ei (h (W_ie x))) + b``; where the divisor is zero the smallest other one stands in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPPED, STEPS, Family
from examples.models import spike


class Balanced(nn.Module):
    """Currents of one layer; all weights between populations are positive."""

    def __init__(self, inputs: int, size: int, inhibitory: int, divisive: bool) -> None:
        super().__init__()
        self.ee = nn.Parameter(torch.rand(size, inputs))
        self.ie = nn.Parameter(torch.rand(inhibitory, inputs) / inputs)
        self.ei = nn.Parameter(torch.rand(size, inhibitory) * inputs / inhibitory)
        self.gain = nn.Parameter(torch.ones(size) * 2)
        self.bias = nn.Parameter(torch.full((size,), -2.0 if divisive else 0.0))
        self.h, self.divisive = nn.Parameter(torch.rand(inhibitory) + 0.5), divisive

    def forward(self, x: Tensor) -> Tensor:
        inner = nn.functional.linear(x, self.ie)
        balance = nn.functional.linear(x, self.ee) - nn.functional.linear(inner, self.ei)
        if not self.divisive:
            return self.gain * balance + self.bias
        divisor = nn.functional.linear(self.h * inner, self.ei)
        some = torch.where(divisor > 0, divisor, torch.full_like(divisor, 64.0))
        least = some.amin(-1, keepdim=True)
        divisor = torch.where(divisor > 0, divisor, least)
        return self.gain * balance / torch.clamp(divisor, min=0.015625) + self.bias


class EINet(nn.Module):
    """(B, T, F) of spikes through two balanced layers of LIF neurons."""

    def __init__(self, inputs: int, size: int, divisive: bool) -> None:
        super().__init__()
        self.first = Balanced(inputs, size, 3, divisive)
        self.second = Balanced(size, size, 3, divisive)
        self.head, self.size = nn.Linear(size, 4), size

    def forward(self, x: Tensor) -> Tensor:
        v = [torch.zeros(x.size(0), self.size) for _ in range(2)]
        out = []
        for t in range(x.shape[1]):
            s = x[:, t]
            for i, layer in enumerate((self.first, self.second)):
                v[i] = 0.5 * v[i] + layer(s)
                s = spike(v[i] - 0.25)
                v[i] = v[i] * (1 - s)
            out.append(self.head(s))
        return torch.stack(out, 1).mean(1)


def _spikes() -> Tensor:
    return (torch.rand(BATCH, STEPS, 8) < 0.4).float()


FAMILIES = [
    Family("E E-I, subtractive inhibition", lambda: EINet(8, 10, False), _spikes, STEPPED),
    Family(
        "E E-I, divisive inhibition",
        lambda: EINet(8, 10, True),
        _spikes,
        STEPPED,
        rate=0.001,  # a divisor is zero only where no input of the layer spikes
    ),
]
