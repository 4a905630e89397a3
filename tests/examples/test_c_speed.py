"""The benchmark of the emitted C runs, and fails if a program gives other scores."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_the_table(tmp_path: Path) -> None:
    for module in ("snntorch", "spikingjelly", "onnxruntime", "matplotlib"):
        pytest.importorskip(module)
    picture = tmp_path / "speed.svg"
    options = ["--density", "10", "--samples", "2", "--rounds", "1", "--plot", str(picture)]
    line = [sys.executable, "-m", "examples.benchmarks.c_speed", "ref", *options]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [row.split("%", 1) for row in done.stdout.splitlines()[1:]]
    names = [row[1].split("  ")[1].strip() for row in rows]
    assert {"snnc -O2", "naive C -O2", "torch eager", "ONNX Runtime int8"} <= set(names)
    exact = [row[1] for row in rows if "snnc" in row[1] or "naive" in row[1]]
    assert len(exact) >= 4
    assert all(text.endswith("100.0%") for text in exact)
    assert picture.read_text().startswith("<?xml")
