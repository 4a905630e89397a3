"""Models of SpikingJelly 2.0 in small sizes, with BatchNorm statistics that let neurons fire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.model.maxformer import MaxFormer
from spikingjelly.activation_based.model.qkformer import QKFormer
from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor, nn

from tests.frontends.zoo.case import Case

MODEL_STEPS = 4


def calibrated(net: nn.Module, image: Tensor) -> nn.Module:
    """Statistics of the BatchNorms from one batch, in the order of the layers."""
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            m.momentum = None
    with torch.no_grad():
        for _ in range(2):
            functional.reset_net(net)
            net.train()(image)
    functional.reset_net(net)
    return net.eval()


def _model(name: str, make: Callable[..., nn.Module], size: int, **sizes: Any) -> Case:
    def build() -> tuple[nn.Module, Tensor]:
        net = make(T=MODEL_STEPS, num_classes=5, **sizes)
        image = torch.rand(3, 3, size, size) * 2 - 0.5
        return calibrated(net, image), image

    return Case(f"models/{name}", build, {"steps": MODEL_STEPS, "static": True})


CASES = [
    _model(
        "spike-driven transformer", SpikeDrivenTransformer, 32, embed_dims=16, num_heads=2, depths=1
    ),
    _model(
        "Spikformer",
        Spikformer,
        32,
        embed_dims=16,
        num_heads=2,
        depths=1,
        img_size_h=32,
        img_size_w=32,
    ),
    _model("QKFormer", QKFormer, 32, embed_dims=32, num_heads=(1, 2, 2), depths=(1, 1, 1)),
    _model("Max-Former", MaxFormer, 32, embed_dims=32, depths=(1, 1, 1)),
]
