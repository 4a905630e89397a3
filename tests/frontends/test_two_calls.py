"""A stateful module, called twice, is the recovered program, run on: no state is lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnc.exporting import export
from snnc.frontends.evaluate import Evaluator
from tests.marks import quick_first

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, BATCH = 7, 3


def spike(v: Tensor) -> Tensor:
    return (v >= 1).float()


class Attribute(nn.Module):
    """One step; the membrane is a plain attribute, at first a number."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.v = nn.Linear(5, 8), 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = 0.8 * self.v + self.fc(x)
        s = spike(v)
        self.v = v - s
        return s


class Buffer(nn.Module):
    """One step; the membrane is a registered buffer that is assigned."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 8)
        self.register_buffer("v", torch.rand(1, 8))

    def forward(self, x: Tensor) -> Tensor:
        v = 0.8 * self.v + self.fc(x)
        s = spike(v)
        self.v = v - s
        return s


class BufferLoop(Buffer):
    """All steps of (T, B, …); the buffer goes on from the last call."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(BufferLoop, self).forward(i) for i in x])


class ListOfStates(nn.Module):
    """One step of two layers; the membranes are in a list, None at first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList((nn.Linear(5, 8), nn.Linear(8, 8)))
        self.states: list[Any] = [None, None]

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            i, v = layer(x), self.states[k]
            v = i if v is None else 0.8 * v + i
            x = spike(v)
            self.states[k] = v * (1 - x)
        return x


def _snntorch(**options: Any) -> nn.Module:
    snn = pytest.importorskip("snntorch")
    return nn.Sequential(
        *(nn.Linear(5, 8), snn.Leaky(0.9, init_hidden=True, **options)),
        *(nn.Linear(8, 8), snn.Synaptic(0.7, 0.8, init_hidden=True, **options)),
    )


def _spikingjelly(mode: str) -> nn.Module:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    functional = pytest.importorskip("spikingjelly.activation_based.functional")
    net = nn.Sequential(
        *(nn.Linear(5, 8), neuron.LIFNode(tau=2.0)),
        *(nn.Linear(8, 8), neuron.ParametricLIFNode(init_tau=3.0, v_reset=None)),
    )
    functional.set_step_mode(net, mode)
    return net


def _sinabs() -> nn.Module:
    layers = pytest.importorskip("sinabs.layers")
    return nn.Sequential(nn.Linear(5, 8), layers.IAF(), nn.Linear(8, 8), layers.LIF(10.0))


#: Name → module, and whether it takes one step at a time.
NETS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "attribute": (Attribute, True),
    "buffer": (Buffer, True),
    "buffer, all steps": (BufferLoop, False),
    "list of states": (ListOfStates, True),
    "snnTorch": (_snntorch, True),
    "snnTorch, delayed reset": (lambda: _snntorch(reset_mechanism="zero", threshold=0.7), True),
    "SpikingJelly": (lambda: _spikingjelly("s"), True),
    "SpikingJelly, all steps": (lambda: _spikingjelly("m"), False),
    "sinabs": (_sinabs, False),
}


def called(net: nn.Module, x: Tensor, step: bool) -> Tensor:
    """What the user's own loop gets, without a reset."""
    with torch.no_grad():
        out: Tensor = torch.stack([net(i) for i in x]) if step else net(x)
    return out


@pytest.mark.parametrize(
    "name", quick_first(NETS, "attribute", "buffer", "snnTorch", "SpikingJelly")
)
def test_two_calls_of_the_module_are_two_runs_of_the_program(name: str) -> None:
    torch.manual_seed(4)
    make, step = NETS[name]
    net, time_axis = make().eval(), 1 if name == "sinabs" else 0
    with torch.no_grad():
        for p in net.modules():
            if isinstance(p, nn.Linear):
                p.weight.mul_(4)
    shape = (BATCH, STEPS, 5) if time_axis else (STEPS, BATCH, 5)
    first, second = torch.randn(shape), torch.randn(shape)
    options = {"step_module": step} if step else {}
    report = export(copy.deepcopy(net), first, time_axis=time_axis, **options)
    assert report.checks["numeric"]["calls"] == "kept"

    (source,) = (n["name"] for n in report.model.meta["inputs"])
    runs: list[Evaluator] = []
    for x in (first, second):
        given = {source: x if time_axis else x.transpose(0, 1)}
        runs.append(Evaluator(report.graph, given, after=runs[-1] if runs else None))
        have, want = runs[-1].outputs["out"], called(net, x, step)
        want = want if time_axis else want.transpose(0, 1)
        assert torch.equal(have, want)
        assert want.any()
    # the state matters: a second run that starts afresh is another
    afresh = Evaluator(report.graph, given)
    assert not torch.equal(afresh.outputs["out"], runs[-1].outputs["out"])
