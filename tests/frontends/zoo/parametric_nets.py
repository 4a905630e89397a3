"""LIF with a learned leak on SpikingJelly's ParametricLIFNode: tokens without time in."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, Case, loud


class Parametric(nn.Module):
    """(B, N, D) to (B, T, N, D), or to the mean over T.

    Args:
        size: D.
        steps: T.
        mean: Whether the rates are returned.
        whole: Whether the node is given all steps at once.
    """

    def __init__(self, size: int, steps: int, mean: bool = False, whole: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.node = neuron.ParametricLIFNode(
            2.5, v_threshold=0.6, v_reset=None, step_mode="m" if whole else "s"
        )
        self.T, self.mean, self.whole = steps, mean, whole

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        current = self.fc(x)
        if self.whole:
            spikes = self.node(current.unsqueeze(0).repeat(self.T, 1, 1, 1)).transpose(0, 1)
        else:
            spikes = torch.stack([self.node(current) for _ in range(self.T)], 1)
        return spikes.mean(1) if self.mean else spikes


class InARow(nn.Module):
    """Two of them: the second is driven by the rates of the first."""

    def __init__(self, size: int, steps: int, whole: bool) -> None:
        super().__init__()
        self.first, self.second = (Parametric(size, steps, True, whole) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return y


def _tokens() -> Tensor:
    return torch.randn(BATCH, 4, 8)


CASES = [
    Case("parametric/single-step", lambda: (loud(Parametric(8, 9)), _tokens())),
    Case("parametric/single-step mean", lambda: (loud(Parametric(8, 6, True)), _tokens())),
    Case("parametric/multi-step", lambda: (loud(Parametric(8, 9, whole=True)), _tokens())),
    Case("parametric/multi-step mean", lambda: (loud(Parametric(8, 6, True, True)), _tokens())),
    Case("parametric/in a row", lambda: (loud(InARow(8, 7, False)), _tokens())),
    Case("parametric/in a row, multi-step", lambda: (loud(InARow(8, 7, True)), _tokens())),
]
