"""States before the first step: numbers, zeros of any shape, and what they are added to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from snnc import ops
from snnc.diagnostics import CompileError
from snnc.exporting import export
from tests.frontends.test_plain_loops import checked, kinds


class NumbersAsStates(nn.Module):
    """States start as Python numbers: the first step is written by nobody."""

    def __init__(self, static: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.T, self.static = 7, static
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 8)
        self.theta = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v1: Any = 0.0
        v2: Any = 0.0
        total: Any = 0.0
        for t in range(self.T):
            v1 = 0.9 * v1 + self.fc1(x if self.static else x[:, t])
            s1 = (v1 >= self.theta).float()
            v1 = v1 - s1 * self.theta
            v2 = 0.8 * v2 + self.fc2(s1) + s1
            s2 = (v2 >= 0.5).float()
            v2 = v2 * (1 - s2)
            total = total + s2
        return total


@pytest.mark.parametrize("static", [True, False])
def test_states_that_start_as_python_numbers(static: bool) -> None:
    example = torch.rand(3, 6) if static else torch.rand(3, 7, 6)
    report = checked(export(NumbersAsStates(static), example))
    assert set(report.checks["proof"].values()) == {"up to zeros"}
    assert report.checks["states"] == 3
    assert len(kinds(report, ops.TimeLast)) == 1


def test_leak_per_channel_meets_a_state_of_zeros_with_space() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.num_steps = 5
            self.conv, self.leak = nn.Conv2d(1, 3, 3), nn.Parameter(torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x) * 4
            v = torch.zeros_like(x)
            count = []
            for _ in range(self.num_steps):
                v = torch.sigmoid(self.leak).view(-1, 1, 1) * v + x
                s = (v >= 1).float()
                v = v - s
                count.append(s)
            return torch.stack(count).sum(0)

    torch.manual_seed(0)
    report = export(Net(), torch.rand(4, 1, 6, 6))
    assert report.checks["numeric"]["exact"]
    assert all(report.checks["numeric"]["active"].values())


@pytest.mark.parametrize("static", [True, False])
def test_a_sum_from_zero_over_a_state_of_zeros(static: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.T, self.fc1, self.fc2 = 7, nn.Linear(6, 8), nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v, count = torch.zeros(len(x), 8), 0
            for t in range(self.T):
                v = 0.9 * v + self.fc1(x if static else x[:, t])
                s = (v >= 0.3).float()
                v = v - s
                count = count + self.fc2(s)
            return count

    report = checked(export(Net(), torch.rand(3, 6) if static else torch.rand(3, 7, 6)))
    assert report.checks["states"] == 2
    assert len(kinds(report, ops.TimeLast)) == 1


class FeedbackWithBias(nn.Module):
    """Spikes come back through a layer with a bias, from the second step on."""

    def __init__(self, decay: float | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decay, self.fc, self.back = decay, nn.Linear(4, 5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, c, out = torch.zeros(len(x), 5), torch.zeros(len(x), 5), []
        feedback: Any = None
        for t in range(x.shape[1]):
            i = self.fc(x[:, t]) * 3
            i = i if feedback is None else i + feedback
            c = i if self.decay is None else self.decay * c + i
            v = 0.5 * v + c
            s = (v >= 0.5).float()
            v = v - s
            feedback = self.back(s)
            out.append(s)
        return torch.stack(out, 1)


@pytest.mark.parametrize("decay", [None, 0.5])
def test_a_layer_with_a_bias_that_the_first_step_lacks(decay: float | None) -> None:
    report = checked(export(FeedbackWithBias(decay), torch.randn(3, 7, 4), time_axis=1))
    assert set(report.checks["proof"].values()) == {"up to zeros"}
    assert report.checks["numeric"]["exact"]
    assert all(report.checks["numeric"]["active"].values())


class Accumulators(nn.Module):
    """A static input, and a running value in each of the ways people write its first step."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.T, self.way = 12, way
        self.fc, self.back = nn.Linear(5, 6), nn.Linear(6, 6, bias=False)
        self.first = nn.Parameter(torch.rand(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, s = torch.zeros(len(x), 6), self.first.expand(len(x), 6)
        kept: Any = torch.full((len(x), 6), -torch.inf) if self.way == "infinity" else 0
        kept = {"maximum": None, "share": torch.zeros(len(x), 6)}.get(self.way, kept)
        for t in range(self.T):
            v = 0.8 * v + self.fc(x) * 3 + (self.back(s) if self.way == "spikes" else 0)
            if self.way == "decay":
                v = v * 0.99**t
            if self.way == "share":
                v = v * (1 - 0.5 * t / self.T)
            s = (v > 1).float()
            v = v - s
            if self.way in ("maximum", "infinity"):
                kept = v if kept is None else torch.maximum(kept, v)
            else:
                kept = kept + (v if self.way == "membrane" else s)
        return kept


@pytest.mark.parametrize("way", ["membrane", "spikes", "decay", "share", "maximum", "infinity"])
def test_a_running_value_of_a_static_input_starts_from_its_first_step(way: str) -> None:
    net = Accumulators(way)
    report = export(net, torch.rand(8, 5))
    assert report.checks["numeric"]["exact"]
    assert min(report.checks["numeric"]["active"].values()) > 0
    assert bool(kinds(report, ops.TimeMax)) == (way in ("maximum", "infinity"))
    assert way != "decay" or report.graph.max_steps == net.T


def test_a_state_that_starts_from_the_input_is_said_to_do_so() -> None:
    class Net(Accumulators):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v = count = self.fc(x)
            for _ in range(self.T):
                v = 0.8 * v + 0.1 * self.fc(x)
                s = (v > 0.3).float()
                v = v - s
                count = 0.5 * count + s
            return count

    with pytest.raises(CompileError, match="starts from what the first step computes") as refused:
        export(Net(""), torch.rand(8, 5))
    assert [d.code for d in refused.value.diagnostics] == ["E133"]


class ComputedZeros(nn.Module):
    """States start from a product, as the later values are products: zeros for every sample."""

    def __init__(self, time_constants: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(5, 6), nn.Linear(6, 6, bias=False)
        self.leak = nn.Parameter(torch.rand(6) * (10 if time_constants else 1))
        self.synapse = nn.Parameter(torch.rand(6, 1) * (10 if time_constants else 1))
        self.time_constants = time_constants

    def decay(self, parameter: torch.Tensor) -> torch.Tensor:
        return torch.exp(-1 / parameter) if self.time_constants else parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, s = torch.ones(len(x), 6) * torch.zeros(6), torch.ones(len(x), 6) * torch.zeros(6)
        i, out = torch.ones(len(x), 6, 1) * torch.zeros(6, 1), []
        for t in range(x.shape[1]):
            i = i + self.fc1(x[:, t]).unsqueeze(2) * 3 + self.fc2(s).unsqueeze(2)
            v = v * self.decay(self.leak)
            i = i * self.decay(self.synapse)
            v = v + i.sum(2)
            s = (v >= 1).float()
            v = v - s
            out.append(s)
        return torch.stack(out, 1)


@pytest.mark.parametrize("time_constants", [True, False])
def test_a_first_value_is_a_product_as_the_later_ones_are(time_constants: bool) -> None:
    report = checked(export(ComputedZeros(time_constants), torch.rand(3, 7, 5), time_axis=1))
    assert report.checks["states"] == 3
    assert not kinds(report, ops.StepTable)


class CurrentsThatAreSums(nn.Module):
    """The first membrane is a current, which is a sum as the later membranes are."""

    def __init__(self, start: float | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.T, self.start = 7, start
        self.fc1, self.fc2, self.recurrent = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.scale, self.shift = nn.Parameter(torch.rand(8) + 1), nn.Parameter(torch.rand(8) / 8)

    def neuron(self, v: Any, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = current if v is None else 0.8 * v + current
        s = (v >= 0.4).float()
        return v - 0.4 * s, s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v1, v2, s1, total = self.start, self.start, torch.zeros(x.shape[0], 8), torch.tensor(0.0)
        for t in range(self.T):
            current = self.fc1(x if x.dim() == 2 else x[:, t])
            v1, s1 = self.neuron(v1, current * self.scale + self.recurrent(s1))
            v2, s2 = self.neuron(v2, self.fc2(s1) + self.shift)
            total = total + (s1 + s2)
        return total


@pytest.mark.parametrize("start", [None, 0.0])
@pytest.mark.parametrize("shape", [(3, 6), (3, 7, 6)])
def test_a_first_value_is_a_sum_as_the_later_ones_are(
    start: float | None, shape: tuple[int, ...]
) -> None:
    report = checked(export(CurrentsThatAreSums(start), torch.rand(shape) * 2))
    assert set(report.checks["proof"].values()) == {"up to zeros"}
    assert report.checks["states"] == 4
