"""Files of ``torch.export.save``: one trace with a fixed number of steps becomes a loop again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from snnc.container import LoadedModel, read_model
from snnc.diagnostics import CompileError
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.from_pt2 import read_bytes
from snnc.frontends.numeric_check import sequence_first
from snnc.frontends.pt2_program import ALLOWED
from snnc.frontends.rules import RULES

pytestmark = pytest.mark.filterwarnings("ignore")


class Loop(nn.Module):
    """Two layers, soft and hard reset; time may be any axis, or there is none."""

    def __init__(self, readout: str, axis: int | None = 0, steps: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
        self.tau = nn.Parameter(torch.tensor(0.3))
        self.readout, self.axis, self.steps = readout, axis, steps

    def forward(self, x: torch.Tensor) -> Any:
        batch = x.shape[0] if self.axis != 0 else x.shape[1]
        v, m, total = torch.zeros(batch, 8), torch.zeros(batch, 3), torch.zeros(batch, 3)
        steps = self.steps if self.axis is None else x.shape[self.axis]
        spikes = []
        for t in range(steps):
            now = x if self.axis is None else x.select(self.axis, t)
            v = torch.sigmoid(self.tau) * v + 2 * self.a(now)
            s = (v >= 0.5).float()
            v = v - s * 0.5
            m = 0.8 * m + self.b(s)
            q = (m > 0.1).float()
            m = m * (1 - q)
            total = total + q
            spikes.append(q)
        results = {
            "stack": torch.stack(spikes, self.axis or 0),
            "sum": total,
            "mean": total / steps,
            "last": m,
        }
        return {"rate": total, "mem": m} if self.readout == "dict" else results[self.readout]


class FirstStep(nn.Module):
    """The first step starts from nothing; the output is delayed by one step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Linear(6, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mem: Any = None
        s = torch.zeros(x.shape[1], 8)
        total: Any = 0
        for t in range(x.shape[0]):
            current = self.a(x[t])
            total = total + s
            mem = current if mem is None else 0.9 * mem + current
            s = (mem > 0.2).float()
            mem = mem - 0.2 * s
        return total


class Layers(nn.Module):
    """Layer by layer over the whole sequence, with batch and time joined."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c, self.bn, self.f = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 3)

    def spiking(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros_like(x[0]), []
        for t in range(x.shape[0]):
            v = v + (x[t] - v) / 2.0
            s = (v >= 0.2).to(x)
            v = (1 - s) * v
            out.append(s)
        return torch.stack(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, batch = x.shape[:2]
        y = self.bn(self.c(x.flatten(0, 1))).view(steps, batch, 4, 3, 3)
        z = self.f(self.spiking(y).flatten(2).flatten(0, 1)).view(steps, batch, 3)
        return self.spiking(z).mean(0)


def saved(module: nn.Module, x: torch.Tensor, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(module.eval(), (x,), **options), buffer)
    return buffer.getvalue()


def read(data: bytes) -> LoadedModel:
    return read_bytes(data, "net.pt2", {})


def check(module: nn.Module, x: torch.Tensor, time: int | None, batch: int | None) -> LoadedModel:
    """Read the exported module, and run the graph on other data against the module itself."""
    model = read(saved(module, x))
    assert model.meta["inputs"] == [{"name": "x", "time_axis": time, "batch_axis": batch}]
    assert model.meta["fixed_steps"] is True
    assert set(model.meta["checks"]["proof"].values()) <= {"identical", "up to zeros"}
    steps = x.shape[time] if time is not None else model.graph.steps
    given = torch.rand(x.shape, generator=torch.Generator().manual_seed(7))
    run = Evaluator(model.graph, {"x": sequence_first(given, time, batch)}, steps)
    with torch.no_grad():
        want = module(given)
    for name, y in (want if isinstance(want, dict) else {"out": want}).items():
        have = run.outputs[name]
        if have.dim() == y.dim() and have.shape != y.shape:
            have = have.transpose(0, 1)
        assert torch.equal(have.reshape(y.shape), y)
        assert y.any()
    return model


@pytest.mark.parametrize("readout", ["stack", "sum", "mean", "last", "dict"])
def test_readouts(readout: str) -> None:
    check(Loop(readout), torch.rand(5, 2, 6), 0, 1)


def test_layouts() -> None:
    check(Loop("sum", 1), torch.rand(1, 6, 6), 1, 0)
    check(Loop("sum", None), torch.rand(2, 6), None, 0)
    check(FirstStep(), torch.rand(6, 3, 6), 0, 1)
    check(Layers(), torch.rand(4, 3, 2, 5, 5), 0, 1)


def test_a_batch_axis_of_any_size() -> None:
    shapes = ({0: torch.export.Dim("b")},)
    model = read(saved(Loop("sum", 1), torch.rand(2, 6, 6), dynamic_shapes=shapes))
    assert model.meta["inputs"] == [{"name": "x", "time_axis": 1, "batch_axis": 0}]


def test_layers_and_lines_of_the_user_are_kept() -> None:
    model = check(Loop("sum"), torch.rand(5, 2, 6), 0, 1)
    assert model.graph["a"].loc.file == Path(__file__).name
    assert {"a", "b"} <= {n.name for n in model.graph}


def test_through_the_child_process(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(saved(Loop("sum"), torch.rand(5, 2, 6)))
    model = read_model(tmp_path / "net.pt2")
    assert model.graph.name == "net"
    assert model.diagnostics[0].code == "R149"


def code_of(module: nn.Module, x: torch.Tensor) -> str:
    with pytest.raises(CompileError) as caught:
        read(saved(module, x))
    return caught.value.diagnostics[0].code


class Step(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 8)
        self.register_buffer("mem", torch.zeros(1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mem.mul_(0.5).add_(self.a(x))
        return (self.mem > 0.5).float()


class AlongTime(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.what == "softmax":
            return torch.softmax(x, 0)
        if self.what == "random":
            return (torch.rand_like(x) < x).float().sum(0)
        v, out = torch.zeros_like(x[0]), []
        for t in reversed(range(x.shape[0])):
            v = 0.5 * v + x[t]
            out.append((v > 0.3).float())
        return torch.stack(out[::-1])


def test_refusals() -> None:
    assert code_of(Step(), torch.rand(1, 6)) == "E137"
    assert code_of(AlongTime("softmax"), torch.rand(5, 2, 6)) == "E133"
    assert code_of(AlongTime("random"), torch.rand(5, 2, 6)) == "E134"
    assert code_of(AlongTime("reversed"), torch.rand(5, 2, 6)) == "E133"


def test_every_operator_with_a_rule_may_be_read() -> None:
    assert set(RULES) - {"getitem"} <= ALLOWED


@pytest.mark.parametrize("name", ["from_file", "set_", "resize_", "_foo", "save"])
def test_operators_that_reach_outside_are_not_allowed(name: str) -> None:
    assert name not in ALLOWED
    assert name.removesuffix("_") not in ALLOWED
