"""Models of SpikingJelly 2.0 in small sizes, with BatchNorm statistics that let neurons fire."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model.maxformer import MaxFormer
from spikingjelly.activation_based.model.ms_resnet import MSResNet
from spikingjelly.activation_based.model.qkformer import QKFormer
from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor, nn

from tests.frontends.zoo.case import Case

MODEL_STEPS = 4


def _model_file(name: str) -> Any:
    """A file of SpikingJelly that takes the download of trained weights from torchvision.

    No weights are downloaded here, so that torchvision may be missing, or made for another torch:
    then there is nothing but that function while the file is imported.
    """
    try:
        importlib.import_module("torchvision")
        stand_ins: dict[str, ModuleType] = {}
    except Exception:
        names = ("torchvision", "torchvision._internally_replaced_utils")
        stand_ins = {n: ModuleType(n) for n in names}
        stand_ins[names[0]].__path__ = []
        vars(stand_ins[names[1]])["load_state_dict_from_url"] = None
    before = {n: sys.modules[n] for n in stand_ins if n in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(f"spikingjelly.activation_based.model.{name}")
    finally:
        for n in stand_ins:
            del sys.modules[n]
        sys.modules.update(before)


_VGG = _model_file("spiking_vgg")
_SEW = _model_file("sew_resnet")


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


def _model(
    name: str,
    make: Callable[..., nn.Module],
    size: int,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
    **sizes: Any,
) -> Case:
    """A model for one image; ``gain`` and ``offset`` of its BatchNorms make all of it fire."""

    def build() -> tuple[nn.Module, Tensor]:
        net = make(T=MODEL_STEPS, num_classes=5, **sizes)
        for m in net.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
                m.weight.data.mul_(gain)
                m.bias.data.add_(offset)
        image = torch.rand(3, 3, size, size) * 2 - 0.5
        return calibrated(net, image), image

    return Case(f"models/{name}", build, {"steps": MODEL_STEPS, "static": True})


class NarrowVGG(_VGG.SpikingVGG):  # type: ignore[misc]
    """VGG11 with a quarter of its channels, and a classifier for images of 32 x 32."""

    def __init__(self, classes: int = 5, hidden: int = 64) -> None:
        nn.Module.__init__(self)
        widths = [w if w == "M" else w // 4 for w in _VGG.cfgs["A"]]
        self.features = self.make_layers(widths, batch_norm=True, neuron=neuron.IFNode)
        self.avgpool = layer.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(
            *(layer.Linear(widths[-2], hidden), neuron.IFNode(), layer.Dropout()),
            *(layer.Linear(hidden, hidden), neuron.IFNode(), layer.Dropout()),
            layer.Linear(hidden, classes),
        )
        for m in self.classifier:
            if isinstance(m, nn.Linear):
                m.weight.data.mul_(5)


def _sew_resnet18() -> nn.Module:
    net: nn.Module = _SEW.sew_resnet18(num_classes=5, cnf="ADD", spiking_neuron=neuron.IFNode)
    return net


def _ms_resnet18(T: int, num_classes: int) -> nn.Module:  # noqa: N803  as the models call it
    sizes = {"base_channels": 16, "stem_kernel_size": 3, "stem_stride": 1}
    return MSResNet(T=T, num_classes=num_classes, **sizes)


def _over_time(name: str, make: Callable[[], nn.Module]) -> Case:
    """A model that takes a sequence, (T, B, C, H, W)."""

    def build() -> tuple[nn.Module, Tensor]:
        net = make()
        functional.set_step_mode(net, "m")
        images = torch.rand(MODEL_STEPS, 2, 3, 32, 32) * 3 - 1
        return calibrated(net, images), images

    return Case(f"models/{name}", build, {"time_axis": 0})


CASES = [
    _over_time("SEW-ResNet18", _sew_resnet18),
    _over_time("VGG11", NarrowVGG),
    _model("MS-ResNet18", _ms_resnet18, 32),
    _model(
        "spike-driven transformer", SpikeDrivenTransformer, 32, embed_dims=16, num_heads=2, depths=1
    ),
    _model(
        "Spikformer",
        Spikformer,
        32,
        offset=1.5,
        embed_dims=16,
        num_heads=2,
        depths=1,
        img_size_h=32,
        img_size_w=32,
    ),
    _model(
        "QKFormer", QKFormer, 32, offset=1.5, embed_dims=32, num_heads=(1, 2, 2), depths=(1, 1, 1)
    ),
    _model("Max-Former", MaxFormer, 32, gain=3.0, embed_dims=32, depths=(1, 1, 1)),
]
