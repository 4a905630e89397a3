"""What the numeric check says about neurons, graded emissions and outputs that never change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snnc.exporting import Report, export


class Graded(nn.Module):
    """Integer activations 0 … 4."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            v = 0.5 * v + x[:, t]
            y = torch.round(torch.clamp(v, 0, 4))
            v = v - y
            out.append(y)
        return torch.stack(out, 1)


class Leaky(nn.Module):
    """A leaky integrator that nothing compares."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            v = 0.5 * v + x[:, t]
            out.append(v)
        return torch.stack(out, 1)


class Above(nn.Module):
    """Fires where the input is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([(x[:, t] >= self.level).float() for t in range(x.shape[1])], 1)


def _said(report: Report) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for d in report.diagnostics:
        found.setdefault(d.code, []).append(d.message)
    return found


def test_graded_emissions_count_as_activity() -> None:
    torch.manual_seed(0)
    report = export(Graded(), torch.rand(3, 7, 4) * 3, time_axis=1)
    assert report.checks["numeric"]["active"] == {"round": 1.0}
    assert not {"R138", "W138"} & set(_said(report))


@pytest.mark.parametrize(("silent", "code"), [(4, "W138"), (3, "R138")])
def test_a_graded_neuron_that_never_emits_is_reported(silent: int, code: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 7, 4) * 3
    x[..., :silent] = 0
    report = export(Graded(), x, time_axis=1)
    assert report.checks["numeric"]["active"] == {"round": 1 - silent / 4}
    (message,) = _said(report)[code]
    assert "two values" in message


def test_a_network_that_nothing_compares_shows_that_its_output_varies() -> None:
    torch.manual_seed(0)
    report = export(Leaky(), torch.rand(3, 7, 4), time_axis=1)
    numeric = report.checks["numeric"]
    assert numeric["active"] == {}
    assert list(numeric["outputs"].values()) == [1.0]
    assert "W138" not in _said(report)


def test_an_output_that_never_varies_is_reported() -> None:
    report = export(Leaky(), torch.zeros(3, 7, 4), time_axis=1)
    assert list(report.checks["numeric"]["outputs"].values()) == [0.0]
    (message,) = _said(report)["W138"]
    assert "the same at every step of every sample" in message


@pytest.mark.parametrize(("level", "constant"), [(-1.0, True), (0.5, False)])
def test_comparisons_that_are_always_true_are_told(level: float, constant: bool) -> None:
    torch.manual_seed(0)
    report = export(Above(level), torch.rand(3, 7, 4), time_axis=1)
    numeric = report.checks["numeric"]
    assert numeric["saturated"] == (list(numeric["active"]) if constant else [])
