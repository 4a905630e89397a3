"""SpikF-GO: spectra of embedded series through gates, complex LIF and complex layers, and back.

From its description, as no code is public.  A Hard-Concrete gate is a constant in use:
``clamp(sigmoid(a) (zeta - gamma) + gamma, 0, 1)``.  A complex LIF is two, one of
the real and one of the imaginary part.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.family import BATCH, STEPS, Family
from examples.models import spike


class ComplexLinear(nn.Module):
    """``(A + iB)(x + iy)`` for spikes x and y."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.re, self.im = (nn.Linear(inputs, outputs, bias=False) for _ in range(2))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.re(x) - self.im(y), self.re(y) + self.im(x)


class SpikFGO(nn.Module):
    """(B, T, series) to a forecast (B, series); the spectrum is over the series."""

    def __init__(self, series: int, steps: int) -> None:
        super().__init__()
        self.series, self.num_steps = series, steps
        bins = series // 2 + 1
        self.embed, self.head = nn.Linear(series, series), nn.Linear(series, series)
        self.gate = nn.Parameter(torch.linspace(-3, 3, bins))
        self.mix = ComplexLinear(bins, bins)
        self.place = nn.Parameter(torch.randn(series) * 0.1)

    def lif(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = v + (x - v) / 2
        s = spike(v - 0.5)
        return s, v * (1 - s)

    def forward(self, x: Tensor) -> Tensor:
        bins = self.series // 2 + 1
        re, im, u, w = (torch.zeros(x.size(0), bins) for _ in range(4))
        last = torch.zeros(x.size(0), self.series)
        gate = torch.clamp(torch.sigmoid(self.gate) * 1.2 - 0.1, 0, 1)
        total = torch.zeros(x.size(0), self.series)
        for t in range(self.num_steps):
            spectrum = torch.fft.rfft(self.embed(x[:, t]) + self.place, norm="ortho")
            a, re = self.lif(spectrum.real * gate, re)
            b, im = self.lif(spectrum.imag * gate, im)
            c, d = self.mix(a, b)
            c, u = self.lif(c, u)
            d, w = self.lif(d, w)
            back = torch.fft.irfft(torch.complex(c, d), n=self.series, norm="ortho")
            s, last = self.lif(self.head(back), last)
            total = total + s
        return total / self.num_steps


FAMILIES = [
    Family(
        "E SpikF-GO (FFT, complex LIF)",
        lambda: SpikFGO(8, STEPS),
        lambda: torch.randn(BATCH, STEPS, 8) * 2,
    ),
]
