"""The whole road for networks as users write them: export, compile, and compare every word.

The weights are random but drawn so that every layer fires; accuracy is the examples' business.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from tests.lavaenv import ENV

STEPS = 20


class ASN(nn.Module):
    """Adaptive spiking neurons: ``tau_eff = softplus(tau) + 1``, reset to zero."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.tau = nn.Parameter(torch.randn(outputs))
        self.theta = 0.3

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        tau_eff = nn.functional.softplus(self.tau) + 1
        v = v + (self.fc(x) - v) / tau_eff
        s = (v >= self.theta).to(x.dtype)
        return s, v * (1 - s)


class ASNSNN(nn.Module):
    """A stack of ASN in a loop over time; the readout sees the last membrane."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ASN(12, 24), ASN(24, 16)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states = [torch.zeros(x.shape[0], m.fc.out_features) for m in self.layers]
        spikes = []
        for t in range(x.shape[1]):
            h = x[:, t]
            for i, layer in enumerate(self.layers):
                h, states[i] = layer(h, states[i])
            spikes.append(h)
        return self.head(states[-1]), torch.stack(spikes, 1)


def snntorch_net() -> nn.Module:
    snn = pytest.importorskip("snntorch", exc_type=ImportError)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(12, 24), snn.Leaky(beta=0.9, threshold=0.6)
            self.fc2, self.lif2 = nn.Linear(24, 5), snn.Leaky(beta=0.8, threshold=0.6)

        def forward(self, x: Tensor) -> Tensor:
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            out = []
            for t in range(x.shape[0]):
                spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                out.append(spk2)
            return torch.stack(out).sum(0)

    return Net()


def spikingjelly_net() -> nn.Module:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron", exc_type=ImportError)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        neuron.LIFNode(tau=2.0, v_threshold=0.4),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 5),
        neuron.LIFNode(tau=2.0, v_threshold=0.3),
    )


class Recurrent(nn.Module):
    """LIF with learned leak per neuron, and recurrent weights."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.back = nn.Linear(12, 20), nn.Linear(20, 20, bias=False)
        self.leak = nn.Parameter(torch.randn(20))
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = s = torch.zeros(x.shape[0], 20)
        scores = []
        for t in range(x.shape[1]):
            v = torch.sigmoid(self.leak) * v + self.into(x[:, t]) + self.back(s)
            s = (v > 0.5).float()
            v = v - 0.5 * s
            scores.append(self.head(s))
        return torch.stack(scores).mean(0)


def loud(module: nn.Module) -> nn.Module:
    """Weights large enough that every layer fires."""
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.Linear | nn.Conv2d):
                m.weight.mul_(2.5)
    return module.eval()


CASES = {
    "asn": (lambda: ASNSNN(), (8, STEPS, 12), {"time_axis": 1}),
    "snntorch": (snntorch_net, (STEPS, 8, 12), {"time_axis": 0}),
    "spikingjelly": (spikingjelly_net, (STEPS, 8, 1, 8, 8), {"time_axis": 0, "readout": "sum"}),
    "recurrent": (lambda: Recurrent(), (8, STEPS, 12), {"time_axis": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_exact_on_every_backend_and_true_to_the_float_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    make, shape, how = CASES[name]
    module = loud(make())
    example = torch.randint(0, 256, shape) / 255
    report = snnc.export(module, example, tmp_path / "model.pt", **how)
    assert report.checks["proof"]
    assert all(report.checks["numeric"]["active"].values())
    targets = "numpy,c,lava" if ENV else "numpy,c"
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target=targets)
    x = np.random.default_rng(1).integers(0, 256, (60, *sample(shape, how["time_axis"]))) / 255
    found = artifact.verify(x.astype(np.float32))
    document = found.document()
    assert found.exact, document
    for backend in targets.split(","):
        part = document["backends"][backend]
        assert part["equal"]
        assert part["samples"] >= 50
        assert part["words_compared"] > 50 * STEPS * 5
    spikes = document["agreement"]["quantized_spikes"]
    assert spikes
    for layer, share in spikes.items():
        assert share >= 0.999, layer
        assert 0.01 < document["rates"][layer] < 0.99


def sample(shape: tuple[int, ...], time_axis: int) -> tuple[int, ...]:
    """(T, ...) of one sample: batch first, time second is our own layout."""
    rest = list(shape)
    steps = rest.pop(time_axis)
    return (steps, *rest[1:])
