"""Torch modules of Rockpool 3.1: (B, T, N) in; output, state and record out."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import Case, loud, sequence

# its hardware interface, when installed as published on the package index, downloads itself with
# pip as soon as it is imported; the Torch modules do not need it
sys.modules.setdefault("samna", None)  # type: ignore[arg-type]

import rockpool.nn.combinators as rc  # noqa: E402
import rockpool.nn.modules as rp  # noqa: E402

SIZE = 6
#: The default, 65,535 spikes in a step, is reached by no input of sensible size.
LIMIT = {"max_spikes_per_dt": 2.0}


class Layers(nn.Module):
    """Linear, a module of Rockpool, linear."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.fc1, self.module, self.fc2 = nn.Linear(5, SIZE), module, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.module.reset_state()  # else the state of the first sample goes on in all of them
        y: Tensor = self.fc2(self.module(self.fc1(x))[0])
        return y


def _case(name: str, make: Callable[[], nn.Module], refused: str = "") -> Case:
    def made() -> tuple[nn.Module, Tensor]:
        return loud(Layers(make()), 4.0), sequence(5)

    return Case(f"rockpool/{name}", made, {"time_axis": 1}, refused)


def _bitshifts() -> nn.Module:
    return rp.LIFTorch(SIZE, leak_mode="bitshifts", dash_mem=torch.full((SIZE,), 2.0), **LIMIT)


def _sequential() -> tuple[nn.Module, Tensor]:
    """A network of Rockpool's own, which keeps its state between calls; it has one sample."""
    layers = (rp.LinearTorch((5, SIZE)), rp.LIFTorch(SIZE, **LIMIT), rp.LinearTorch((SIZE, 3)))
    module = rc.Sequential(*layers, rp.LIFTorch(3, **LIMIT)).to_torch()
    return loud(module), sequence(5)[:1] * 4


CASES = [
    _case("LIFTorch", lambda: rp.LIFTorch(SIZE, **LIMIT)),
    _case(
        "LIFTorch decays",
        lambda: rp.LIFTorch(SIZE, leak_mode="decays", alpha=torch.rand(SIZE), **LIMIT),
    ),
    _case("LIFTorch bitshifts", _bitshifts),
    _case("LIFTorch has_rec", lambda: rp.LIFTorch(SIZE, has_rec=True, **LIMIT)),
    _case("aLIFTorch", lambda: rp.aLIFTorch(SIZE, **LIMIT)),
    _case("ExpSynTorch", lambda: rp.ExpSynTorch(SIZE)),
    _case("InstantTorch", lambda: rp.InstantTorch(SIZE, torch.tanh)),
    Case("rockpool/Sequential", _sequential, {"time_axis": 1}),
]
