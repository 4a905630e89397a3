"""Spiking attention: three populations with decay exp(-1/tau) and reset to 0.5."""

from __future__ import annotations

import torch
from torch import Tensor

from examples.families.spiking_attention import Rates, SpikingAttention
from tests.frontends.zoo.case import BATCH, Case, loud


def _tokens() -> Tensor:
    return torch.randn(BATCH, 3, 16)


CASES = [
    Case("attention/rates", lambda: (loud(Rates(16)), _tokens())),
    Case("attention/SpikingAttention", lambda: (loud(SpikingAttention(16, 4)), _tokens())),
]
