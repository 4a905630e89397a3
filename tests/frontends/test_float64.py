"""Every spike of the libraries' own float64 forward, over 100 steps, is a spike of the graph."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.frontends.evaluate import Evaluator

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, BATCH, SIZE = 100, 4, 16


class Loop(nn.Module):
    """(T, B, N) currents to spikes, with the state handed from step to step."""

    def __init__(self, neuron: nn.Module, start: Callable[[], tuple[Any, ...]]) -> None:
        super().__init__()
        self.neuron, self.start = neuron, start

    def forward(self, x: Tensor) -> Tensor:
        state, out = self.start(), []
        for t in range(x.shape[0]):
            s, *state = self.neuron(x[t], *state)
            out.append(s)
        return torch.stack(out)


class Layer(nn.Module):
    """A layer that takes all steps, after a reset if it has one."""

    def __init__(self, layer: nn.Module, batch_first: bool = False) -> None:
        super().__init__()
        self.layer, self.batch_first = layer, batch_first

    def forward(self, x: Tensor) -> Tensor:
        for name in ("reset", "reset_state", "reset_states"):
            if hasattr(self.layer, name):
                getattr(self.layer, name)()
        y = self.layer(x.transpose(0, 1) if self.batch_first else x)
        y = y[0] if isinstance(y, tuple) else y
        return y.transpose(0, 1) if self.batch_first else y


def _snntorch(kind: str, *args: float, **options: Any) -> nn.Module:
    snn = importlib.import_module("snntorch")
    return Loop(getattr(snn, kind)(*args, **options), tuple)


def _spikingjelly(kind: str, **options: Any) -> nn.Module:
    neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    return Layer(getattr(neuron, kind)(step_mode="m", **options))


def _norse(kind: str) -> nn.Module:
    cell = getattr(importlib.import_module("norse.torch"), kind)
    return Loop(cell(), lambda: (None,))


def _sinabs(kind: str, **options: Any) -> nn.Module:
    layers = importlib.import_module("sinabs.layers")
    return Layer(getattr(layers, kind)(**options), batch_first=True)


CASES: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "snntorch Leaky": (lambda: _snntorch("Leaky", 0.9), 1.0),
    "snntorch Leaky reset_delay=False": (lambda: _snntorch("Leaky", 0.9, reset_delay=False), 1.0),
    "spikingjelly LIFNode": (lambda: _spikingjelly("LIFNode"), 2.0),
    "norse LIFCell": (lambda: _norse("LIFCell"), 2.0),
    "sinabs LIF": (lambda: _sinabs("LIF", tau_mem=20.0), 8.0),
}


@pytest.mark.parametrize("name", CASES)
def test_spikes_are_identical(name: str) -> None:
    library = name.partition(" ")[0]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: see tests/frontends/zoo/requirements.txt")
    make, gain = CASES[name]
    module = make().eval()
    x = (torch.randn(STEPS, BATCH, SIZE) * gain).double()
    report = snnc.export(module, x[:12].float(), time_axis=0)
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)  # of states that forward makes
        with torch.no_grad():
            expected = make().eval().double()(x)
    finally:
        torch.set_default_dtype(default)
    (out,) = (o["name"] for o in report.model.meta["outputs"])
    run = Evaluator(report.graph, {"x": x.transpose(0, 1)}, STEPS, torch.float64)
    found = run.outputs[out].transpose(0, 1)
    assert torch.equal(found, expected.double())  # a library may write spikes as float32
    assert 0.02 < (expected > 0).double().mean() < 0.9
