"""What ternary weights lose is said before they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.diagnostics import Diagnostic
from snnc.driver import compile_model
from snnc.options import Options
from tests.models import model_file
from tests.realgraphs import mlp


def warnings(artifact: snnc.Artifact) -> list[str]:
    return [w for w in artifact.manifest.warnings if "W342" in w]


def test_ternary_weights_say_what_they_lose(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), tmp_path / "x.npz"
    x = np.random.default_rng(0).integers(0, 256, (50, 16, 12)) / 255
    float_like = snnc.compile(model, tmp_path / "sixteen", bits=16)
    y = float_like.run(x).outputs["out"].argmax(1)
    np.savez(data, x=x, y=y)
    assert not warnings(float_like)
    (unknown,) = warnings(snnc.compile(model, tmp_path / "a", bits=2))
    assert "not known without calibration data" in unknown
    made = snnc.compile(model, tmp_path / "b", bits=2, calibration=data, method="gptq")
    (said,) = warnings(made)
    wrong = float((made.run(x).outputs["out"].argmax(1) != y).mean())
    assert f"another class for {100 * wrong:.1f} % of 50 calibration samples" in said
    assert f"accuracy there: 100.00 % in real numbers, {100 - 100 * wrong:.2f} %" in said
    again = snnc.compile(model, tmp_path / "c", reuse=tmp_path / "b")
    assert again.manifest.tree == made.manifest.tree
    assert not warnings(snnc.finetune(model, tmp_path / "d", (x, y), bits=2, epochs=1))


def test_it_is_said_before_anything_is_written(tmp_path: Path) -> None:
    model, seen = model_file(tmp_path, mlp()), []

    def warn(diagnostic: Diagnostic) -> None:
        seen.append((diagnostic.code, [p for p in tmp_path.rglob("*") if p.is_file()]))

    made = compile_model(model, tmp_path / "net", Options(bits=2), warn=warn)
    assert seen == [("W342", [model])]
    assert [d.code for d in made.diagnostics].count("W342") == 1


@pytest.mark.parametrize("bits", [3, 8])
def test_more_bits_say_it_only_if_much_is_lost(tmp_path: Path, bits: int) -> None:
    model, x = model_file(tmp_path, mlp()), np.zeros((40, 16, 12))
    np.save(tmp_path / "silent.npy", x)
    assert not warnings(
        snnc.compile(model, tmp_path / "a", bits=bits, calibration=tmp_path / "silent.npy")
    )
