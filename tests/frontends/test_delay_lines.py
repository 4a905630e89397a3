"""Spikes that arrive later: histories kept by cat, roll and lists, read by constant delays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnc.exporting import export
from tests.marks import quick_first

DEPTH = 4


class Net(nn.Module):
    """A layer whose spikes are kept in a history, the latest first; ``read`` is the readout."""

    def __init__(self, push: Callable[[Any, Any], Any], read: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.fc, self.out, self.push, self.read = nn.Linear(5, 7), nn.Linear(7, 3), push, read
        self.register_buffer("delays", torch.tensor([0, 1, 2, 3, 1, 2, 3]))
        self.register_buffer("mask", torch.nn.functional.one_hot(self.delays, DEPTH).float())
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros(x.shape[0], 7), []
        history = self.push(None, v)
        for t in range(x.shape[1]):
            v = 0.8 * v + self.fc(x[:, t])
            s = (v >= 1).float()
            v = v - s
            history = self.push(history, s)
            out.append(self.out(self.read(self, history)))
        return torch.stack(out, 1)


def cat(history: Tensor | None, s: Tensor) -> Tensor:
    if history is None:
        return torch.zeros(*s.shape, DEPTH)
    return torch.cat([s.unsqueeze(-1), history[..., :-1]], -1)


def roll(history: Tensor | None, s: Tensor) -> Tensor:
    if history is None:
        return torch.zeros(*s.shape, DEPTH)
    history = torch.roll(history, 1, -1)
    history[..., 0] = s
    return history


def queue(history: list[Tensor] | None, s: Tensor) -> list[Tensor]:
    return [torch.zeros_like(s)] * DEPTH if history is None else [s, *history[:-1]]


def gathered(net: Any, history: Tensor) -> Tensor:
    index = net.delays.view(1, -1, 1).expand(history.shape[0], -1, 1)
    return history.gather(-1, index).squeeze(-1)


def masked(net: Any, history: Tensor) -> Tensor:
    return (history * net.mask).sum(-1)


NETS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Tensor]]] = {
    "cat, gather": (cat, gathered),
    "cat, mask": (cat, masked),
    "roll, gather": (roll, gathered),
    "list, mask": (queue, lambda net, h: masked(net, torch.stack(h, -1))),
    "list, one delay": (queue, lambda net, h: h[3]),
}


@pytest.mark.parametrize("name", quick_first(NETS, "cat, gather", "list, mask"))
def test_spikes_arrive_when_they_do_in_the_module(name: str) -> None:
    net = Net(*NETS[name]).eval()
    x = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
    report = export(net, x, time_axis=1)
    assert set(report.checks["proof"].values()) <= {"identical", "up to zeros"}
    assert report.checks["numeric"]["difference"] <= 1e-6
    assert min(report.checks["numeric"]["active"].values()) > 0
    assert any(e.delay for e in report.graph.edges)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_delay_of_variables_that_start_from_zeros(steps: int) -> None:
    """In the first steps, nothing has arrived: the membrane is one number there."""

    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(5, 6)

        def forward(self, x: Tensor) -> Tensor:
            v, out = torch.zeros(len(x), 6), []
            waiting = [torch.zeros(len(x), 6)] * steps
            for t in range(x.shape[1]):
                v = v * 0.8 + waiting[0]
                waiting = [*waiting[1:], self.fc(x[:, t])]
                s = (v > 0.3).float()
                v = v - s
                out.append(s)
            return torch.stack(out, 1)

    report = export(Late(), torch.rand(8, 12, 5), time_axis=1)
    assert report.checks["numeric"]["exact"]
    assert min(report.checks["numeric"]["active"].values()) > 0
    assert max(e.delay for e in report.graph.edges) == steps
