"""A network that reads random spikes of pixels; compiled, it makes the spikes itself.

python examples/rate_digits.py FOLDER    writes FOLDER/model.pt, test.npz, calibration.npz
snnc compile FOLDER/model.pt --encode rate --exit confidence -o net
snnc run net --data FOLDER/test.npz --exit confidence=0.9 -o scores.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from models import LIF, accuracy, digits8, fit, save, start
from torch import Tensor, nn

import snnc

STEPS = 32


class Net(nn.Module):
    """64-64-10; the scores are sums over time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif, self.readout = nn.Linear(64, 64), LIF(64), nn.Linear(64, 10)

    def forward(self, spikes: Tensor) -> Tensor:
        """Scores (N, 10) of spikes (N, T, 8, 8)."""
        v, scores = None, torch.zeros(len(spikes), 10)
        for t in range(spikes.shape[1]):
            s, v = self.lif(self.fc(spikes[:, t].flatten(1)), v)
            scores = scores + self.readout(s)
        return scores


def drawn(images: Tensor) -> Tensor:
    """Spikes at every step, with the pixels as probabilities."""
    return torch.bernoulli(images[:, None].expand(-1, STEPS, -1, -1))


if __name__ == "__main__":
    start()
    x, y, x_test, y_test = digits = digits8()
    fit(net := Net(), x, y, epochs=20, lr=5e-3, augment=drawn)
    print(f"float accuracy {accuracy(net, drawn(x_test), y_test):.1f} %")
    folder = Path(sys.argv[1])
    snnc.export(net, drawn(x_test[:4]), folder / "model.pt", time_axis=1)
    save(folder, digits)
