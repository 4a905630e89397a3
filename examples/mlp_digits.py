"""A spiking multilayer perceptron on handwritten digits: train it, then export it for snnc.

python examples/mlp_digits.py FOLDER    writes FOLDER/model.pt, test.npz and calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from models import LIF, accuracy, fit, mnist5k, save, shifted, start
from torch import Tensor, nn

import snnc


class Net(nn.Module):
    """784-256-128-10; the image is a constant current, the score the mean over time."""

    def __init__(self, num_steps: int = 16) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.fc1, self.lif1 = nn.Linear(784, 256), LIF(256)
        self.fc2, self.lif2 = nn.Linear(256, 128), LIF(128)
        self.readout = nn.Linear(128, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 10) of images (N, 1, 28, 28)."""
        current = self.fc1(image.flatten(1))
        v1 = v2 = None
        scores = []
        for _ in range(self.num_steps):
            s1, v1 = self.lif1(current, v1)
            s2, v2 = self.lif2(self.fc2(s1), v2)
            scores.append(self.readout(s2))
        return torch.stack(scores).mean(0)


def main(folder: Path) -> None:
    """Train and export."""
    start()
    x, y, x_test, y_test = digits = mnist5k()
    net = Net()
    fit(net, x, y, epochs=16, lr=2e-3, augment=shifted, quiet=0.5)
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    snnc.export(net, x_test[:4], folder / "model.pt")
    save(folder, digits)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
