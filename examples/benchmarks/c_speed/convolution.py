"""Net (b): three convolutions and two dense layers on 2x34x34 spikes over 30 steps.

2 - 16 (5x5, stride 2) - 32 (3x3, padding 1) - average of 2x2 - 64 (3x3) - 256 - 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, linear

from examples.benchmarks.c_speed.case import Case, torch_run
from examples.benchmarks.c_speed.dense import DECAY, UNIT, calibrate
from examples.benchmarks.c_speed.onnx_convolution import float_run, qdq_run

STEPS = 30
SHAPES = ((16, 2, 5, 5), (32, 16, 3, 3), (64, 32, 3, 3), (256, 1600), (10, 256))


class ConvNet(nn.Module):
    """Plain PyTorch, step by step."""

    def __init__(self, weights: list[npt.NDArray[Any]], thresholds: list[int]) -> None:
        super().__init__()
        values = [torch.from_numpy(w.astype(np.float32) / UNIT) for w in weights]
        self.weights = nn.ParameterList([nn.Parameter(v, requires_grad=False) for v in values])
        self.thresholds = [t / UNIT for t in thresholds]

    def current(self, i: int, x: Tensor) -> Tensor:
        """What layer ``i`` makes of its input (N, …)."""
        w = self.weights[i]
        if i == 0:
            return conv2d(x, w, stride=2)
        if i == 1:
            return conv2d(x, w, padding=1)
        if i == 2:  # the sum of four spikes
            return conv2d(4 * avg_pool2d(x, 2), w)
        return linear(x.flatten(1), w)

    def forward(self, x: Tensor) -> Tensor:
        """Spike counts (N, 10) of spikes (N, T, 2, 34, 34)."""
        v0 = v1 = v2 = v3 = v4 = 0.0
        t0, t1, t2, t3, t4 = self.thresholds
        count = torch.zeros(len(x), 10)
        for t in range(x.shape[1]):
            v0 = DECAY * v0 + self.current(0, x[:, t])
            s = (v0 >= t0).float()
            v0 = v0 - s * t0
            v1 = DECAY * v1 + self.current(1, s)
            s = (v1 >= t1).float()
            v1 = v1 - s * t1
            v2 = DECAY * v2 + self.current(2, s)
            s = (v2 >= t2).float()
            v2 = v2 - s * t2
            v3 = DECAY * v3 + self.current(3, s)
            s = (v3 >= t3).float()
            v3 = v3 - s * t3
            v4 = DECAY * v4 + self.current(4, s)
            s = (v4 >= t4).float()
            v4 = v4 - s * t4
            count = count + s
        return count


def convolution(density: float, samples: int) -> Case:
    """Make the network and its peers."""
    rng = np.random.default_rng(0)
    weights = []
    for shape in SHAPES:
        w = np.clip(np.rint(rng.normal(4, 40, shape)), -127, 127).astype(np.int8)
        weights.append(w)
    x = (np.random.default_rng(1).random((samples, STEPS, 2, 34, 34)) < density).astype(np.uint8)
    probe = ConvNet(weights, [1] * len(weights))
    ones = ConvNet([np.full(w.shape, UNIT, np.int16) for w in weights], [1] * len(weights))
    thresholds, adds, updates = [], 0.0, 0.0
    spikes = torch.from_numpy(x[:4]).float()
    for i in range(len(weights)):
        sums = torch.stack([probe.current(i, s) for s in spikes]).numpy() * UNIT
        adds += sum(float(ones.current(i, s).sum()) for s in spikes) / len(spikes)
        updates += sums[0].size
        target = density if i < len(weights) - 1 else 0.2
        theta, found = calibrate(sums, target)
        thresholds.append(theta)
        spikes = torch.from_numpy(found)
    module = ConvNet(weights, thresholds)
    peers = {
        "torch eager": torch_run(module.eval(), x),
        "ONNX Runtime float": float_run(weights, thresholds, x),
        "ONNX Runtime int8": qdq_run(weights, thresholds, x),
    }
    return Case("b", density, module, x, peers, work=(adds, updates))
