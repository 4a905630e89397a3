"""A SpikingJelly network, in single-step mode with its hidden state, classifies small digits.

python examples/from_spikingjelly.py FOLDER    writes FOLDER/model.pt, test.npz, calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from models import accuracy, digits8, fit, save, start
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn

import snnc


class Net(nn.Module):
    """64-128-10 of LIF neurons that reset to zero; the score is the firing rate."""

    def __init__(self, num_steps: int = 16) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 128),
            neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
            nn.Linear(128, 10),
            neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Firing rates (N, 10) of images (N, 8, 8)."""
        functional.reset_net(self)
        spikes = torch.zeros(len(image), 10)
        for _ in range(self.num_steps):
            spikes = spikes + self.layers(image)
        return spikes / self.num_steps


if __name__ == "__main__":
    start()
    x, y, x_test, y_test = digits = digits8()
    fit(net := Net(), x, y, epochs=15, lr=2e-2)
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    snnc.export(net, x_test[:4], Path(sys.argv[1]) / "model.pt")
    save(Path(sys.argv[1]), digits)
