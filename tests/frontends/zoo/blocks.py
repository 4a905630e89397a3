"""Spiking attention blocks: each runs its populations over steps of its own and hands on rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.spiking_attention import (
    SIZE,
    Adaptive,
    Attention,
    Block,
    Latency,
    Mlp,
    Normalized,
    Patches,
    Population,
    Recurrent,
)
from tests.frontends.zoo.case import BATCH, STEPS, Case, loud

TOKENS = 3


def _tokens() -> Tensor:
    return torch.randn(BATCH, TOKENS, SIZE)


def _image() -> Tensor:
    return torch.rand(BATCH, 1, 8, 8) * 2


CASES = [
    Case("blocks/attention", lambda: (loud(Attention(10)), _tokens())),
    Case("blocks/attention without mask", lambda: (loud(Attention(4, False)), _tokens())),
    Case("blocks/MLP", lambda: (loud(Mlp(Population(6))), _tokens())),
    Case("blocks/MLP of adaptive neurons", lambda: (loud(Mlp(Adaptive(8))), _tokens())),
    Case("blocks/whole block", lambda: (loud(Block(10)), _tokens())),
    Case("blocks/two blocks", lambda: (loud(nn.Sequential(Block(4), Block(4))), _tokens())),
    Case("blocks/with LayerNorm", lambda: (loud(Normalized(6)), _tokens())),
    Case("blocks/patches", lambda: (loud(Patches(Block(4), Block(4))), _image())),
    Case("blocks/latency", lambda: (loud(Latency(Block(STEPS), STEPS)), _tokens().sigmoid())),
    Case("blocks/recurrent", lambda: (loud(Recurrent(Block(6), 6)), _tokens())),
    Case("blocks/steps of their own", lambda: (loud(Block(4, 7)), _tokens())),
    Case(
        "blocks/MLPs with steps of their own",
        lambda: (loud(nn.Sequential(Mlp(Population(6)), Mlp(Population(9)))), _tokens()),
    ),
]
