"""Running sums in all the ways of writing them, also of summands that are sums themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from snnc.exporting import export

Add = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]


class Sum(nn.Module):
    """Two populations, whose spikes are added up from the number 0."""

    def __init__(self, add: Add, second_loop: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.head = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(4, 4)
        self.add, self.second_loop = add, second_loop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total: Any = 0
        v = u = torch.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            v, u = 0.9 * v + self.left(x[:, t]), 0.8 * u + self.right(x[:, t])
            a, b = (v >= 0.5).float(), (u >= 0.5).float()
            v, u = v - a, u - b
            total = self.add(total, a, b)
        if not self.second_loop:
            return total
        current, w, out = self.head(total / x.shape[1]), torch.zeros(x.shape[0], 4), []
        for _ in range(x.shape[1]):
            w = 0.9 * w + current
            out.append((w >= 0.5).float())
        return torch.stack(out, 1)


WAYS: dict[str, Add] = {
    "sum last": lambda total, a, b: total + (a + b),
    "sum first": lambda total, a, b: (a + b) + total,
    "one by one": lambda total, a, b: total + a + b,
    "sum in a sum": lambda total, a, b: total + (a + (b + a * 2)),
    "sum of two sums": lambda total, a, b: total + ((a + b) + (b + 2 * a)),
    "sums on both sides": lambda total, a, b: (total + a) + (b + a * 2),
    "difference": lambda total, a, b: total + (a - b),
    "weighted sum": lambda total, a, b: total + 0.5 * (a + b),
}


@pytest.mark.parametrize("way", WAYS)
def test_running_sum(way: str) -> None:
    checks = export(Sum(WAYS[way]), torch.rand(3, 7, 5) * 3, time_axis=1).checks
    assert checks["states"] == 3
    assert checks["numeric"]["difference"] <= 1e-6
    assert min(checks["numeric"]["active"].values()) > 0


@pytest.mark.parametrize("way", ["sum last", "sum in a sum", "difference"])
def test_running_sum_that_drives_another_loop(way: str) -> None:
    checks = export(Sum(WAYS[way], True), torch.rand(3, 7, 5) * 3, time_axis=1).checks
    assert checks["numeric"]["difference"] <= 1e-6
