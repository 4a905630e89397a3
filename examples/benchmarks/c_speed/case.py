"""What is measured: a network at one density, and programs that evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

Array = npt.NDArray[Any]
#: Evaluates ``count`` samples from number ``first`` on; scores of shape (count, outputs).
Run = Callable[[int, int], Array]


@dataclass(frozen=True)
class Case:
    """A network whose layers fire at about ``density``.

    Attributes:
        net: Name of the network: ``a``, ``b``, …
        density: Of the input and of the hidden layers; None: as it comes.
        module: The network as a user writes it, which ``snnc`` compiles.
        x: All samples (N, T, …), or (N, …) if they are constant.
        peers: Programs that it is compared with, by name.
        rows: For every matrix, its fan-out and the columns that each step of each sample needs.
        constant: Whether all steps of a sample see the same.
        work: Additions of a weight and updates of a neuron per sample, where known.
    """

    net: str
    density: float | None
    module: nn.Module
    x: Array
    peers: dict[str, Run] = field(default_factory=dict)
    rows: list[tuple[int, list[Array]]] | None = None
    constant: bool = False
    work: tuple[float, float] | None = None


def torch_run(module: nn.Module, x: Array) -> Run:
    """A module, one sample a call, on tensors that are ready."""
    samples = torch.from_numpy(x).float()

    def run(first: int, count: int) -> Array:
        with torch.no_grad():
            found = [module(samples[n : n + 1]) for n in range(first, first + count)]
        return torch.cat(found).numpy()

    return run
