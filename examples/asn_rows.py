"""Adaptive spiking neurons read a digit row by row (arXiv:2604.12365, without its LayerNorm).

python examples/asn_rows.py FOLDER    writes FOLDER/model.pt, test.npz and calibration.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from models import accuracy, digits8, fit, save, spike, start
from torch import Tensor, nn

import snnc


class ASN(nn.Module):
    """v' = v + (W x + b - v)/tau with tau = softplus(raw) + 1; v' = 0 after a spike."""

    def __init__(self, fan_in: int, neurons: int, theta: float = 0.25) -> None:
        super().__init__()
        self.linear, self.theta = nn.Linear(fan_in, neurons), theta
        self.tau = nn.Parameter(torch.linspace(-1, 2, neurons))

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        v = v + (self.linear(x) - v) / (nn.functional.softplus(self.tau) + 1)
        s = spike(v - self.theta)
        return s, v * (1 - s)


class Net(nn.Module):
    """8-64-64-10 over the rows of an image; the readout looks at the last membrane."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ASN(8, 64), ASN(64, 64)])
        self.readout = nn.Linear(64, 10)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, 10) and the spikes of the last layer (N, T, 64) of rows (N, T, 8)."""
        states, spikes = [torch.zeros(len(rows), 64) for _ in self.layers], []
        for t in range(rows.shape[1]):
            s = rows[:, t]
            for i, layer in enumerate(self.layers):
                s, states[i] = layer(s, states[i])
            spikes.append(s)
        return self.readout(states[-1]), torch.stack(spikes, 1)


if __name__ == "__main__":
    start()
    x, y, x_test, y_test = digits = digits8()
    fit(net := Net(), x, y, epochs=30, lr=2e-2)
    print(f"float accuracy {accuracy(net, x_test, y_test):.1f} %")
    snnc.export(net, x_test[:4], Path(sys.argv[1]) / "model.pt", time_axis=1)
    save(Path(sys.argv[1]), digits)
