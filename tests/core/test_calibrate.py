"""Calibration data that are scaled or laid out as the example of the export was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.container import LoadedModel, write_model
from tests.realgraphs import mlp

STEPS = mlp().steps


def exported(folder: Path, fixed: bool = False) -> Path:
    """A model file as ``snnc.export`` writes it: inputs in [0, 1]."""
    write_model(folder / "m.pt", LoadedModel(mlp(), {"torch": "2", "fixed_steps": fixed}))
    return folder / "m.pt"


@pytest.mark.parametrize(
    ("largest", "steps", "fixed", "says"),
    [
        (1, STEPS, True, ""),
        (4, 2 * STEPS, False, ""),
        (255, STEPS, False, "W334.*in [0, 255]"),
        (1 / 255, STEPS, False, "W334.*in [0, 0.00392157]"),
        (1, 4 * STEPS, False, f"W334.*have {4 * STEPS} steps, the model {STEPS}"),
        (1, STEPS + 1, True, f"W421.*have {STEPS + 1} steps, the model {STEPS}"),
    ],
)
def test_other_scales_and_lengths_are_said(
    tmp_path: Path, largest: float, steps: int, fixed: bool, says: str
) -> None:
    x = np.random.default_rng(0).integers(0, 2, (40, steps, 12)) * largest
    np.save(tmp_path / "x.npy", x)
    options = {"calibration": tmp_path / "x.npy", "method": "gptq", "bits": 4}
    made = snnc.compile(exported(tmp_path, fixed), tmp_path / "net", **options)  # type: ignore[arg-type]
    warned = [w for w in made.manifest.warnings if "W334" in w or "W421" in w]
    assert len(warned) == bool(says)
    for part in filter(None, says.split(".*")):
        assert part in warned[0]
    again = snnc.compile(tmp_path / "m.pt", tmp_path / "again", reuse=tmp_path / "net")
    assert again.manifest.tree == made.manifest.tree
