"""Adaptive spiking neurons: ``v += (i - v) / (softplus(tau) + 1)``, reset to zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.families.adaptive_spiking import (
    ASN,
    ASNSNN,
    ConvASN,
    GradedASN,
    LanguageASN,
    NormalizedASN,
    VisionASN,
)
from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence


def _image() -> Tensor:
    return torch.rand(BATCH, 3, 8, 8) * 2


def _step(cell: type[ASN], code: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(cell(5, 7)), sequence(5, axis=0)

    options = {"time_axis": 0, "step_module": True, "state": (torch.zeros(7),)}
    return Case(f"adaptive/{cell.__name__} step", make, options, code)


CASES = [
    _step(ASN),
    _step(NormalizedASN),
    Case("adaptive/ASN-SNN", lambda: (loud(ASNSNN(ASN, [5, 9, 7], 3, STEPS)), sequence(5))),
    Case(
        "adaptive/NASN-SNN",
        lambda: (loud(ASNSNN(NormalizedASN, [5, 9, 7], 3, STEPS)), sequence(5)),
    ),
    Case("adaptive/ConvASN", lambda: (loud(ConvASN(4, STEPS)), _image())),
    Case("adaptive/Vision-ASN", lambda: (loud(VisionASN(ASN, STEPS), 8.0), _image())),
    Case("adaptive/Vision-NASN", lambda: (loud(VisionASN(NormalizedASN, STEPS), 8.0), _image())),
    Case(
        "adaptive/Language-ASN",
        lambda: (loud(LanguageASN(STEPS)), torch.randint(20, (BATCH, STEPS))),
    ),
    Case(
        "adaptive/I-LIF graded",
        lambda: (loud(GradedASN(5, 8, False)), sequence(5)),
        {"time_axis": 1},
    ),
    Case(
        "adaptive/Multispike unfolded",
        lambda: (loud(GradedASN(5, 8, True)), sequence(5)),
        {"time_axis": 1},
    ),
]
