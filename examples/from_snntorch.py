"""An snnTorch network, layers and reset as they come, classifies rate-coded digits.

python examples/from_snntorch.py FOLDER    writes FOLDER/model.pt, test.npz and calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import snntorch as snn
import torch
from models import accuracy, digits8, fit, save, start
from snntorch import spikegen
from torch import Tensor, nn

import snnc


class Net(nn.Module):
    """64-100-10 of Leaky neurons, whose default reset subtracts one step after the spike."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 100), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(100, 10), snn.Leaky(beta=0.8, learn_beta=True)

    def forward(self, spikes: Tensor) -> Tensor:
        """Output spike counts (N, 10) of input spikes (N, T, 64)."""
        v1, v2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        counts = []
        for t in range(spikes.shape[1]):
            s1, v1 = self.lif1(self.fc1(spikes[:, t]), v1)
            s2, v2 = self.lif2(self.fc2(s1), v2)
            counts.append(s2)
        return torch.stack(counts).sum(0)


def encoded(images: Tensor) -> Tensor:
    """Draw spikes (N, 25, 64) at the rates of the pixels of (N, 8, 8)."""
    return spikegen.rate(images.flatten(1), num_steps=25).transpose(0, 1).contiguous()


if __name__ == "__main__":
    start()
    x, y, x_test, y_test = digits8()
    x, x_test = encoded(x), encoded(x_test)
    fit(net := Net(), x, y, epochs=10, lr=5e-3)
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    snnc.export(net, x_test[:4], Path(sys.argv[1]) / "model.pt", time_axis=1)
    save(Path(sys.argv[1]), (x, y, x_test, y_test))
