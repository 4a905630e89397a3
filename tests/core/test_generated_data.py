"""Calibration data from a generator of the user's: the same every time, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.diagnostics import CompileError
from tests.models import model_file
from tests.realgraphs import mlp

GENERATOR = """
import numpy as np

def samples():
    rng = np.random.default_rng(0)
    for _ in range(4):
        yield rng.integers(0, 256, (10, 16, 12)) / 255

def pairs():
    for x in samples():
        yield x, np.zeros(len(x), int)

def named():
    while True:
        yield {"x": np.ones((1000, 16, 12))}

def other():
    yield np.random.default_rng().random((10, 16, 12))

def loader():
    for x, y in pairs():
        yield [x, y]

def broken():
    yield np.zeros((10, 16, 12))
    raise RuntimeError("no more files")

def wrong():
    yield np.zeros((10, 16, 11))

def nothing():
    yield from ()

def shapes():
    yield np.zeros((10, 16, 12))
    yield np.zeros((10, 15, 12))

def alone():
    yield from np.zeros((10, 16, 12))

def number():
    yield 3.0

def labels():
    yield np.zeros((10, 16, 12)), np.zeros(9, int)
    yield np.zeros((10, 16, 12)), np.zeros(11, int)

def sometimes():
    yield np.zeros((10, 16, 12)), np.zeros(10, int)
    yield np.zeros((10, 16, 12))

def empty():
    while True:
        yield np.zeros((0, 16, 12))

def unknown():
    yield np.zeros((10, 16, 12)), np.full(10, 5)

def array():
    return np.zeros((10, 16, 12))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    file = tmp_path / "mydata.py"
    file.write_text(GENERATOR)
    return file


def test_a_generator_gives_the_bytes_of_a_file(tmp_path: Path, code: Path) -> None:
    model, rng = model_file(tmp_path, mlp()), np.random.default_rng(0)
    x = np.concatenate([rng.integers(0, 256, (10, 16, 12)) / 255 for _ in range(4)])
    np.savez(tmp_path / "x.npz", x=x)
    options = {"bits": 3, "method": "gptq"}
    made = snnc.compile(model, tmp_path / "a", calibration=f"{code}:samples", **options)  # type: ignore[arg-type]
    file = snnc.compile(model, tmp_path / "b", calibration=tmp_path / "x.npz", **options)  # type: ignore[arg-type]
    assert str(made.graph()) == str(file.graph())
    known = made.manifest.calibration
    assert known is not None
    assert (known.file, known.samples) == ("mydata.py:samples", 40)
    code.unlink()
    again = snnc.compile(model, tmp_path / "c", reuse=tmp_path / "a")
    assert again.manifest.tree == made.manifest.tree


def test_labels_and_endless_generators(tmp_path: Path, code: Path) -> None:
    model = model_file(tmp_path, mlp())
    made = snnc.compile(model, tmp_path / "a", bits=2, calibration=f"{code}:pairs")
    assert any("accuracy there" in w for w in made.manifest.warnings)
    same = snnc.compile(model, tmp_path / "c", bits=2, calibration=f"{code}:loader")
    assert same.manifest.layers == made.manifest.layers
    assert any("accuracy there" in w for w in same.manifest.warnings)
    made = snnc.compile(model, tmp_path / "b", calibration=f"{code}:named", method="gptq")
    assert made.manifest.calibration is not None


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("other", "E345", "other samples every time"),
        ("broken", "E112", "no more files"),
        ("wrong", "E421", "must have the shape"),
        ("nothing", "E421", "no samples"),
        ("shapes", "E421", r"batch 2 .*: x is \(10, 15, 12\), in those before it \(10, 16, 12\)"),
        ("alone", "E421", r"batch 1 .* must have the shape \(N, T, 12\), got \(16, 12\)"),
        ("number", "E421", r"batch 1 .* got \(\)"),
        ("labels", "E421", "batch 1 .* different numbers of samples: 10 of x, 9 of y"),
        ("sometimes", "E421", "batch 2 of the generator holds x, those before it x and y"),
        ("empty", "E421", "4,096 batches of no samples"),
        ("unknown", "E423", "labels y are 5 to 5 for 5 outputs"),
        ("array", "E112", "gives ndarray"),
        ("absent", "E112", "defines no function 'absent'"),
    ],
)
def test_what_is_no_generator_of_samples(
    tmp_path: Path, code: Path, name: str, error: str, says: str
) -> None:
    with pytest.raises(CompileError, match=says) as e:
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "a", calibration=f"{code}:{name}")
    assert e.value.diagnostics[0].code == error
    with pytest.raises(CompileError, match="is code, and not data"):
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "a", calibration=code)
    with pytest.raises(CompileError, match="no such file"):
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "a", calibration="none.py:f")
