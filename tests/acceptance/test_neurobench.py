"""Trained snnTorch networks of the NeuroBench benchmarks (Yik et al., 2025) and their weights.

What the checkpoints hold beside the weights (thresholds, decays, kinds of reset) is loaded by
snnTorch's own modules: the constructors here say something else on purpose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.frontends.evaluate import Evaluator
from tests.realdata import denoised, frames, gesture, real_files

snn: Any = pytest.importorskip("snntorch", exc_type=ImportError)
utils: Any = pytest.importorskip("snntorch.utils", exc_type=ImportError)


def checkpoint(name: str) -> Any:
    return torch.load(real_files("neurobench", name), map_location="cpu")


def leaky(**settings: Any) -> nn.Module:
    made: nn.Module = snn.Leaky(beta=0.5, init_hidden=True, **settings)
    return made


class GestureNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.conv1, self.lif1 = nn.Conv2d(2, 16, 5, padding="same"), leaky()
        self.conv2, self.lif2 = nn.Conv2d(16, 32, 5, padding="same"), leaky()
        self.conv3, self.lif3 = nn.Conv2d(32, 64, 5, padding="same"), leaky()
        self.linear1, self.lif4 = nn.Linear(1024, 11), leaky(output=True)
        self.dropout = nn.Dropout(0.6)

    def forward(self, x: Tensor) -> Any:
        x = self.lif1(self.pool(self.conv1(x)))
        x = self.lif2(self.pool(self.conv2(x)))
        x = self.lif3(self.pool(self.conv3(x)))
        return self.lif4(self.dropout(self.linear1(x.flatten(1))))


def step_by_step(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of all steps, as the library computes them."""
    net.eval()
    utils.reset(net)
    with torch.no_grad():
        steps = [net(x[:, t]) for t in range(x.shape[1])]
    utils.reset(net)
    spikes, membranes = zip(*steps, strict=True)
    return torch.stack(spikes, 1), torch.stack(membranes, 1)


@pytest.mark.slow
def test_six_gestures_of_a_camera_are_recognised(tmp_path: Path) -> None:
    net = GestureNet()
    net.load_state_dict(checkpoint("dvs_gesture_snn"))
    recordings = [frames(denoised(gesture(k), 10_000), 32, 40_000) for k in range(1, 7)]
    x = torch.from_numpy(np.stack(recordings))
    spikes, membranes = step_by_step(net, x)
    wish: dict[str, Any] = {"step_module": True, "outputs": ("spikes", "membranes")}
    example, path = x[:2, :12], tmp_path / "gesture.pt"
    report = snnc.export(net, example, path, time_axis=1, calibration=x, **wish)
    found = Evaluator(report.graph, {"x": x}).outputs
    assert found["spikes"].sum(1).argmax(1).tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(found["spikes"], spikes)
    assert torch.allclose(found["membranes"], membranes, rtol=0, atol=1e-4)
    artifact = snnc.compile(path, tmp_path / "gesture", target="numpy,c")
    counts = artifact.run(x.numpy(), "c").outputs["spikes"].sum(1)
    assert counts.argmax(1).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_speech_commands_network_equals_the_original(tmp_path: Path) -> None:
    net = nn.Sequential(
        *(nn.Flatten(), nn.Linear(20, 256), leaky(), nn.Linear(256, 256), leaky()),
        *(nn.Linear(256, 256), leaky(), nn.Linear(256, 35), leaky(output=True)),
    )
    net.load_state_dict(checkpoint("s2s_gsc_snntorch"))
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 12, (5, 201, 20), generator=generator)
    x = (x == 0).float() - (x == 1).float()  # speech to spikes gives -1, 0 and 1
    spikes, membranes = step_by_step(net, x)
    assert spikes.mean() > 0.01
    wish: dict[str, Any] = {"step_module": True, "outputs": ("spikes", "membranes")}
    report = snnc.export(net, x[:2], tmp_path / "speech.pt", time_axis=1, **wish)
    found = Evaluator(report.graph, {"input": x}).outputs
    assert torch.equal(found["spikes"], spikes)
    assert torch.allclose(found["membranes"], membranes, rtol=0, atol=1e-4)
    artifact = snnc.compile(tmp_path / "speech.pt", tmp_path / "speech", target="numpy,c", bits=16)
    same = artifact.run(x.numpy(), "c").outputs["spikes"] == spikes.numpy()
    assert same.mean() > 0.99


class Reaching(nn.Module):
    """SNN2: a hidden layer and a readout without reset; the membrane is the velocity."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc_out = nn.Linear(96, 50, bias=False), nn.Linear(50, 2, bias=False)
        self.lif1 = snn.Leaky(beta=0.5, reset_mechanism="zero")
        self.lif_out = snn.Leaky(beta=0.5, reset_mechanism="none")
        self.dropout = nn.Dropout(0.3)
        self.mem1 = self.mem2 = None

    def reset(self) -> None:
        self.mem1, self.mem2 = self.lif1.init_leaky(), self.lif_out.init_leaky()

    def single_forward(self, x: Tensor) -> Any:
        spikes, self.mem1 = self.lif1(self.dropout(self.fc1(x.squeeze())), self.mem1)
        _, self.mem2 = self.lif_out(self.fc_out(spikes), self.mem2)
        return self.mem2.clone()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:  # (steps, 1, channels): one long recording
        return torch.stack([self.single_forward(x[t]) for t in range(len(x))])


def test_reaching_network_equals_the_original(tmp_path: Path) -> None:
    net = Reaching()
    net.load_state_dict(checkpoint("SNN2_indy_20160622_01.pt")["model_state_dict"])
    x = (torch.rand(400, 1, 96, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    path = tmp_path / "reaching.pt"
    report = snnc.export(net, x[:100], path, time_axis=0, batch_axis=None)
    net.eval().reset()
    with torch.no_grad():
        velocities = net(x)
    assert velocities.std() > 0.02
    found = Evaluator(report.graph, {"x": x[None]}).outputs["out"][0]
    assert torch.allclose(found, velocities, rtol=0, atol=1e-5)
    artifact = snnc.compile(path, tmp_path / "reaching", target="numpy,c", bits=16)
    integers = artifact.run(x[None].numpy(), "c").outputs["out"][0]
    assert np.abs(integers - velocities.numpy()).max() < 0.1 * velocities.abs().max()
