"""``snnc sweep``: points, the front, resuming, and folders that are something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snnc.cli import run
from snnc.sweep import Point, Sweeper, pareto, parse_bits, parse_methods
from tests.cli.conftest import Snnc

ARGS = ("--bits", "4", "--method", "max,gptq")


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix == ".json"}


def test_a_stopped_sweep_goes_on_to_the_same_bytes(
    snnc: Snnc,
    model: Path,
    data: Path,
    training: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    common = (model, "--data", data, "--calibration", training, *ARGS, "--json")
    whole = snnc("sweep", *common, "-o", tmp_path / "whole")
    assert whole.code == 0
    done: list[int] = []
    point = Sweeper.point

    def stopping(self: Sweeper, bits: int, *rest: object) -> object:
        if done:
            raise KeyboardInterrupt
        done.append(bits)
        return point(self, bits, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Sweeper, "point", stopping)
        stopped = snnc("sweep", *common[:-1], "-o", tmp_path / "parts")
    assert stopped.code == 130
    assert f"points so far are in {tmp_path / 'parts'}" in stopped.err
    assert len(content(tmp_path / "parts")) == 1 + 1
    again = snnc("sweep", *common, "-o", tmp_path / "parts")
    assert again.document["resumed"] == 1
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    for key in ("points", "pareto", "float"):
        assert again.document[key] == whole.document[key]


def test_what_data_are_said_of_is_said_once(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((300, 16, 12), 7.0))
    files = ("--data", tmp_path / "x.npy", "--calibration", tmp_path / "few.npy")
    np.save(tmp_path / "few.npy", np.ones((5, 16, 12)))
    args = ("--bits", "3,4", "--method", "gptq", "-o", tmp_path / "s")
    found = snnc("sweep", model, *files, *args)
    assert found.code == 0, found.err
    assert found.err.count("SNNC-W332") == 1
    assert found.err.count("SNNC-W424") == 1
    assert "57600 values of input 'x' (100 %) were clipped" in found.err


def test_points_say_what_compiling_gives(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    args = ("sweep", model, "--data", data, "--bits", "3", "--method", "mse", "-o", tmp_path / "s")
    found = snnc(*args, "--json").document["points"][0]
    assert run(["compile", str(model), "-o", str(tmp_path / "net"), "--bits", "3", "-q"]) == 0
    verified = snnc("verify", tmp_path / "net", "--data", data, "--json").document
    assert found["accuracy"] == pytest.approx(verified["integer"]["accuracy"], rel=1e-5)
    assert found["error"] == pytest.approx(
        next(iter(verified["outputs"].values()))["error"], rel=1e-5
    )
    counted = snnc("cost", tmp_path / "net", "--data", data, "--json").document
    assert found["operations"] == counted["Effective_ACs"] + counted["Effective_MACs"]
    assert found["bytes"] < counted["Footprint"]


def test_the_picture_is_the_same_every_time(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="draws the picture")
    args = ("sweep", model, "--data", data, "--bits", "2..3", "--method", "max,mse")
    first = snnc(*args, "-o", tmp_path / "a")
    assert snnc(*args, "-o", tmp_path / "b").code == first.code == 0
    pictures = [(tmp_path / f / "sweep.svg").read_bytes() for f in "ab"]
    assert pictures[0] == pictures[1]
    assert b"accuracy (%)" in pictures[0]
    assert "not beaten by any cheaper point" in first.out


def test_a_folder_of_something_else_is_refused(
    snnc: Snnc, model: Path, data: Path, training: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    args = ("sweep", model, "--bits", "4", "--method", "max", "-o", folder)
    assert snnc(*args, "--data", data).code == 0
    other = snnc(*args, "--data", training)
    assert other.code == 9
    assert "SNNC-E440" in other.err
    assert "points of another data and number of samples" in other.err
    point = folder / "4-max.json"
    point.write_text(point.read_text()[:-9])
    assert "is damaged" in snnc(*args, "--data", data).err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "holds other files" in snnc(*args[:-1], tmp_path / "mine", "--data", data).err


def test_without_matplotlib_there_is_a_warning(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    args = ("sweep", model, "--data", data, "--bits", "4", "--method", "max", "-o", tmp_path / "s")
    result = snnc(*args)
    assert result.code == 0
    assert "SNNC-W645" in result.err
    assert not (tmp_path / "s" / "sweep.svg").exists()


def test_what_is_asked_for_is_checked(snnc: Snnc, model: Path, data: Path, tmp_path: Path) -> None:
    for wrong, code in (("1..4", "E320"), ("five", "E003"), ("8..2", "E320"), ("", "E003")):
        result = snnc("sweep", model, "--data", data, "--bits", wrong, "-o", tmp_path / "s")
        assert f"SNNC-{code}" in result.err
    assert "did you mean 'gptq'" in snnc("sweep", model, "--data", data, "--method", "gptw").err
    assert "SNNC-E332" in snnc("sweep", model, "--data", data, "--method", "gptq").err
    assert not (tmp_path / "s").exists()
    assert parse_bits("8, 2..3") == (2, 3, 8)
    assert parse_methods("all", True)[-1] == "auto"


def test_choices_by_layer_hold_and_belong_to_the_question(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "snnc.toml"
    common = ("sweep", model, "--data", data, "--bits", "3", "--method", "mse", "--config", toml)
    toml.write_text("last = 8\n")
    first = snnc(*common, "-o", tmp_path / "a", "--json").document["points"][0]
    plain = snnc(*common[:-2], "-o", tmp_path / "b", "--json").document["points"][0]
    assert first["bytes"] > plain["bytes"]
    toml.write_text("last = 7\n")
    assert "SNNC-E440" in snnc(*common, "-o", tmp_path / "a").err
    toml.write_text("[layers.fc7]\nbits = 4\n")
    refused = snnc(*common, "-o", tmp_path / "c")
    assert "error[SNNC-E331]" in refused.err
    assert not (tmp_path / "c").exists()


def test_a_generator_belongs_to_the_question_by_what_it_gives(
    snnc: Snnc, model: Path, data: Path, tmp_path: Path
) -> None:
    code, x = tmp_path / "train.py", tmp_path / "x.npy"
    code.write_text(f"import numpy as np\ndef f():\n    yield np.load({str(x)!r})\n")
    args = ("sweep", model, "--data", data, "--bits", "4", "--method", "gptq", "-o", tmp_path / "s")
    for scale, exit_code in ((1.0, 0), (1.0, 0), (0.5, 9)):
        np.save(x, scale * np.random.default_rng(0).random((40, 16, 12)))
        result = snnc(*args, "--calibration", f"{code}:f")
        assert result.code == exit_code, result.err
    assert "points of another calibration" in result.err


def test_the_front_rises_with_cost() -> None:
    points = [
        Point(8, "mse", 0.9, bytes=80),
        Point(8, "gptq", 0.95, bytes=80),
        Point(4, "mse", 0.95, bytes=40),
        Point(2, "max", 0.2, bytes=20),
        Point(3, "max", failed="SNNC-E310: too wide"),
    ]
    assert [(p.bits, p.method) for p in pareto(points, "bytes")] == [(2, "max"), (4, "mse")]
    assert json.dumps([p.quality for p in points[-1:]]) == "[null]"
