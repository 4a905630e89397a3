"""Numbers of samples, steps and features that are the same: none is taken for another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snnc.exporting import export


class Repeated(nn.Module):
    """One image, shown at every step."""

    def __init__(self, features: int, hidden: int, steps: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.num_steps = nn.Linear(features, hidden), steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = torch.zeros(x.shape[0], self.fc.out_features)
        out = []
        for _ in range(self.num_steps):
            v = 0.8 * v + self.fc(x)
            s = (v >= 0.5).float()
            v = v - s
            out.append(s)
        return torch.stack(out, 1)


class Sequence(nn.Module):
    """A sequence (B, T, F)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.out = nn.Linear(features, hidden), nn.Linear(hidden, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = torch.zeros(x.shape[0], self.fc.out_features)
        out = []
        for t in range(x.shape[1]):
            v = 0.8 * v + self.fc(x[:, t])
            s = (v >= 0.5).float()
            v = v - s
            out.append(self.out(s))
        return torch.stack(out, 1)


#: samples, steps, features, hidden
SIZES = [
    (3, 3, 3, 3),
    (5, 5, 5, 5),
    (4, 4, 6, 7),
    (3, 6, 3, 8),
    (3, 5, 5, 7),
    (5, 4, 5, 4),
    (6, 5, 3, 5),
    (5, 3, 3, 5),
    (1, 4, 1, 1),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_repeated_image(sizes: tuple[int, int, int, int]) -> None:
    samples, steps, features, hidden = sizes
    report = export(Repeated(features, hidden, steps), torch.rand(samples, features) * 3)
    assert report.graph.steps == steps
    assert report.checks["numeric"]["difference"] <= 1e-6


@pytest.mark.parametrize("sizes", SIZES[::2], ids=str)
def test_a_sequence(sizes: tuple[int, int, int, int]) -> None:
    samples, steps, features, hidden = sizes
    example = torch.rand(samples, steps, features) * 3
    report = export(Sequence(features, hidden), example, time_axis=1)
    assert report.graph.steps == steps
    assert report.checks["numeric"]["difference"] <= 1e-6
