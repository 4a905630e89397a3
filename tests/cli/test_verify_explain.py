"""``snnc verify --explain``: what parts of the arithmetic cost, and what would be better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.cli import run
from tests.cli.conftest import Snnc


@pytest.fixture(scope="module")
def coarse(model: Path) -> Path:
    out = model.parent / "coarse"
    assert run(["compile", str(model), "-o", str(out), "--bits", "3", "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("data") / "train.npz"
    np.savez(path, x=rng.integers(0, 256, (70, 16, 12)) / 255)
    return path


def test_every_spiking_layer_says_how_it_diverges(snnc: Snnc, coarse: Path, data: Path) -> None:
    document = snnc("verify", coarse, "--data", data, "--json").document
    assert "explanation" not in document
    layers = document["divergence"]
    assert set(layers) == set(document["rates"])
    for layer, d in layers.items():
        assert d["agreement"] == document["agreement"]["spikes"][layer]
        assert 0 < d["f1"] < 1
        assert d["emd"] > 0
        assert set(d["first"]) == {"sample", "step", "index"}


def test_why_and_what_would_be_better(snnc: Snnc, coarse: Path, data: Path, training: Path) -> None:
    args = ("verify", coarse, "--data", data, "--explain", "--calibration", training)
    result = snnc(*args)
    assert result.code == 0
    assert "weights of" in result.out
    assert "method gptq" in result.out
    explained = snnc(*args, "--json").document["explanation"]
    assert explained["contributions"]["twin"] == 1
    assert {"inputs", "weights", "decays"} <= {
        p["part"] for p in explained["contributions"]["parts"]
    }
    assert explained["alternatives"]["advice"] in result.out
    assert snnc(*args, "--json").document["explanation"] == explained


def test_what_does_not_go_together_is_refused(
    snnc: Snnc, coarse: Path, data: Path, model: Path
) -> None:
    lonely = snnc("verify", coarse, "--data", data, "--calibration", data)
    assert lonely.code == 2
    assert "--explain" in lonely.err
    other = snnc("verify", coarse, "--data", data, "--explain", "--model", model)
    assert other.code == 2
