"""Convolutions along time with a kernel as long as the sequence: a matrix over the steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from snnc import ops
from snnc.diagnostics import CompileError
from snnc.exporting import export
from tests.frontends.test_plain_loops import kinds


class Decay(nn.Module):
    """(T, B, C): spikes where the decaying sum of all inputs so far is above one."""

    def __init__(self, tau: torch.Tensor, window: int | None = None) -> None:
        super().__init__()
        self.register_buffer("tau", tau)
        self.window = window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _, channels = x.shape
        count = steps if self.window is None else min(self.window, steps)
        tau = self.tau.view(-1, 1, 1)
        kernel = torch.exp(-torch.arange(count).view(1, 1, count) / tau)
        kernel = kernel.expand(channels, 1, count)
        y = functional.pad(x.permute(1, 2, 0), (count - 1, 0))
        y = functional.conv1d(y, kernel.flip(-1), groups=channels).permute(2, 0, 1)
        return (y >= 1).float()


def test_a_kernel_over_all_steps_is_a_matrix() -> None:
    torch.manual_seed(0)
    report = export(Decay(torch.tensor([3.0])), torch.randn(9, 3, 4), time_axis=0)
    mix = report.graph[kinds(report, ops.TimeMix)[0]]
    assert isinstance(mix.op, ops.TimeMix)
    weight = torch.from_numpy(mix.op.weight.data.copy())
    lag = torch.arange(9)[:, None] - torch.arange(9)
    expected = torch.where(lag >= 0, torch.exp(-lag.clamp(min=0) / 3.0), 0.0)
    assert torch.allclose(weight, expected, atol=1e-6)
    assert set(report.checks["proof"]) == {"7", "8", "9"}
    assert all(report.checks["numeric"]["active"].values())


def test_a_short_kernel_is_a_filter() -> None:
    torch.manual_seed(0)
    report = export(Decay(torch.tensor([3.0]), window=2), torch.randn(9, 3, 4), time_axis=0)
    assert not kinds(report, ops.TimeMix)
    assert all(report.checks["numeric"]["active"].values())


def test_kernels_of_their_own_are_refused() -> None:
    tau = torch.tensor([2.0, 3.0, 4.0, 5.0])
    with pytest.raises(CompileError, match="E210"):
        export(Decay(tau), torch.randn(9, 3, 4), time_axis=0)


def test_zeros_before_the_sequence_are_for_convolutions_only() -> None:
    class Padded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.pad(x.permute(1, 2, 0), (2, 0)).relu().mean(-1)

    with pytest.raises(CompileError, match="E133"):
        export(Padded(), torch.randn(9, 3, 4), time_axis=0)


class Delays(nn.Module):
    """(B, T, 3) to (B, T, 2): a weight for every pair of channels and every delay."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(2, 3, 4)), nn.Parameter(torch.randn(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.pad(x.transpose(1, 2), (3, 0))
        return (functional.conv1d(y, self.weight, self.bias).transpose(1, 2) >= 0.5).float()


def test_a_convolution_between_channels_is_a_layer_per_delay() -> None:
    torch.manual_seed(0)
    report = export(Delays(), torch.randn(5, 12, 3), time_axis=1)
    assert len(kinds(report, ops.Linear)) == 4
    assert all(report.checks["numeric"]["active"].values())
