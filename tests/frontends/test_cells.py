"""Gated cells of torch, step by step: the float graph equals them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import snnc


class Spiking(nn.Module):
    """A cell whose hidden state fires and is reset."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 6)
        c, out = torch.zeros_like(h), []
        for t in range(x.shape[1]):
            if isinstance(self.cell, nn.LSTMCell):
                h, c = self.cell(x[:, t], (h, c))
            else:
                h = self.cell(x[:, t], h)
            s = (h > 0.1).float()
            h = h - 0.1 * s
            out.append(s)
        return torch.stack(out, 1)


CELLS: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: nn.LSTMCell(5, 6),
    "LSTM without bias": lambda: nn.LSTMCell(5, 6, bias=False),
    "GRU": lambda: nn.GRUCell(5, 6),
    "tanh": lambda: nn.RNNCell(5, 6),
    "relu": lambda: nn.RNNCell(5, 6, nonlinearity="relu"),
}


@pytest.mark.parametrize("name", CELLS)
def test_cell(name: str) -> None:
    report = snnc.export(Spiking(CELLS[name]()), torch.randn(3, 9, 5), time_axis=1)
    assert set(report.checks["proof"].values()) == {"identical"}
    assert all(share > 0 for share in report.checks["numeric"]["active"].values())
