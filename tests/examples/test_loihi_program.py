"""The tutorial's Lava program: own input, own probes, the artifact's integers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

import snnc
from tests.kerneltext import kernel
from tests.lavaenv import ENV, needs_lava
from tests.models import model_file
from tests.passes.test_fit_loihi import LIF, chain

PROGRAM = Path(__file__).parents[2] / "examples" / "loihi" / "program" / "run.py"


@needs_lava
def test_scores_and_membranes_are_those_of_the_artifact(tmp_path: Path) -> None:
    assert ENV is not None
    path = model_file(tmp_path, chain(kernel(LIF, beta=0.9, theta=1.0), step=1.0))
    artifact = snnc.compile(path, tmp_path / "net", target="lava", lava_mode="stock")
    x = np.random.default_rng(0).integers(0, 2, (10, 9, 30)).astype(float)
    encoded = artifact.encode(x)
    np.savez(tmp_path / "x.npz", x=encoded["x"], y=np.arange(10))
    command = [ENV.python, PROGRAM, tmp_path / "net" / "lava-stock", tmp_path / "x.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    want = artifact.run_encoded(encoded, "numpy", ["n0.v"])
    *_, scores, title, membrane = done.stdout.splitlines()
    (output,) = want.raw.values()
    assert scores.split(":")[1].split() == [str(int(v)) for v in output[0]]
    (voltages,) = want.words.values()
    assert membrane.split() == [str(v) for v in voltages[0, :, 0]]
    assert "membrane of neuron 0" in title
