"""What silently goes wrong elsewhere: kept state, other types, training mode, shared parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import snnc
from snnc import ops
from snnc.diagnostics import CompileError
from snnc.exporting import Report, export
from snnc.frontends import recover_loop
from snnc.frontends.evaluate import Evaluator


def fire(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    s = (v >= 0.3).to(v.dtype)
    return v - s * 0.3, s


class Net(nn.Module):
    """(B, T, 6) through two layers; ``reset`` says whether a call starts afresh."""

    def __init__(self, reset: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.drop, self.fc2 = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 4)
        self.bn, self.reset = nn.BatchNorm1d(8), reset
        self.v: Any = None
        with torch.no_grad():
            self.fc1.weight *= 3
            self.fc2.weight *= 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.reset or self.v is None:
            self.v = [x.new_zeros(len(x), 8), x.new_zeros(len(x), 4)]
        out = []
        for t in range(x.shape[1]):
            self.v[0], s = fire(0.8 * self.v[0] + self.bn(self.fc1(x[:, t])))
            self.v[1], s = fire(0.9 * self.v[1] + self.fc2(self.drop(s)))
            out.append(s)
        return torch.stack(out, 1)


def example(*shape: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(shape or (3, 9, 6)) * 2


def checked(report: Report) -> Report:
    assert set(report.checks["proof"].values()) <= {"identical", "up to zeros"}
    assert report.checks["numeric"]["difference"] <= 1e-6
    assert all(report.checks["numeric"]["active"].values())
    return report


def test_a_call_that_starts_afresh() -> None:
    report = checked(export(Net(), example(), time_axis=1))
    assert report.checks["numeric"]["calls"] == "fresh"
    assert not [d for d in report.diagnostics if d.code == "R137"]


def test_two_calls_of_a_stateful_module_are_two_calls_of_the_step() -> None:
    x, net = example(), Net(reset=False).eval()
    report = checked(export(net, x, time_axis=1))
    assert report.checks["numeric"]["calls"] == "kept"
    assert [d for d in report.diagnostics if d.code == "R137"]
    first = Evaluator(report.graph, {"x": x})
    second = Evaluator(report.graph, {"x": x}, after=first)
    with torch.no_grad():
        assert torch.equal(first.outputs["out"], net(x))
        assert torch.equal(second.outputs["out"], net(x))
    assert not torch.equal(first.outputs["out"], second.outputs["out"])


def test_a_call_that_depends_on_how_often_it_was_called_before() -> None:
    class Counting(Net):
        calls = 0.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x * (self.calls < 2))

    with pytest.raises(CompileError, match="E137") as caught:
        export(Counting(), example(), time_axis=1)
    assert "second call" in str(caught.value)


def test_a_state_left_from_training_is_not_the_initial_state() -> None:
    class WithReset(Net):
        def reset_state(self) -> None:
            self.v = None

    net = WithReset(reset=False).eval()
    net(example())
    fresh, used = (export(n, example(), time_axis=1) for n in (WithReset(reset=False), net))
    assert str(fresh.graph) == str(used.graph)
    assert net.v is not None  # the user's module is left alone


def test_training_mode_left_on_gives_the_network_in_eval_mode() -> None:
    net = Net()
    net.train()
    report = checked(export(net, example(), time_axis=1))
    assert net.training
    have = Evaluator(report.graph, {"x": example()}).outputs["out"]
    with torch.no_grad():
        assert torch.equal(have, net.eval()(example()))


def test_dropout_that_forward_switches_on_is_refused() -> None:
    class Monte(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(nn.functional.dropout(x, 0.5, training=True))

    with pytest.raises(CompileError, match="E134"):
        export(Monte(), example(), time_axis=1)


def test_float64_is_compared_in_float64_and_compiles(tmp_path: Path) -> None:
    net, x = Net().double().eval(), example().double()
    report = checked(export(net, x, tmp_path / "model.pt", time_axis=1))
    assert report.checks["numeric"]["arithmetic"] == "float64"
    with torch.no_grad():
        run = Evaluator(report.graph, {"x": x}, dtype=torch.float64)
        assert torch.equal(run.outputs["out"], net(x))
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out")
    found = artifact.verify(x.numpy().astype(np.float32)).document()
    assert min(found["agreement"]["quantized_spikes"].values()) > 0.99


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_computed_with_in_float32(dtype: torch.dtype) -> None:
    net, x = Net().to(dtype).eval(), example()
    report = checked(export(net, x.to(dtype), time_axis=1))
    assert [d for d in report.diagnostics if d.code == "W139"]
    weight = report.graph["fc1"].op.params["weight"].data
    assert np.array_equal(weight, net.fc1.weight.detach().float().numpy())
    assert net.fc1.weight.dtype is dtype


def test_every_spike_in_float64_over_a_hundred_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recover_loop, "LONGEST", 9)  # traces of a hundred steps prove no more here
    x = example(2, 100, 6).double()
    net = Net().double().eval()
    report = export(net, x, time_axis=1)
    assert report.checks["numeric"]["exact"]


class Shared(nn.Module):
    """One layer twice, and a readout tied to the first weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.Sequential(nn.Sequential(nn.Linear(6, 6)), nn.Identity())
        self.again, self.readout = self.cell, nn.Linear(6, 6, bias=False)
        self.readout.weight = self.cell[0][0].weight
        with torch.no_grad():
            self.readout.weight *= 4

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        v = w = torch.zeros(len(x), 6)
        spikes = []
        for t in range(x.shape[1]):
            v, s = fire(0.8 * v + self.cell(x[:, t]))
            w, s = fire(0.8 * w + self.again(s))
            spikes.append(s)
        return {"spikes": torch.stack(spikes, 1), "last": (self.readout(w), v)}


