"""snnTorch and SpikingJelly modules: hidden state, explicit state, single and multi step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from snnc import ops
from snnc.exporting import Report, export

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def snntorch() -> Any:
    torch.manual_seed(0)
    return pytest.importorskip("snntorch")


@pytest.fixture
def jelly() -> Any:
    torch.manual_seed(0)
    pytest.importorskip("spikingjelly")
    from spikingjelly import activation_based
    from spikingjelly.activation_based import functional, layer, neuron  # noqa: F401

    return activation_based


def checked(report: Report, states: int) -> Report:
    assert set(report.checks["proof"].values()) == {"identical"}
    assert report.checks["numeric"]["difference"] <= 1e-6
    assert min(report.checks["numeric"]["active"].values()) > 0
    assert report.checks["states"] == states
    return report


class LeakyLoop(nn.Module):
    """The tutorial's network: explicit membranes, a loop over ``num_steps``."""

    def __init__(self, snntorch: Any, reset: str, static: bool = False) -> None:
        super().__init__()
        self.num_steps, self.static = 9, static
        self.fc1 = nn.Linear(6, 12)
        beta = torch.rand(12) * 0.5 + 0.4
        self.lif1 = snntorch.Leaky(beta=beta, threshold=0.3, learn_beta=True, reset_mechanism=reset)
        self.fc2 = nn.Linear(12, 4)
        self.lif2 = snntorch.Leaky(beta=0.9, threshold=0.2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for t in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(x if self.static else x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_snntorch_leaky(snntorch: Any, reset: str) -> None:
    net = LeakyLoop(snntorch, reset)
    report = checked(export(net, torch.rand(9, 5, 6) * 2, steps=9), 2)
    assert {"fc1", "lif1.beta", "lif2.beta", "fc2"} <= {n.name for n in report.graph}
    assert report.model.meta["outputs"][0]["axes"] == [["time"], ["batch"], [4]]
    # strict comparison, and the reset reads the membrane of the step before
    comparisons = [n for n in report.graph if isinstance(n.op, ops.Pointwise) and n.op.fn == "gt"]
    assert len(comparisons) == 4
    spike_loc = next(n.loc for n in report.graph if n.name == "fc1")
    assert spike_loc.file is not None
    assert spike_loc.file.endswith("test_libraries.py")


def test_snntorch_static_input(snntorch: Any) -> None:
    net = LeakyLoop(snntorch, "subtract", static=True)
    report = checked(export(net, torch.rand(5, 6) * 2), 2)
    assert str(report.graph["fc1"].type) == "f32[12]@once"


def test_snntorch_hidden_state_gets_a_loop(snntorch: Any) -> None:
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)),
        snntorch.Leaky(beta=0.8, threshold=0.2, init_hidden=True),
        *(nn.Flatten(), nn.Linear(36, 4)),
        snntorch.Leaky(beta=0.9, threshold=0.2, init_hidden=True, output=True),
    )
    example = torch.rand(7, 2, 1, 8, 8)
    for _ in range(3):  # a state with a gradient is left over, as after training
        net(example[0])
    report = checked(export(net, example, steps=7, outputs=["spikes", "membrane"]), 2)
    assert [n.name for n in report.graph if isinstance(n.op, ops.Output)] == ["spikes", "membrane"]


def jelly_net(jelly: Any, mode: str) -> nn.Module:
    net = nn.Sequential(
        jelly.layer.Conv2d(1, 4, 3, bias=False),
        jelly.layer.BatchNorm2d(4),
        jelly.neuron.IFNode(v_threshold=0.3),
        jelly.layer.MaxPool2d(2, 2),
        jelly.layer.Flatten(),
        jelly.layer.Linear(36, 12, bias=False),
        jelly.neuron.LIFNode(tau=2.0, v_threshold=0.1, detach_reset=True),
        jelly.layer.Linear(12, 4),
        jelly.neuron.ParametricLIFNode(init_tau=3.0, v_reset=None, v_threshold=0.05),
    )
    jelly.functional.set_step_mode(net, mode)
    return net


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly_single_and_multi_step(jelly: Any, mode: str) -> None:
    example = torch.rand(7, 2, 1, 8, 8)
    report = checked(export(jelly_net(jelly, mode), example, steps=7), 3)
    assert {"0", "1", "5", "7", "8.w"} <= {n.name for n in report.graph}
    assert str(report.graph["0"].type) == "f32[4,6,6]@step"


def test_spikingjelly_rate_readout(jelly: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = jelly_net(jelly, "m")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            jelly.functional.reset_net(self.net)
            y: torch.Tensor = self.net(x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)).mean(0)
            return y

        T = 5

    net = Net()
    net.T = 5  # an attribute of the instance, as users have it
    report = checked(export(net, torch.rand(2, 1, 8, 8)), 3)
    assert sum(isinstance(n.op, ops.TimeMean) for n in report.graph) == 1
    assert str(report.graph["net.1"].type) == "f32[4,6,6]@once"


class ExplicitState(nn.Module):
    """One step, ``forward(x, spikes, membrane) -> (spikes, spikes, membrane)``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.back = nn.Linear(5, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, s: torch.Tensor, v: torch.Tensor) -> Any:
        v = 0.9 * v + self.fc(x) + self.back(s)
        s = (v > 0.4).float()
        return s, s, v - 0.4 * s


def test_explicit_state() -> None:
    state = (torch.zeros(8), torch.full((8,), 0.1))
    example = torch.rand(6, 3, 5) * 2
    report = checked(export(ExplicitState(), example, time_axis=0, state=state, readout="sum"), 2)
    (init,) = (e.init for e in report.graph.edges if e.dst.startswith("mul") and e.init)
    assert float(init.data.max()) == pytest.approx(0.1)


def test_step_module_with_its_own_buffer() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v: torch.Tensor | None = None

        def reset(self) -> None:
            self.v = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.v = x if self.v is None else 0.5 * self.v + x
            return (self.v > 1.0).float()

    report = export(Counter(), torch.rand(8, 3, 4), steps=8)
    assert report.checks["states"] == 1
    assert set(report.checks["proof"].values()) == {"up to zeros"}


def test_a_sinabs_layer_that_has_run_with_another_batch_size() -> None:
    sl: Any = pytest.importorskip("sinabs.layers", exc_type=ImportError)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), sl.IAF(), nn.Linear(6, 4), sl.LIF(10.0, norm_input=False))
    x = torch.rand(3, 8, 5) * 8
    new = export(net, x, time_axis=1)
    net(x[:2].detach())
    used = checked(export(net, x, time_axis=1), states=2)
    assert str(used.graph) == str(new.graph)
