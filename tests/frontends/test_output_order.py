"""Outputs keep the order in which the model returns them, whatever is computed first."""

from pathlib import Path

import torch
from torch import nn

import snnc
from examples.families.adaptive_spiking import ASNSNN, NormalizedASN


def test_the_first_output_is_the_first_that_the_model_returns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net: nn.Module = ASNSNN(NormalizedASN, [5, 6, 4], 3, 5).eval()
    x = torch.randn(2, 5, 5) * 3
    snnc.export(net, x, tmp_path / "m.pt", time_axis=1, outputs=["scores", "spikes"])
    artifact = snnc.compile(tmp_path / "m.pt", tmp_path / "out")
    assert [o.name for o in artifact.manifest.outputs] == ["scores", "spikes"]
    assert next(iter(artifact.run(x.numpy()).outputs.values())).shape == (2, 3)
