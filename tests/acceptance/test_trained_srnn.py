"""Published recurrent and actor networks, written from their equations, with their weights.

The ECG network is the adaptive SRNN of Yin, Corradi and Bohté (2021), trained by its authors on
the QT database: 85.89 % of the time steps right by the name of its file.  The actor is the
spiking network of Tang, Kumar and Michmizos (2020) for mapless navigation.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.frontends.evaluate import Evaluator
from tests.realdata import real_files


def adaptive(
    i: Tensor, state: tuple[Tensor, ...], tau_m: Tensor, tau_adp: Tensor, b0: float, beta: float
) -> tuple[Tensor, ...]:
    """One step of (membrane, spike, adaptation); the threshold is ``b0 + beta b``."""
    v, s, b = state
    alpha, ro = torch.exp(-1 / tau_m), torch.exp(-1 / tau_adp)
    b = ro * b + (1 - ro) * s
    threshold = b0 + beta * b
    v = alpha * v + (1 - alpha) * i - threshold * s
    return v, (v > threshold).float(), b


class AdaptiveSRNN(nn.Module):
    """36 recurrent neurons and 6 adaptive readout neurons; the class is the highest membrane."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.h2h, self.h2o = nn.Linear(4, 36), nn.Linear(36, 36), nn.Linear(36, 6)
        self.tau_m_h, self.tau_adp_h = nn.Parameter(torch.ones(36)), nn.Parameter(torch.ones(36))
        self.tau_m_o, self.tau_adp_o = nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        hidden = tuple(torch.zeros(len(x), 36) for _ in range(3))
        readout = tuple(torch.zeros(len(x), 6) for _ in range(3))
        membranes = []
        for t in range(x.shape[1]):
            i = self.i2h(x[:, t]) + self.h2h(hidden[1])
            hidden = adaptive(i, hidden, self.tau_m_h, self.tau_adp_h, 0.1, 0.0)
            o = self.h2o(hidden[1])
            readout = adaptive(o, readout, self.tau_m_o, self.tau_adp_o, 0.1, 1.8)
            membranes.append(readout[0])
        return torch.stack(membranes, 1)


def test_ecg_waves_are_labelled_as_published(tmp_path: Path) -> None:
    scipy_io: Any = pytest.importorskip("scipy.io")
    recordings = scipy_io.loadmat(real_files("ecg_alif", "QTDB_test.mat"))
    x, y = torch.from_numpy(recordings["x"]).float(), recordings["y"].argmax(-1)
    net = AdaptiveSRNN()
    file = real_files("ecg_alif", "ecg_alif_srnn_36.pth")
    net.load_state_dict(torch.load(file, map_location="cpu"))  # saved on a GPU
    report = snnc.export(net, x[:4, :60], tmp_path / "ecg.pt", calibration=x, time_axis=1)
    assert report.checks["numeric"]["exact"]
    v = Evaluator(report.graph, {"x": x}).outputs["out"]
    right = (v.argmax(-1).numpy() == y)[:, 10:]  # the labels start with the eleventh step
    assert right.shape == (141, 1291)
    assert abs(right.mean() - 0.858) <= 0.003
    artifact = snnc.compile(tmp_path / "ecg.pt", tmp_path / "ecg", target="c", bits=8)
    integers = artifact.run(x.numpy(), "c").outputs["out"]
    assert (integers.argmax(-1) == y)[:, 10:].mean() > right.mean() - 0.005


