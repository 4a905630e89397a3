"""A ReLU network becomes integrate-and-fire neurons; nothing is trained again.

python examples/from_relu.py FOLDER    writes FOLDER/model.pt, test.npz, calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

from models import accuracy, digits8, fit, save, start
from torch import Tensor, nn

import snnc


class Net(nn.Module):
    """Convolutions with BatchNorm, strides in the place of pools, and ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(512, 10)),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Class scores (N, 10) of images (N, 8, 8)."""
        scores: Tensor = self.layers(image[:, None])
        return scores


if __name__ == "__main__":
    start()
    x, y, x_test, y_test = digits = digits8()
    fit(net := Net(), x, y, epochs=6, lr=3e-3)
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    folder = Path(sys.argv[1])
    snnc.export(net, x_test[:4], folder / "relu.pt", static=True, steps=1)
    done = snnc.convert(folder / "relu.pt", folder / "model.pt", x[:200].numpy(), steps=32)
    print(f"same class as ReLUs for {100 * (done.agreement or 0):.1f} % of 200 images")
    save(folder, digits)
