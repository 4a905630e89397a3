"""The two trained networks of the sinabs examples, converted by sinabs and run by our graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnc
from snnc.frontends.evaluate import Evaluator
from tests.realdata import frames, gesture, real_files

sinabs: Any = pytest.importorskip("sinabs", exc_type=ImportError)
from_torch: Any = pytest.importorskip("sinabs.from_torch", exc_type=ImportError)

STEPS = 100


def converted(ann: nn.Module, file: str) -> nn.Module:
    """IF neurons in place of ReLU: threshold 1, several spikes a step, membrane from -1."""
    ann.load_state_dict(torch.load(real_files("sinabs_nets", file), map_location="cpu"))
    net = from_torch.from_model(ann.eval(), add_spiking_output=True, batch_size=1)
    made: nn.Module = net.spiking_model.eval()
    return made


def digits_net() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(20, 32, 5, bias=False), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(32, 128, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(128, 500, bias=False), nn.ReLU(), nn.Linear(500, 10, bias=False)),
    )


def digits(count: int) -> tuple[Tensor, Tensor, Any]:
    """Images (N, 1, 28, 28), their Bernoulli spikes (N, T, 1, 28, 28), and labels."""
    data = np.load(real_files("mnist", "mnist.npz"))
    images = torch.from_numpy(data["x_test"][:count]).float().reshape(-1, 1, 28, 28) / 255
    generator = torch.Generator().manual_seed(0)
    spikes = torch.rand(count, STEPS, 1, 28, 28, generator=generator) < images[:, None]
    return images, spikes.float(), data["y_test"][:count]


def original(net: nn.Module, x: Tensor) -> Tensor:
    """All outputs of samples (N, T, …), by sinabs."""
    with torch.no_grad():
        outs = []
        for sample in x:
            sinabs.reset_states(net)
            outs.append(net(sample))
    return torch.stack(outs)


def exported(net: nn.Module, x: Tensor, path: Path | None = None) -> Any:
    """The graph of a network that takes batch and time as one axis."""
    return snnc.export(net, x, path, time_axis=0, batch_axis=0, steps=len(x)).graph


@pytest.mark.slow
def test_digits_by_integrate_and_fire(tmp_path: Path) -> None:
    images, x, labels = digits(1000)
    ann = digits_net()
    net = converted(ann, "mnist_params.pt")
    with torch.no_grad():
        assert (ann(images).argmax(1).numpy() == labels).mean() == 0.977
    expected = original(net, x[:100])
    path = tmp_path / "digits.pt"
    graph = exported(net, x[0], path)
    parts = x.split(50)
    found = torch.cat([Evaluator(graph, {"input": part}).outputs["out"] for part in parts])
    assert torch.equal(found[:100], expected)
    accuracy = (found.sum(1).argmax(1).numpy() == labels).mean()
    assert abs(accuracy - 0.965) < 0.01  # other random spikes give another third digit
    artifact = snnc.compile(path, tmp_path / "digits", target="c", bits=8)
    integers = artifact.run(x[:200].numpy(), "c").outputs["out"]
    counts = integers.sum(1).argmax(1)
    assert (counts == labels[:200]).mean() > (
        found[:200].sum(1).argmax(1).numpy() == labels[:200]
    ).mean() - 0.01


def halves(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [conv, nn.ReLU(), nn.AvgPool2d(2)]


@pytest.mark.slow
def test_gestures_by_integrate_and_fire() -> None:
    ann = nn.Sequential(
        *(nn.Conv2d(2, 16, 2, stride=2, bias=False), nn.ReLU(), *halves(16, 16)),
        *(*halves(16, 32), *halves(32, 32), *halves(32, 64), *halves(64, 64)),
        *(nn.Dropout2d(), nn.Conv2d(64, 256, 2, bias=False), nn.ReLU(), nn.Dropout2d()),
        *(nn.Flatten(), nn.Linear(256, 128, bias=False), nn.ReLU()),
        nn.Linear(128, 11, bias=False),
    )
    net = converted(ann, "dvs_gesture_params.pt")
    x = torch.stack([torch.from_numpy(frames(gesture(k), 128, 20_000)) for k in range(1, 7)])
    expected = original(net, x)
    graph = exported(net, x[0, :20])
    found = Evaluator(graph, {"input": x}).outputs["out"]
    assert torch.equal(found, expected)
    # its classes: arm roll, hand clap, then left and right, clockwise and back, and waving
    assert found.sum(1).argmax(1).tolist() == [0, 1, 2, 3, 4, 5]
