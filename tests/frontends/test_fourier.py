"""Fourier transforms of values are recovered as layers with fixed weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from snnc import ops
from snnc.diagnostics import CompileError
from snnc.exporting import export
from tests.frontends.test_plain_loops import kinds

Body = Callable[[torch.Tensor], torch.Tensor]


class Spectrum(nn.Module):
    """Sums what ``body`` makes of (B, T, F) over time, with decay."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(self.body(x[:, 0]))
        for t in range(x.shape[1]):
            total = 0.5 * total + self.body(x[:, t])
        return total


def around(x: torch.Tensor, norm: str, n: int) -> torch.Tensor:
    spectrum = torch.fft.rfft(x, norm=norm)
    return torch.fft.irfft(torch.complex(spectrum.real, 2 * spectrum.imag), n=n, norm=norm)


def both(x: torch.Tensor, inverse: bool) -> torch.Tensor:
    z = torch.complex(x, torch.relu(x))
    y = torch.fft.ifft(z) if inverse else torch.fft.fft(z, norm="forward")
    return y.real - 3 * y.imag


BODIES: dict[str, tuple[int, Body]] = {
    "even": (8, lambda x: around(x, "ortho", 8)),
    "odd": (7, lambda x: around(x, "backward", 7)),
    "fft of real values": (6, lambda x: torch.fft.fft(x).imag),
    "complex": (5, lambda x: both(x, False)),
    "complex inverse": (5, lambda x: both(x, True)),
}


@pytest.mark.parametrize("name", BODIES)
def test_transform_is_the_one_of_torch(name: str) -> None:
    torch.manual_seed(0)
    size, body = BODIES[name]
    report = export(Spectrum(body), torch.randn(3, 9, size), time_axis=1)
    assert kinds(report, ops.Linear)
    assert report.checks["numeric"]["difference"] < 1e-5


def planes(x: torch.Tensor) -> torch.Tensor:
    z = torch.fft.rfft2(x.unflatten(1, (4, 5)), norm="ortho")
    first = torch.fft.fft(z.real, dim=1)
    return torch.fft.irfft2(torch.complex(first.imag, z.imag), s=(4, 5)).flatten(1)


def test_transforms_along_several_axes() -> None:
    torch.manual_seed(0)
    report = export(Spectrum(planes), torch.randn(3, 9, 20), time_axis=1)
    assert report.checks["numeric"]["difference"] < 1e-5


def test_transform_along_time_is_refused() -> None:
    class OverTime(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x.transpose(1, 2)).real

    with pytest.raises(CompileError, match="E133"):
        export(OverTime(), torch.randn(3, 9, 4), time_axis=1)
