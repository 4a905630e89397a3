"""Plain PyTorch time loops: each is recovered, proven, and equal to the module."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from snnc import ops
from snnc.exporting import Report, export


def spike(v: torch.Tensor, threshold: Any = 0.3) -> torch.Tensor:
    return (v >= threshold).float()


class Loop(nn.Module):
    """Input (B, T, 6) or (T, B, 6) through one population of 8; subclasses say what happens."""

    axis = 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(6, 8)
        self.beta = nn.Parameter(torch.rand(8))
        with torch.no_grad():
            self.fc.weight *= 3

    def forward(self, x: torch.Tensor) -> Any:
        v, out = self.start(x), []
        for t in range(x.shape[self.axis]):
            v, s = self.step(v, self.fc(x.select(self.axis, t)))
            out.append(s)
        return torch.stack(out, self.axis)

    def start(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(x.shape[1 - self.axis], 8)

    def step(self, v: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = torch.sigmoid(self.beta) * v + i
        s = spike(v)
        return v - s * 0.3, s


class SoftReset(Loop):
    pass


class HardReset(Loop):
    def step(self, v: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = 0.8 * v + i
        s = spike(v)
        return v * (1 - s), s


class TimeFirst(Loop):
    axis = 0


class WhereReset(Loop):
    def step(self, v: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = torch.add(i, v, alpha=0.5)
        s = v > 0.3
        return torch.where(s, 0.1, v.clamp(-1.0, 5.0)), s.float()


class MaskedReset(Loop):
    def step(self, v: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        v = 0.8 * v + i
        s = spike(v)
        v[s > 0] = 0.0
        return v, s


class LearnedStart(Loop):
    def start(self, x: torch.Tensor) -> torch.Tensor:
        return (self.beta * 0.1).expand(x.shape[0], -1)


class NoFirstState(Loop):
    """Membrane is None before the first step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = None, []
        for t in range(x.shape[1]):
            i = self.fc(x[:, t])
            v = i if v is None else self.beta * v + i
            s = spike(v)
            v = v - s * 0.3
            out.append(s)
        return torch.stack(out, 1)


class RunningSum(Loop):
    """Spikes are added up in the loop; no list."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v: Any = 0.0
        total: Any = 0
        for t in range(x.shape[1]):
            v = 0.8 * v + self.fc(x[:, t])
            s = spike(v)
            v = v - s * 0.3
            total = total + s
        return total / x.shape[1]


class Preallocated(Loop):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = self.start(x)
        out = torch.zeros(x.shape[0], x.shape[1], 8)
        for t in range(x.shape[1]):
            v, s = self.step(v, self.fc(x[:, t]))
            out[:, t] = s
        return out.mean(1)


class Hoisted(Loop):
    """The linear layer runs once, over all steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        currents = self.fc(x.flatten(0, 1)).view(*x.shape[:2], 8)
        v, out = self.start(x), []
        for i in currents.unbind(1):
            v, s = self.step(v, i)
            out.append(s.unsqueeze(1))
        return torch.cat(out, 1).sum(1)


class Recurrent(Loop):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, s = self.start(x), self.start(x)
        loop = self.fc.weight.t() @ self.fc.weight
        for t in range(x.shape[1]):
            v, s = self.step(v, self.fc(x[:, t]) + 0.1 * s @ functional.pad(loop, (0, 2, 0, 2)))
        return v


class Synaptic(Loop):
    """Two states per neuron and the membrane of the step before as a third."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        i, v, before, out = self.start(x), self.start(x), self.start(x), []
        for t in range(x.shape[1]):
            i = 0.5 * i + self.fc(x[:, t])
            v, before = 0.9 * v + i - 0.2 * before, v
            s = spike(v)
            v = v - s * 0.3
            out.append(s)
        return torch.stack(out, 1).amax(1), v


class ListOfStates(nn.Module):
    """Adaptive spiking neurons: a list of states, readout of the last membrane."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_steps = steps
        self.layers = nn.ModuleList([nn.Linear(5, 9), nn.Linear(9, 7)])
        self.taus = nn.ParameterList([nn.Parameter(torch.randn(n)) for n in (9, 7)])
        self.readout = nn.Linear(7, 3)
        with torch.no_grad():
            for layer in self.layers:
                layer.weight *= 6

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = [torch.zeros(x.size(0), len(tau), device=x.device) for tau in self.taus]
        spikes = []
        for t in range(self.num_steps):
            s = x[:, t, :]
            for k, layer in enumerate(self.layers):
                v = states[k] + (layer(s) - states[k]) / (functional.softplus(self.taus[k]) + 1.0)
                s = (v >= 1.0).float()
                states[k] = v * (1 - s)
            spikes.append(s)
        return self.readout(states[-1]), torch.stack(spikes, dim=1)


def checked(report: Report) -> Report:
    """All three checks hold, with a proof at the own number of steps, and something fired."""
    own = report.graph.steps
    assert tuple(report.checks["proof"]) == ("4", "5", str(own if own > 5 else 7))
    assert report.checks["proven_steps"] == own
    assert report.checks["admissible"]
    assert report.checks["numeric"]["difference"] <= 1e-6
    assert min(report.checks["numeric"]["active"].values()) > 0
    report.graph.verify()
    return report


def kinds(report: Report, kind: type[ops.Op]) -> list[str]:
    return [n.name for n in report.graph if isinstance(n.op, kind)]


