"""Net (d): a spiking transformer block, 64 tokens of 128 features, 4 heads, over 4 steps.

Attention without softmax, ``(q k') v / 8``, with spikes in q, k and v; then a projection with a
residual connection and an MLP 128-512-128, all with neurons behind them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from examples.benchmarks.c_speed.case import Array, Case, Run, torch_run
from examples.benchmarks.c_speed.dense import DECAY, UNIT, calibrate
from examples.benchmarks.c_speed.onnx_transformer import float_run

STEPS, TOKENS, FEATURES, HEADS = 4, 64, 128, 4


class Block(nn.Module):
    """Plain PyTorch, step by step."""

    def __init__(self, weights: list[npt.NDArray[np.int8]], thresholds: list[float]) -> None:
        super().__init__()
        values = [torch.from_numpy(w.astype(np.float32) / UNIT) for w in weights]
        self.weights = nn.ParameterList([nn.Parameter(v, requires_grad=False) for v in values])
        self.thresholds = thresholds

    def attention(self, spikes: Tensor) -> Tensor:
        """``(q k') v / 8`` of spikes (N, tokens, 3 * features)."""
        n = len(spikes)
        parts = spikes.reshape(n, TOKENS, 3, HEADS, FEATURES // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = parts
        mixed = (q @ k.transpose(-1, -2)) @ v * 0.125
        return mixed.transpose(1, 2).reshape(n, TOKENS, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        """Sums over time of the block's output (N, tokens, features) for spikes (N, T, …)."""
        v0 = v1 = v2 = v3 = v4 = 0.0
        t0, t1, t2, t3, t4 = self.thresholds
        qkv, project, up, down = self.weights
        total = torch.zeros(len(x), TOKENS, FEATURES)
        for t in range(x.shape[1]):
            v0 = DECAY * v0 + linear(x[:, t], qkv)
            s = (v0 >= t0).float()
            v0 = v0 - s * t0
            v1 = DECAY * v1 + self.attention(s)
            s = (v1 >= t1).float()
            v1 = v1 - s * t1
            v2 = DECAY * v2 + linear(s, project)
            s = (v2 >= t2).float()
            v2 = v2 - s * t2
            y = x[:, t] + s
            v3 = DECAY * v3 + linear(y, up)
            s = (v3 >= t3).float()
            v3 = v3 - s * t3
            v4 = DECAY * v4 + linear(s, down)
            s = (v4 >= t4).float()
            v4 = v4 - s * t4
            total = total + y + s
        return total


def transformer(density: float, samples: int) -> Case:
    """Make the network and its peers."""
    rng = np.random.default_rng(0)
    d = FEATURES
    shapes = ((3 * d, d), (d, d), (4 * d, d), (d, 4 * d))
    weights = [np.clip(np.rint(rng.normal(3, 13, s)), -127, 127).astype(np.int8) for s in shapes]
    x = (np.random.default_rng(1).random((samples, STEPS, TOKENS, d)) < density).astype(np.uint8)
    thresholds = _thresholds(weights, x[:4], density)
    module = Block(weights, thresholds)
    peers: dict[str, Run] = {
        "torch eager": torch_run(module.eval(), x),
        "ONNX Runtime float": float_run(weights, thresholds, x),
    }
    return Case("d", density, module, x, peers)


def _thresholds(weights: list[Array], x: npt.NDArray[np.uint8], density: float) -> list[float]:
    """Every population fires at about the density."""
    found: list[float] = []

    def fired(sums: Tensor) -> Tensor:
        theta, spikes = calibrate(sums.numpy() * UNIT, density)
        found.append(theta / UNIT)
        return torch.from_numpy(spikes)

    block = Block(weights, [])
    qkv, project, up, down = block.weights
    spikes = torch.from_numpy(x).float()
    s = fired(linear(spikes, qkv))
    s = fired(torch.stack([block.attention(step) for step in s.unbind(1)], 1))
    y = spikes + fired(linear(s, project))
    fired(linear(fired(linear(y, up)), down))
    return found
