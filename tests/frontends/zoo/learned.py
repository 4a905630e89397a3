"""LIF with learned threshold and leak: ``u = sigmoid(raw) u + x``, subtract, static input."""

from __future__ import annotations

import torch

from examples.families.learned_lif import LearnedLIF, RateNet, Twice
from tests.frontends.zoo.case import BATCH, Case, loud

CASES = [
    Case("learned/LIF", lambda: (LearnedLIF(8, 9).eval(), torch.rand(BATCH, 4, 8))),
    Case("learned/LIF vector", lambda: (LearnedLIF(8, 9).eval(), torch.rand(BATCH, 8))),
    Case("learned/LIF mean", lambda: (LearnedLIF(8, 9, True).eval(), torch.rand(BATCH, 4, 8))),
    Case("learned/rates of rates", lambda: (loud(Twice(8, 7)), torch.randn(BATCH, 3, 8))),
    Case("learned/rate net", lambda: (loud(RateNet(16, 6)), torch.randn(BATCH, 3, 16))),
]