@pytest.mark.parametrize(
    "net",
    [
        *(SoftReset, HardReset, TimeFirst, WhereReset, MaskedReset, LearnedStart),
        *(NoFirstState, Preallocated, Hoisted, Recurrent, Synaptic),
    ],
)
def test_loop_is_recovered(net: type[Loop]) -> None:
    shape = (3, 11, 6) if net.axis == 1 else (11, 3, 6)
    report = checked(export(net(), torch.rand(shape), time_axis=net.axis))
    assert report.graph.steps == 11
    assert report.graph["x"].type.shape == (6,)
    assert {e.delay for e in report.graph.edges} == {0, 1} | ({2} if net is Synaptic else set())


def test_learned_decay_stays_an_expression_of_the_parameter() -> None:
    graph = export(SoftReset(), torch.rand(3, 11, 6), time_axis=1).graph
    (source,) = graph.operands("sigmoid")
    assert isinstance(source.op, ops.Constant)
    assert source.name == "beta"
    assert float(graph["0.3"].op.params["value"].data) == 0.3


def test_running_sum_over_steps_divided_by_their_number_is_a_mean() -> None:
    report = checked(export(RunningSum(), torch.rand(3, 11, 6), time_axis=1))
    assert len(kinds(report, ops.TimeMean)) == 1
    assert report.model.meta["fixed_steps"] is False


def test_adaptive_network_with_a_list_of_states() -> None:
    report = checked(export(ListOfStates(12), torch.randn(4, 12, 5) * 2, steps=12))
    assert [n.name for n in report.graph if isinstance(n.op, ops.Output)] == ["out0", "out1"]
    assert {"layers.0", "layers.1", "readout"} <= {n.name for n in report.graph}
    assert len(kinds(report, ops.TimeLast)) == 1
    assert report.checks["states"] == 2


class StaticInput(Loop):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.num_steps = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros(x.shape[0], 8), []
        for _ in range(self.num_steps):
            v, s = self.step(v, self.fc(x))
            out.append(s)
        return torch.stack(out).sum(0)


def test_static_input_is_projected_once_and_repeated() -> None:
    report = checked(export(StaticInput(9), torch.rand(3, 6), steps=9))
    assert kinds(report, ops.Repeat) == ["fc.repeat"]
    assert str(report.graph["fc"].type) == "f32[8]@once"
    assert report.graph.steps == 9


class Keyword(StaticInput):
    def forward(self, x: torch.Tensor, time_steps: int = 10) -> torch.Tensor:
        self.num_steps = time_steps
        return super().forward(x) / time_steps


def test_number_of_steps_as_a_keyword_of_forward() -> None:
    report = checked(export(Keyword(10), torch.rand(3, 6)))
    assert report.graph.steps == 10
    assert len(kinds(report, ops.TimeMean)) == 1


class Convolutional(nn.Module):
    """conv-BatchNorm-LIF with a residual block, pools and a readout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool, self.head = nn.AvgPool2d(2), nn.Linear(16, 5)
        self.gain = nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        for bn in (self.bn1, self.bn2):
            bn.running_mean.uniform_(-0.1, 0.1)
            bn.running_var.uniform_(0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v1, v2, out = None, None, []
        for t in range(x.shape[1]):
            i = self.bn1(self.conv1(x[:, t])) * self.gain
            v1 = torch.zeros_like(i) if v1 is None else v1
            v1 = v1 + (i - v1) / 2
            s1 = spike(v1, 0.2)
            v1 = v1 * (1 - s1)
            i = self.bn2(self.conv2(s1)) + s1
            v2 = torch.zeros_like(i) if v2 is None else v2
            v2 = v2 + (i - v2) / 2
            s2 = spike(v2, 0.2)
            v2 = v2 * (1 - s2)
            y = functional.adaptive_avg_pool2d(functional.max_pool2d(self.pool(s2), 1), 2)
            out.append(self.head(y.flatten(1)))
        return torch.stack(out, 1).mean(1)


def test_convolution_batch_norm_and_residual() -> None:
    report = checked(export(Convolutional(), torch.rand(2, 6, 1, 8, 8) * 2, time_axis=1))
    graph = report.graph
    assert str(graph["conv1"].type) == "f32[4,8,8]@step"
    assert graph["gain"].type.shape == (4, 1, 1)
    assert {"bn1", "bn2", "pool", "head"} <= {n.name for n in graph}
    assert graph["conv2"].loc.file is not None
    assert graph["conv2"].loc.file.endswith("test_plain_loops.py")


def test_sizes_equal_to_batch_and_steps_do_not_confuse() -> None:
    class Confusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc, self.out = nn.Linear(5, 4), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v, out = torch.zeros(x.shape[0], 4), []
            for t in range(x.shape[1]):
                v = 0.8 * v + 3 * self.fc(x[:, t])
                s = spike(v)
                v = v - s
                out.append(s)
            return self.out(torch.stack(out, 1)).mean(1)

    checked(export(Confusing(), torch.rand(5, 5, 5), steps=5, time_axis=1))


@pytest.mark.parametrize("batch", [9, 4])
def test_static_batch_as_large_as_the_number_of_steps(batch: int) -> None:
    report = checked(export(StaticInput(9), torch.rand(batch, 6)))
    assert report.model.meta["inputs"] == [{"name": "x", "time_axis": None, "batch_axis": 0}]


def test_outputs_named_by_keys_apart_from_inputs() -> None:
    class Named(Loop):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x": super().forward(x), "rate": super().forward(x).mean(1)}

    report = checked(export(Named(), torch.rand(3, 11, 6), time_axis=1))
    assert kinds(report, ops.Output) == ["x_out", "rate"]
