"""Bits by layer under a budget: they fit, they cost little, and what cannot be met is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.budget import Layer, least_loss, parse_budget
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.operations import packed
from snnc.ops import Embedding, Input, Output, TimeSum
from snnc.types import Clock, Int, TensorType
from tests.models import model_file
from tests.realgraphs import lif, mlp, param, recurrent


def calibration(folder: Path) -> Path:
    x = np.random.default_rng(0).integers(0, 256, (40, 16, 12)) / 255
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def test_layers_that_matter_least_are_narrowed_first() -> None:
    a = Layer({2: 20.0, 4: 40.0, 8: 80.0}, {2: 0.5, 4: 0.03, 8: 0.0})
    b = Layer({2: 20.0, 4: 40.0, 8: 80.0}, {2: 0.02, 4: 0.01, 8: 0.0})
    assert least_loss({"a": a, "b": b}, 160) == {"a": 8, "b": 8}
    assert least_loss({"a": a, "b": b}, 100) == {"a": 8, "b": 2}
    assert least_loss({"a": a, "b": b}, 60) == {"a": 4, "b": 2}
    assert least_loss({"a": a, "b": b}, 40) == {"a": 2, "b": 2}
    assert least_loss({"a": a, "b": b}, 39) is None
    # what a large step leaves over is given back
    c = Layer({2: 10.0, 8: 100.0}, {2: 0.0, 8: 0.0})
    assert least_loss({"a": a, "c": c}, 95) == {"a": 8, "c": 2}


def test_a_size_is_met_and_repeated_without_the_data(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), calibration(tmp_path)
    sizes = [packed(snnc.compile(model, tmp_path / str(b), bits=b).graph()) for b in (2, 8)]
    limit = sum(sizes) // 2
    made = snnc.compile(model, tmp_path / "a", budget=f"{limit}B", calibration=data, method="gptq")
    assert sizes[0] < packed(made.graph()) <= limit
    bits = {layer.name: layer.weight_bits for layer in made.manifest.layers if layer.weights}
    assert bits == {name: c.bits for name, c in made.manifest.choices.items()}
    again = snnc.compile(model, tmp_path / "b", reuse=tmp_path / "a")
    assert again.manifest.tree == made.manifest.tree


def test_the_least_size_is_named_and_met(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), calibration(tmp_path)
    with pytest.raises(CompileError, match="the best possible is") as e:
        snnc.compile(model, tmp_path / "a", budget="1B", calibration=data)
    best = int(e.value.diagnostics[0].notes[0].split()[4].replace(",", ""))
    made = snnc.compile(model, tmp_path / "a", budget=f"{best}B", calibration=data)
    assert packed(made.graph()) == best
    with pytest.raises(CompileError, match="the best possible is"):
        snnc.compile(model, tmp_path / "b", budget=f"{best - 1}B", calibration=data)


def test_more_bits_are_taken_where_states_then_take_less(tmp_path: Path) -> None:
    model, x = model_file(tmp_path, mlp((2, 30, 3))), tmp_path / "x.npy"
    np.save(x, np.random.default_rng(0).integers(0, 256, (40, 16, 2)) / 255)
    sizes = [packed(snnc.compile(model, tmp_path / str(b), bits=b).graph()) for b in (2, 8)]
    assert sizes[1] < sizes[0]  # fewer guard bits make up for the weights of so many neurons
    made = snnc.compile(model, tmp_path / "a", budget=f"{sizes[1]}B", calibration=x)
    assert packed(made.graph()) <= sizes[1]
    with pytest.raises(CompileError, match=f"is {sizes[1]} bytes, with 8 bits in every layer"):
        snnc.compile(model, tmp_path / "b", budget="9B", calibration=x)


def test_operations_are_met_and_bits_of_the_user_stay(tmp_path: Path) -> None:
    model, data = model_file(tmp_path, mlp()), calibration(tmp_path)
    config = tmp_path / "snnc.toml"
    config.write_text("[layers.fc0]\nbits = 7\n")
    options = {"calibration": data, "config": config}
    with pytest.raises(CompileError, match="the best possible is") as e:
        snnc.compile(model, tmp_path / "a", budget="100 bitops", **options)  # type: ignore[arg-type]
    assert e.value.diagnostics[0].code == "E341"
    assert "7 bits, which are its own" in str(e.value)
    best = float(e.value.diagnostics[0].notes[0].split()[4].replace(",", ""))
    made = snnc.compile(model, tmp_path / "a", budget=f"{1.01 * best:.0f}bitops", **options)  # type: ignore[arg-type]
    bits = {layer.name: layer.facts.get("weight_bits") for layer in made.manifest.layers}
    assert bits["fc0"] == 7
    assert 2 <= bits["fc1"] < 8  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"budget": ""}, "E340"),
        ({"budget": "64"}, "E340"),
        ({"budget": "64 GiB"}, "E340"),
        ({"budget": "0kB"}, "E340"),
        ({"budget": "64kib"}, "E340"),
        ({"budget": "64KiB"}, "E332"),
        ({"budget": "64KiB", "reuse": "x"}, "E333"),
    ],
)
def test_budgets_that_mean_nothing(tmp_path: Path, options: dict[str, str], code: str) -> None:
    with pytest.raises(CompileError) as e:
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "net", **options)  # type: ignore[arg-type]
    assert e.value.diagnostics[0].code == code
    assert not (tmp_path / "net").exists()


def test_few_samples_are_said(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 16, 12)) / 255
    np.save(tmp_path / "x.npy", x)
    options = {"budget": "1MiB", "calibration": tmp_path / "x.npy"}
    for method in ("mse", "gptq"):
        made = snnc.compile(
            model_file(tmp_path, mlp()),
            tmp_path / method,
            method=method,
            **options,  # type: ignore[arg-type]
        )
        (said,) = [w for w in made.manifest.warnings if "W332" in w]
        assert "5 calibration samples" in said


def test_units_with_other_capitals_are_recognized() -> None:
    for text, meant in (("64kib", "64KiB"), ("2mbitops", "2Mbitops"), ("3MIB", "3MiB")):
        with pytest.raises(CompileError, match=f"did you mean {meant}"):
            parse_budget(text)


def test_a_table_of_rows_takes_the_methods_that_need_no_inputs(tmp_path: Path) -> None:
    g = Graph("tokens", 4)
    table = np.random.default_rng(0).normal(size=(9, 6))
    table[0, 0] = 30.0
    g.add("x", Input(TensorType((), Int(0, 8), Clock.STEP), 0.0, 8.0, 1.0))
    g.add("rows", Embedding(param(table)), "x")
    g.add("sum", TimeSum(), lif(g, "lif", "rows"))
    g.add("out", Output(), "sum")
    model, config = model_file(tmp_path, g), tmp_path / "snnc.toml"
    found = []
    for method in ("max", "mse"):
        config.write_text(f"[layers.rows]\nmethod = '{method}'\n")
        made = snnc.compile(model, tmp_path / method, config=config, bits=3)
        found.append(str(made.graph()))
    assert found[0] != found[1]
    config.write_text("[layers.rows]\nmethod = 'gptq'\n")
    np.save(tmp_path / "x.npy", np.zeros((40, 4), int))
    with pytest.raises(CompileError, match="taken as they are") as e:
        snnc.compile(model, tmp_path / "c", config=config, calibration=tmp_path / "x.npy")
    assert e.value.diagnostics[0].code == "E331"


def test_first_and_last_layers_have_bits_of_their_own(tmp_path: Path) -> None:
    config = tmp_path / "snnc.toml"
    config.write_text("first = 6\nlast = 5\n[layers.loop]\nbits = 4\n")
    made = snnc.compile(model_file(tmp_path, recurrent()), tmp_path / "a", config=config, bits=3)
    bits = {layer.name: layer.facts.get("weight_bits") for layer in made.manifest.layers}
    assert (bits["fc"], bits["loop"]) == (6, 4)  # both make the output; own and first come first
    made = snnc.compile(model_file(tmp_path, mlp()), tmp_path / "b", config=_ends(tmp_path), bits=3)
    bits = {layer.name: layer.facts.get("weight_bits") for layer in made.manifest.layers}
    weights = [b for b in bits.values() if b is not None]
    assert weights[0] == 6
    assert weights[-1] == 5
    config.write_text("first = 1\n")
    with pytest.raises(CompileError, match="possible are 2 to 16"):
        snnc.compile(model_file(tmp_path, mlp()), tmp_path / "c", config=config)


def _ends(folder: Path) -> Path:
    (folder / "ends.toml").write_text("first = 6\nlast = 5\n")
    return folder / "ends.toml"
