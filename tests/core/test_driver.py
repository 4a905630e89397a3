from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.container import LoadedModel, to_bytes
from snnc.diagnostics import CompileError, warning
from snnc.driver import compile_model
from snnc.loading import load
from snnc.options import Options
from tests.models import model_file
from tests.realgraphs import mlp, residual_conv


def test_python_does_what_the_command_does(tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    made = snnc.compile(model, tmp_path / "net", target="numpy,c", bits=6)
    opened = snnc.load(tmp_path / "net")
    assert opened.manifest == made.manifest
    assert made.manifest.targets == ("numpy", "c")
    assert made.manifest.bits == 6
    x = np.random.default_rng(0).integers(0, 256, (3, 16, 12)) / 255
    assert np.array_equal(made.run(x).outputs["out"], opened.run(x).outputs["out"])


def test_numpy_is_always_emitted_and_names_are_sorted() -> None:
    assert Options(targets=("lava", "c", "c")).check().targets == ("numpy", "c", "lava")


def test_every_stage_is_reported(tmp_path: Path) -> None:
    stages = []
    model = model_file(tmp_path, residual_conv())
    compile_model(model, tmp_path / "net", Options(), lambda name, *_: stages.append(name))
    assert stages[0] == "read"
    assert stages[-2:] == ["emit numpy", "write"]
    assert "quantize" in stages


def test_more_bits_are_closer(tmp_path: Path) -> None:
    model = model_file(tmp_path, mlp())
    x = np.random.default_rng(0).integers(0, 256, (20, 16, 12)) / 255
    agreement = []
    for bits in (2, 4, 8, 16):
        artifact = snnc.compile(model, tmp_path / f"net{bits}", bits=bits)
        shares = artifact.verify(x).spikes.values()
        agreement.append(min(s for s in shares if s is not None))
    assert agreement == sorted(agreement)
    assert agreement[-1] > 0.999


def test_max_steps_is_proven_and_kept(tmp_path: Path) -> None:
    artifact = snnc.compile(model_file(tmp_path, mlp()), tmp_path / "net", max_steps=20)
    assert artifact.manifest.max_steps == 20
    artifact.run(np.zeros((1, 20, 12)))
    with pytest.raises(CompileError, match="--max-steps 21") as e:
        artifact.run(np.zeros((1, 21, 12)))
    assert e.value.diagnostics[0].code == "E421"


def test_the_file_says_how_the_model_orders_its_axes(tmp_path: Path) -> None:
    meta = {
        "inputs": [{"name": "x", "time_axis": 0, "batch_axis": 1}],
        "torch": "2.13.0",
        "fixed_steps": True,
    }
    path = tmp_path / "model.pt"
    said = [warning("W138", "silent")]
    path.write_bytes(to_bytes(LoadedModel(mlp(), meta, said)))
    loaded = load(path)
    assert loaded.layouts == {"x": "TN."}
    assert loaded.fixed_steps
    artifact = snnc.compile(path, tmp_path / "net")
    assert artifact.manifest.inputs[0].layout == "TN."
    assert artifact.manifest.source.producer == "torch 2.13.0"
    assert [d.code for d in artifact.check_steps(5)] == ["W421"]
    assert artifact.check_steps(16) == []


@pytest.mark.parametrize(
    "meta",
    [
        {"inputs": 3},
        {"inputs": [3, {}, {"name": "y"}]},
        {"inputs": [{"name": "x", "time_axis": 9, "batch_axis": 1}]},
        {"inputs": [{"name": "x", "time_axis": "a"}]},
        {"torch": 3, "fixed_steps": 1},
    ],
)
def test_nonsense_about_axes_is_ignored(tmp_path: Path, meta: dict[str, object]) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(to_bytes(LoadedModel(mlp(), meta)))
    loaded = load(path)
    assert loaded.layouts == {}
    assert not loaded.fixed_steps
