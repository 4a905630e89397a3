"""Integers inside real networks, and parameters looked up by a computed position."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.diagnostics import CompileError

TABLE = torch.tensor([0.3, -1.0, 2.0, 0.7])
BOUNDS = torch.tensor([-0.5, 0.25, 1.0])


class Coded(nn.Module):
    """A membrane through some code; the sum of the codes of all steps."""

    def __init__(self, code: Callable[[Coded, Tensor], Tensor]) -> None:
        super().__init__()
        self.code = code
        self.register_buffer("table", TABLE)
        self.register_buffer("bounds", BOUNDS)
        self.register_buffer("long", torch.rand(70))

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            v = 0.5 * v + self.code(self, x[:, t] + v)
            out.append((v > 0.2).float())
        return torch.stack(out, 1)


CODES: dict[str, Callable[[Coded, Tensor], Tensor]] = {
    "cast": lambda m, x: (4 * x).to(torch.int64) / 4,
    "shifts": lambda m, x: (((64 * x).to(torch.int32) >> 3) << 1) / 16,
    "quotient": lambda m, x: (8 * x).int() // 3 / 2 + (8 * x).int() % 3,
    "table": lambda m, x: m.table[torch.bucketize(x, m.bounds)],
    "table, bounds included": lambda m, x: m.table[torch.bucketize(x, m.bounds, right=True)],
}


@pytest.mark.parametrize("name", CODES)
def test_integers(name: str) -> None:
    x = torch.randint(-8, 8, (3, 9, 5)) / 4  # meets bounds and ties
    report = snnc.export(Coded(CODES[name]), x, time_axis=1)
    assert set(report.checks["proof"].values()) == {"identical"}
    assert report.checks["numeric"]["exact"]
    assert all(share > 0 for share in report.checks["numeric"]["active"].values())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (lambda m, x: x.to(torch.int8) / 2, "wraps large values"),
        (lambda m, x: m.long[(x > 0).long()], "table of 70 values"),
        (lambda m, x: x * torch.bitwise_left_shift(x.int(), x.int()), "number of bits"),
    ],
)
def test_integers_that_are_refused(code: Callable[[Coded, Tensor], Tensor], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        snnc.export(Coded(code), torch.randn(3, 9, 5), time_axis=1)


def test_what_no_output_needs_is_not_looked_at() -> None:
    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            out = []
            for t in range(x.shape[1]):
                out.append((x[:, t] > 0).float())
                self.rate = out[-1].sum() / len(out[-1])  # over the batch
            return torch.stack(out, 1)

    assert snnc.export(Watched(), torch.randn(3, 9, 5), time_axis=1).checks["admissible"]
