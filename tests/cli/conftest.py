"""A model, an artifact of it and data, for tests of the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.cli import run
from tests.models import model_file
from tests.realgraphs import mlp


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Snnc = Callable[..., Result]


@pytest.fixture
def snnc(capsys: pytest.CaptureFixture[str]) -> Snnc:
    """Run a command line in this process."""

    def call(*args: object) -> Result:
        capsys.readouterr()
        code = run([str(a) for a in args])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model"), mlp())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, x=rng.integers(0, 256, (8, 16, 12)) / 255, y=rng.integers(0, 5, 8))
    return path


@pytest.fixture(scope="session")
def artifact(model: Path) -> Path:
    out = model.parent / "net"
    assert run(["compile", str(model), "-o", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibration data for ``model``: 70 samples without labels."""
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("data") / "train.npz"
    np.savez(path, x=rng.integers(0, 256, (70, 16, 12)) / 255)
    return path
