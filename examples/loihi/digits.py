"""Four networks that suit Loihi, trained on MNIST digits: run them on Lava's own processes.

python -m examples.loihi.digits mlp FOLDER    writes FOLDER/model.pt, test.npz, calibration.npz
snnc compile FOLDER/model.pt --target lava --lava-mode stock --bits 8 -o net
snnc verify net --data FOLDER/test.npz

``mlp`` and ``conv`` read pixels as regular spikes, ``recurrent`` and ``delays`` an image row by
row.  A spike sets the voltage to zero, as on the chip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import snnc
from examples.models import accuracy, fit, mnist5k, spike, start

STEPS = 16


def regular(images: Tensor) -> Tensor:
    """Spikes (N, T, ...) whose number up to every step is proportional to the pixel."""
    time = torch.arange(STEPS + 1).view(1, -1, *[1] * (images.ndim - 1))
    return torch.diff(torch.floor(images[:, None] * time * 0.5 + 1e-6), dim=1)


def rows(images: Tensor) -> Tensor:
    """A spike for every bright pixel, one row of the image per step: (N, 28, 28)."""
    return (images.squeeze(1) > 0.4).float()


def fires(v: Tensor, x: Tensor, beta: float = 0.9) -> tuple[Tensor, Tensor]:
    """Leak, integrate, spike above 1, and reset to zero."""
    v = beta * v + x
    s = spike(v - 1)
    return s, v * (1 - s)


class Mlp(nn.Module):
    """784-128-10."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of spikes (N, T, 1, 28, 28)."""
        v, scores = torch.zeros(len(x), 128), torch.zeros(len(x), 10)
        for t in range(x.shape[1]):
            s, v = fires(v, self.fc1(x[:, t].flatten(1)))
            scores = scores + self.fc2(s)
        return scores


class Conv(nn.Module):
    """conv 8, maximum pool, conv 8 with a residual path, mean pool, 10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5, 2), nn.Conv2d(8, 8, 3, 1, 1)
        self.fc = nn.Linear(8 * 9, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of spikes (N, T, 1, 28, 28)."""
        v1, v2 = torch.zeros(len(x), 8, 12, 12), torch.zeros(len(x), 8, 6, 6)
        scores = torch.zeros(len(x), 10)
        for t in range(x.shape[1]):
            s, v1 = fires(v1, self.conv1(x[:, t]))
            s = functional.max_pool2d(s, 2)
            s2, v2 = fires(v2, self.conv2(s) + s)
            scores = scores + self.fc(functional.avg_pool2d(s2, 2).flatten(1))
        return scores


class Recurrent(nn.Module):
    """28-128-10, whose hidden neurons read each other's last spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.back = nn.Linear(28, 128), nn.Linear(128, 128, bias=False)
        self.fc2 = nn.Linear(128, 10)
        nn.init.orthogonal_(self.back.weight, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of spikes (N, T, 28)."""
        s = v = torch.zeros(len(x), 128)
        scores = torch.zeros(len(x), 10)
        for t in range(x.shape[1]):
            s, v = fires(v, self.fc1(x[:, t]) + self.back(s))
            scores = scores + self.fc2(s)
        return scores


class Delayed(nn.Module):
    """28-128-128-10; every hidden neuron reads each input after a delay of its own."""

    def __init__(self, reach: int = 8) -> None:
        super().__init__()
        self.reach = reach
        late = torch.randint(0, reach, (128, 28))
        self.register_buffer("late1", functional.one_hot(late, reach).float())
        self.register_buffer(
            "late2", functional.one_hot(late.new_tensor(range(128)) % 4, 4).float()
        )
        self.weight = nn.Parameter(torch.randn(128, 28) * 0.25)
        self.fc2, self.fc3 = nn.Linear(128, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, 10) of spikes (N, T, 28)."""
        taps = (self.weight[..., None] * self.late1).flip(-1)
        drive = functional.conv1d(functional.pad(x.transpose(1, 2), (self.reach - 1, 0)), taps)
        v = w = torch.zeros(len(x), 128)
        past, scores = torch.zeros(len(x), 128, 4), torch.zeros(len(x), 10)
        for t in range(x.shape[1]):
            s, v = fires(v, drive[..., t])
            past = torch.cat([s.unsqueeze(-1), past[..., :-1]], -1)
            s, w = fires(w, self.fc2((past * self.late2).sum(-1)))
            scores = scores + self.fc3(s)
        return scores


NETS = {"mlp": (Mlp, regular), "conv": (Conv, regular), "recurrent": (Recurrent, rows)}
NETS["delays"] = (Delayed, rows)


if __name__ == "__main__":
    start()
    kind, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    make, coded = NETS[kind]
    x, y, x_test, y_test = mnist5k()
    net = make()
    fit(net, x, y, epochs=6, lr=5e-3, augment=coded)
    print(f"float accuracy {accuracy(net, coded(x_test), y_test):.1f} %")
    snnc.export(net, coded(x_test[:4]), folder / "model.pt", time_axis=1)
    for name, images, labels in (("test", x_test, y_test), ("calibration", x[:100], y[:100])):
        spikes = coded(images).numpy().astype(np.uint8)
        np.savez_compressed(folder / f"{name}.npz", x=spikes, y=labels.numpy())