class SpeechSRNN(nn.Module):
    """Two adaptive recurrent layers and a leaky readout for spoken digits, 700-128-128-20."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.i_2_h1, self.h1_2_h1 = nn.Linear(700, 128), nn.Linear(128, 128)
        self.h1_2_h2, self.h2_2_h2 = nn.Linear(128, 128), nn.Linear(128, 128)
        self.h2o = nn.Linear(128, 20)
        for name in ("tau_adp_h1", "tau_adp_h2", "tau_m_h1", "tau_m_h2"):
            self.register_parameter(name, nn.Parameter(torch.ones(128)))
        self.tau_m_o = nn.Parameter(torch.ones(20))
        own = {name: torch.from_numpy(weights[name]) for name in self.state_dict()}
        self.load_state_dict(own)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        one = two = tuple(torch.zeros(len(x), 128) for _ in range(3))
        v = torch.zeros(len(x), 20)
        spikes = torch.zeros(len(x), 128)
        for t in range(x.shape[1]):
            i = self.i_2_h1(x[:, t]) + self.h1_2_h1(one[1])
            one = adaptive(i, one, self.tau_m_h1, self.tau_adp_h1, 0.01, 1.8)
            i = self.h1_2_h2(one[1]) + self.h2_2_h2(two[1])
            two = adaptive(i, two, self.tau_m_h2, self.tau_adp_h2, 0.01, 1.8)
            alpha = torch.exp(-1 / self.tau_m_o)
            v = alpha * v + (1 - alpha) * self.h2o(two[1])
            spikes = spikes + two[1]
        return v, spikes


@pytest.mark.slow
def test_the_speech_network_equals_the_original() -> None:
    net = SpeechSRNN(np.load(real_files("shd_alif_ckpt", "shd_alif_128_128.npz")))
    x = (torch.rand(4, 250, 700, generator=torch.Generator().manual_seed(0)) < 0.02).float()
    with torch.no_grad():
        v, spikes = net(x)
    assert spikes.mean() > 5
    graph = snnc.export(net, x[:2, :50], time_axis=1, outputs=("v", "spikes")).graph
    found = Evaluator(graph, {"x": x}).outputs
    assert torch.equal(found["spikes"], spikes)
    assert torch.equal(found["v"], v)


class SpikingActor(nn.Module):
    """24-256-256-256-2: currents halve, membranes keep 3/4, a spike forgets the membrane."""

    def __init__(self, weights: Any, window: int = 5) -> None:
        super().__init__()
        self.window = window
        sizes = (24, 256, 256, 256, 2)
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        for i, layer in enumerate(self.layers):
            layer.weight = nn.Parameter(torch.from_numpy(weights[f"w{i}"]))
            layer.bias = nn.Parameter(torch.from_numpy(weights[f"b{i}"]))

    def forward(self, spikes: Tensor) -> Tensor:  # (N, 24, steps)
        states = [[torch.zeros(len(spikes), n.out_features)] * 3 for n in self.layers]
        total = torch.zeros(len(spikes), 2)
        for step in range(self.window):
            s = spikes[:, :, step]
            for layer, state in zip(self.layers, states, strict=True):
                u, v, last = state
                u = 0.5 * u + layer(s)
                v = v * 0.75 * (1.0 - last) + u
                s = v.gt(0.5).float()
                state[:] = u, v, s
            total = total + s
        return total / self.window


@pytest.mark.slow
def test_the_navigation_actor_acts_as_the_original(tmp_path: Path) -> None:
    net = SpikingActor(np.load(real_files("sddpg", "sddpg_bw_5.npz")))
    generator = torch.Generator().manual_seed(0)
    rates = torch.rand(200, 24, 1, generator=generator)
    x = (torch.rand(200, 24, 5, generator=generator) < rates).float()
    with torch.no_grad():
        actions = net(x)
    assert min(actions.std(0)) > 0.3  # both wheels turn at various speeds
    wish: dict[str, Any] = {"time_axis": 2, "steps": 5, "steps_attribute": "window"}
    report = snnc.export(net, x[:8], tmp_path / "actor.pt", **wish)
    spikes = x.transpose(1, 2)  # time is second at our boundary
    out = Evaluator(report.graph, {"spikes": spikes}).outputs["out"]
    assert torch.equal(out, actions)
    artifact = snnc.compile(tmp_path / "actor.pt", tmp_path / "actor", target="numpy,c", bits=16)
    compiled = artifact.run(spikes.numpy(), "c").outputs["out"]
    assert np.mean(np.abs(compiled - actions.numpy()) < 1e-6) > 0.99  # actions of few levels
    assert artifact.verify(spikes.numpy()[:20]).exact
