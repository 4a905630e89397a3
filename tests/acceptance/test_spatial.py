"""Networks over signals, images and volumes: what C computes is what the definition computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import snnc
from tests.frontends.zoo.spatial import CASES
from tests.marks import quick_first

BY_NAME = {case.name.removeprefix("spatial/"): case for case in CASES}


@pytest.mark.parametrize("name", quick_first(BY_NAME, "U-Net, transposed", "event voxels"))
def test_c_equals_the_definition_and_spikes_those_of_the_quantized_model(
    tmp_path: Path, name: str
) -> None:
    module, example = BY_NAME[name].build()
    snnc.export(module, example, tmp_path / "model.pt", **BY_NAME[name].options)
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "out", target="c")
    x = (torch.rand(24, *example.shape[1:]) < 0.4).float().numpy()
    report = artifact.verify(x, backends=("c",))
    assert report.exact
    assert report.backends["c"].words_compared > 1000
    assert min(report.quantized_spikes.values()) >= 0.999  # type: ignore[type-var, operator]
    assert all(0.005 < rate < 0.995 for rate in report.rates.values() if rate is not None)
