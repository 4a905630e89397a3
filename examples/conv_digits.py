"""A small spiking residual network on handwritten digits: train it, then export it for snnc.

python examples/conv_digits.py FOLDER    writes FOLDER/model.pt, test.npz and calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from models import LIF, accuracy, fit, mnist5k, save, shifted, start
from torch import Tensor, nn

import snnc


class Net(nn.Module):
    """Three convolutions with BatchNorm, the last one around a shortcut, and a readout."""

    def __init__(self, num_steps: int = 16) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(8), nn.BatchNorm2d(16), nn.BatchNorm2d(16)
        self.lif1, self.lif2, self.lif3 = LIF(8), LIF(16), LIF(16)
        self.pool = nn.AvgPool2d(2)
        self.readout = nn.Linear(16 * 7 * 7, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 10) of images (N, 1, 28, 28)."""
        current = self.bn1(self.conv1(image))
        v1 = v2 = v3 = None
        scores = []
        for _ in range(self.num_steps):
            s1, v1 = self.lif1(current, v1)
            s2, v2 = self.lif2(self.bn2(self.conv2(s1)), v2)
            p2 = self.pool(s2)
            s3, v3 = self.lif3(self.bn3(self.conv3(p2)) + p2, v3)
            scores.append(self.readout(s3.flatten(1)))
        return torch.stack(scores).mean(0)


def main(folder: Path) -> None:
    """Train and export."""
    start()
    x, y, x_test, y_test = digits = mnist5k()
    net = Net(num_steps=8)  # learn in half the time; look twice as long afterwards
    fit(net, x, y, epochs=10, lr=1e-2, augment=shifted, quiet=0.5)
    net.num_steps = 16
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    snnc.export(net, x_test[:4], folder / "model.pt")
    save(folder, digits)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
