"""Encoders from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.artifact import Artifact
from snnc.manifest import load_manifest
from tests.cli.conftest import Snnc


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Static values for a network that reads spikes."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.integers(0, 256, (6, 12)) / 255)
    return tmp_path / "x.npz"


def test_an_encoded_network_is_a_model_like_others(
    tmp_path: Path, snnc: Snnc, model: Path, images: Path
) -> None:
    """Float model, program and C agree; the manifest names the encoder."""
    out = tmp_path / "net"
    chosen = ("--encode", "rate:seed=3", "--calibration", images)
    assert snnc("compile", model, "-o", out, "--target", "c", *chosen).code == 0
    (entry,) = load_manifest((out / "manifest.json").read_bytes()).inputs
    assert (entry.encoder, entry.clock, entry.layout, entry.hi) == (
        "rate:seed=3",
        "once",
        "N.",
        255,
    )
    assert "encoder rate:seed=3" in snnc("inspect", out).out
    result = snnc("verify", out, "--data", images, "--json").document
    assert result["backends"]["c"]["equal"] is True
    assert min(result["agreement"]["quantized_spikes"].values()) > 0.999
    other = snnc("verify", out, "--data", images, "--model", model)
    assert "E412" in other.err  # without the encoder it reads something else


def test_unknown_encoders_are_refused(tmp_path: Path, snnc: Snnc, model: Path) -> None:
    result = snnc("compile", model, "-o", tmp_path / "net", "--encode", "morse")
    assert (result.code, "E230" in result.err) == (4, True)
    assert not (tmp_path / "net").exists()


def test_an_encoder_goes_on_in_a_stream(tmp_path: Path, snnc: Snnc, model: Path) -> None:
    """After any number of steps, what a run of so many gives."""
    x = np.random.default_rng(1).integers(0, 256, (3, 12)) / 255
    for i, encoder in enumerate(("rate", "latency", "phase", "sigma-delta")):
        out = tmp_path / str(i)
        assert snnc("compile", model, "-o", out, "--encode", encoder).code == 0
        artifact = Artifact.open(out)
        stream = artifact.stream({"x": x})
        for t in range(1, 17):
            stream.step()
            if t in (1, 9, 16):
                expected = artifact.run(x, steps=t).outputs["out"]
                np.testing.assert_array_equal(stream.results()["out"], expected)