def test_shared_modules_tied_weights_nested_modules_and_nested_outputs() -> None:
    report = checked(export(Shared(), example(), time_axis=1))
    weights = [n.op.params["weight"].data for n in report.graph if isinstance(n.op, ops.Linear)]
    assert len(weights) == 3
    assert all(np.array_equal(w, weights[0]) for w in weights)
    names = [n.name for n in report.graph if isinstance(n.op, ops.Output)]
    assert names[0] == "spikes"
    assert len(set(names)) == 3


def test_several_inputs_one_of_them_static() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.left, self.right = nn.Linear(6, 5), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            v, out = x.new_zeros(len(x), 5), []
            for t in range(x.shape[1]):
                v, s = fire(0.8 * v + 3 * self.left(x[:, t]) + self.right(bias))
                out.append(s)
            return torch.stack(out, 1), v

    inputs = (example(), example(3, 4))
    report = checked(export(Two(), inputs, time_axis=1, steps=9))
    sides = [(i["name"], i["time_axis"]) for i in report.model.meta["inputs"]]
    assert sides == [("x", 1), ("bias", None)]


def test_layers_that_are_reset_through_a_list_of_all_instances() -> None:
    snn = pytest.importorskip("snntorch")

    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(6, 8)
            self.lif = snn.Leaky(beta=0.8, threshold=0.2, init_hidden=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            snn.Leaky.reset_hidden()
            return torch.stack([self.lif(self.fc(x[:, t])) for t in range(x.shape[1])], 1)

    net = Listed().eval()
    before = net(example())
    membrane = net.lif.mem
    report = checked(export(net, example(), time_axis=1))
    assert report.checks["numeric"]["calls"] == "fresh"
    assert net.lif.mem is membrane
    assert torch.equal(net(example()), before)


def test_batch_and_time_in_one_axis() -> None:
    class Squeezed(nn.Module):
        """(B*T, 6); the layer knows how many samples there are."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc, self.batch_size = nn.Linear(6, 8), 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = 3 * self.fc(x).unflatten(0, (self.batch_size, -1))
            v, out = y.new_zeros(self.batch_size, 8), []
            for i in y.unbind(1):
                v, s = fire(0.8 * v + i)
                out.append(s)
            return torch.stack(out, 1).flatten(0, 1)

    report = checked(export(Squeezed(), example(27, 6), time_axis=0, batch_axis=0, steps=9))
    assert report.graph["x"].type.shape == (6,)
    assert report.model.meta["outputs"][0]["axes"] == [["batch", "time"], [8]]
    with pytest.raises(CompileError, match="E139"):
        export(Squeezed(), example(27, 6), time_axis=0, batch_axis=0, steps=8)


def test_a_gain_of_one_leaves_spikes_alone() -> None:
    class Gain(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("gain", torch.tensor(1.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * self.gain

    graph = checked(export(Gain(), example(), time_axis=1)).graph
    assert "gain" not in {n.name for n in graph}


def test_complex_state_times_a_complex_number_of_the_source() -> None:
    class Phase(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z, out = torch.zeros(len(x), 6, dtype=torch.complex64), []
            for t in range(x.shape[1]):
                z = (0.5 + 0.5j) * z + x[:, t]
                out.append((z.real >= 0.3).float())
            return torch.stack(out, 1)

    report = checked(export(Phase(), example(), time_axis=1))
    assert len({(e.src, e.out) for e in report.graph.edges if e.delay}) == 2


def test_a_queue_that_is_longer_than_the_first_traces() -> None:
    class Queue(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            queue, v, out = [x.new_zeros(len(x), 8)] * 4, x.new_zeros(len(x), 8), []
            for t in range(x.shape[1]):
                v, s = fire(0.8 * v + self.fc1(x[:, t]))
                queue.append(s)
                out.append(self.fc2(queue[-5]))
            return torch.stack(out, 1)

    graph = checked(export(Queue(), example(), time_axis=1)).graph
    assert {e.delay for e in graph.edges} == {0, 1, 4}


def test_a_module_that_resets_only_some_of_its_states() -> None:
    class Partly(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.v is not None:
                self.v[0] = x.new_zeros(len(x), 8)
            return super().forward(x)

    report = checked(export(Partly(reset=False), example(), time_axis=1))
    assert report.checks["numeric"]["calls"] == "kept"


def test_outputs_that_do_not_depend_on_the_input() -> None:
    class Deaf(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            v, out = torch.zeros(len(x), 6), []
            for _ in range(x.shape[1]):
                v, s = fire(0.8 * v + 0.2)
                out.append(s)
            return torch.stack(out, 1)

    with pytest.raises(CompileError, match="no output depends on an input") as caught:
        export(Deaf(), example(), time_axis=1)
    assert caught.value.diagnostics[0].code == "E139"


class Packed(nn.Module):
    """Returns spikes and membranes in what it is told to."""

    def __init__(self, pack: Any) -> None:
        super().__init__()
        self.fc, self.pack = nn.Linear(3, 4), pack

    def forward(self, x: torch.Tensor) -> Any:
        v, spikes, membranes = torch.zeros(len(x), 4), [], []
        for t in range(x.shape[1]):
            v = 0.5 * v + self.fc(x[:, t])
            spikes.append((v >= 0.1).float())
            membranes.append(v)
        return self.pack(torch.stack(spikes, 1), torch.stack(membranes, 1))


class Pair(NamedTuple):
    spikes: torch.Tensor
    membranes: torch.Tensor


@dataclass
class Fields:
    spikes: torch.Tensor
    membranes: torch.Tensor


@pytest.mark.parametrize("pack", [Pair, Fields])
def test_outputs_have_the_names_of_fields(pack: Any) -> None:
    report = export(Packed(pack), torch.rand(2, 6, 3) * 4, time_axis=1)
    assert [o["name"] for o in report.model.meta["outputs"]] == ["spikes", "membranes"]
    assert report.checks["numeric"]["exact"]


def test_an_example_that_the_module_does_not_take() -> None:
    with pytest.raises(CompileError, match=r"E139.*fails on the example") as caught:
        export(Packed(Pair), torch.ones(2, 6, 3, dtype=torch.int32), time_axis=1)
    assert "test_traps.py" in str(caught.value)
