"""A network of the zoo, and how it is exported."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

#: Length and number of the example's sequences.
STEPS, BATCH = 9, 3


@dataclass(frozen=True)
class Case:
    """One configuration.

    Attributes:
        name: ``family/network``.
        make: Builds the module and its example.
        options: Arguments of ``snnc.export``.
        refused: The code with which it has to be refused; empty if it has to be recovered.
    """

    name: str
    make: Callable[[], tuple[nn.Module, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    refused: str = ""

    def build(self) -> tuple[nn.Module, Any]:
        """The module in eval mode and the example; always the same."""
        torch.manual_seed(zlib.crc32(self.name.encode()))
        module, example = self.make()
        return module, example


_Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def loud(module: nn.Module, gain: float = 3.0) -> nn.Module:
    """Weights large enough that the neurons fire."""
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | _Transposed):
                m.weight.mul_(gain)
    return module.eval()


def sequence(*shape: int, scale: float = 2.0, axis: int = 1) -> Tensor:
    """Random input (B, T, …), or (T, B, …) for ``axis=0``."""
    lead = (BATCH, STEPS) if axis == 1 else (STEPS, BATCH)
    return torch.randn(*lead, *shape) * scale


def spike(x: Tensor) -> Tensor:
    """Fire at zero and above."""
    return (x >= 0).float()
